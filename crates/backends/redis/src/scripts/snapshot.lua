-- Takes, renews and lets go of snapshots.
--
-- ARGV: lineage, 't', 'r' or 'd', lease in microseconds, ids. 't' gives the revision; 'r' one flag per id.
local state = redis.call('HMGET', meta, 'lin', 'rev')
if state[1] ~= ARGV[1] then
  return { 'lost' }
end
local lease = big(micros() + tonumber(ARGV[3]))
if ARGV[2] == 't' then
  redis.call('HSET', snapshots, ARGV[4], big(tonumber(state[2])) .. lease)
  redis.call('HSET', meta, 'snap', state[2])
  return { 'done', state[2] }
end
if ARGV[2] == 'r' then
  local held = { 'done' }
  for place = 4, #ARGV do
    local before = redis.call('HGET', snapshots, ARGV[place])
    if before then
      redis.call('HSET', snapshots, ARGV[place], string.sub(before, 1, 8) .. lease)
    end
    held[#held + 1] = before and 1 or 0
  end
  return held
end
local named = {}
for place = 4, #ARGV do
  named[ARGV[place]] = true
end
return { 'done', drop_snapshots(named) }
