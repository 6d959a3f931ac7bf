-- Removes entries past their deadline under one revision, old request ids, and what leases that ran out held.
--
-- ARGV: lineage, channel, now high, now low, retention, the bound behind the last deadline that has passed, how many
-- entries at most, the age in microseconds at which request ids are forgotten.
local state = redis.call('HMGET', meta, 'lin', 'rev', 'log', 'snap', 'ent', 'byt')
if state[1] ~= ARGV[1] then
  return { 'lost' }
end
local last, previous = tonumber(state[2]), tonumber(state[3])
local newest_snapshot = tonumber(state[4])
local now_high, now_low = tonumber(ARGV[3]), tonumber(ARGV[4])

local time = micros()
local old = redis.call('ZRANGE', ages, '-inf', decimal(time - tonumber(ARGV[8])), 'BYSCORE', 'LIMIT', 0, 500)
many('ZREM', ages, old)
many('HDEL', requests, old)

local freed = 0
if newest_snapshot then
  freed = drop_snapshots({})
  newest_snapshot = tonumber(redis.call('HGET', meta, 'snap') or nil)
end

local due = redis.call('ZRANGE', expiry, '-', ARGV[6], 'BYLEX', 'LIMIT', 0, ARGV[7])
if #due == 0 then
  return { 'done', 0, freed + #old }
end
local keys = {}
for place, member in ipairs(due) do
  keys[place] = string.sub(member, 9)
end
local plan = new_plan()
for place, record in ipairs(records_of(keys)) do
  if record and is_past(record, 9, now_high, now_low) then
    plan_removal(plan, keys[place], record, newest_snapshot)
    plan_change(plan, 3, keys[place])
  end
end
if #plan.changes == 0 then
  return { 'done', 0, freed + #old }
end
local revision = math.max(last + 1, math.min(time, 4503599627370496))
install(plan, revision, previous, ARGV[5])
redis.call('HSET', meta, 'rev', decimal(revision), 'log', decimal(revision),
  'ent', decimal(tonumber(state[5]) + plan.entries), 'byt', decimal(tonumber(state[6]) + plan.bytes))
wake(revision)
return { 'done', #plan.changes, freed + #old, decimal(revision) }
