-- Judges a batch and commits or rejects it.
--
-- ARGV: lineage, channel, now high, now low, retention, request id, fingerprint, requests kept, revision to raise to,
-- number of preconditions, the preconditions, number of mutations, the mutations in the order of their keys.
local state = redis.call('HMGET', meta, 'lin', 'rev', 'log', 'snap', 'ent', 'byt')
if state[1] ~= ARGV[1] then
  return { 'lost' }
end
local last, previous = tonumber(state[2]), tonumber(state[3])
local newest_snapshot = tonumber(state[4])
local now_high, now_low = tonumber(ARGV[3]), tonumber(ARGV[4])
local request, fingerprint = ARGV[6], ARGV[7]

if request ~= '' then
  local seen = redis.call('HGET', requests, request)
  if seen then
    if string.sub(seen, 1, 32) ~= fingerprint then
      return { 'taken' }
    end
    return { 'again', string.sub(seen, 33), 0 }
  end
end

local time = micros()

local function finish(outcome, expired)
  if request ~= '' then
    remember(request, fingerprint .. outcome, time, tonumber(ARGV[8]))
  end
  return { 'done', outcome, expired }
end

local cache = {}

local function lookup(key)
  local record = cache[key]
  if record == nil then
    record = redis.call('HGET', data, key)
    cache[key] = record
  end
  return record
end

local function visible(key)
  local record = lookup(key)
  return record and not is_past(record, 9, now_high, now_low) and record
end

-- The visible entries between two bounds; stops at `enough`. While nothing waits for the sweeper, the index knows.
local anything_due
local function count(from, to, enough)
  if anything_due == nil then
    local first = redis.call('ZRANGE', expiry, '-', '+', 'BYLEX', 'LIMIT', 0, 1)[1]
    anything_due = first ~= nil and is_past(first, 1, now_high, now_low)
  end
  if not anything_due then
    return redis.call('ZLEXCOUNT', index, from, to)
  end
  local counted = 0
  while counted < enough do
    local keys = redis.call('ZRANGE', index, from, to, 'BYLEX', 'LIMIT', 0, 500)
    if #keys == 0 then
      break
    end
    for _, record in ipairs(records_of(keys)) do
      if record and not is_past(record, 9, now_high, now_low) then
        counted = counted + 1
      end
    end
    from = '(' .. keys[#keys]
  end
  return counted
end

local at = 10
local preconditions = tonumber(ARGV[at])
at = at + 1
for place = 0, preconditions - 1 do
  local kind = ARGV[at]
  if kind == 'c' then
    local wanted = tonumber(ARGV[at + 3])
    local counted = count(ARGV[at + 1], ARGV[at + 2], wanted + 1)
    if counted ~= wanted then
      return finish(string.format('R %d c %.0f', place, counted), 0)
    end
    at = at + 4
  else
    local record = visible(ARGV[at + 1])
    local holds
    if kind == 'a' then
      holds = not record
    elseif kind == 'p' then
      holds = record
    else
      holds = record and string.sub(record, 1, 8) == ARGV[at + 2]
    end
    if not holds then
      local found = record and string.format('v %.0f', number_at(record, 1)) or 'm 0'
      return finish(string.format('R %d %s', place, found), 0)
    end
    at = at + (kind == 'r' and 3 or 2)
  end
end

local mutations = tonumber(ARGV[at])
at = at + 1
if mutations == 0 then
  return finish('C ' .. decimal(last), 0)
end

if mutations > 1 then
  local keys, place, previous_key = {}, at, nil
  for _ = 1, mutations do
    local key = ARGV[place + 1]
    if key ~= previous_key and cache[key] == nil then
      keys[#keys + 1] = key
    end
    previous_key = key
    place = place + (ARGV[place] == 'p' and 4 or (ARGV[place] == 't' and 3 or 2))
  end
  for found, record in ipairs(records_of(keys)) do
    cache[keys[found]] = record
  end
end

local raise = tonumber(ARGV[9])
local raised = raise > last
if raised then
  last, previous = raise, raise
end
-- Never behind the server's time: what a crash or a failover took along was committed before, so its revisions do not
-- come again.
local revision = math.max(last + 1, math.min(time, 4503599627370496))
local stamp = big(revision)

local plan = new_plan()

-- What becomes of one key. `deadline` is that of the entry after the mutations so far, or nil for none.
local function settle(key, record, deadline, value)
  if deadline then
    local new = stamp .. deadline .. (value or string.sub(record, 17))
    plan.set[#plan.set + 1] = key
    plan.set[#plan.set + 1] = new
    if record then
      local before = string.sub(record, 9, 16)
      if before ~= deadline then
        if before ~= NEVER then
          plan.untimed[#plan.untimed + 1] = before .. key
        end
      end
      if is_past(record, 9, now_high, now_low) then
        plan.expired = plan.expired + 1
      end
      plan.bytes = plan.bytes + #new - #record
    else
      plan.added[#plan.added + 1] = '0'
      plan.added[#plan.added + 1] = key
      plan.entries = plan.entries + 1
      plan.bytes = plan.bytes + #key + #new - 16
    end
    if deadline ~= NEVER then
      plan.timed[#plan.timed + 1] = '0'
      plan.timed[#plan.timed + 1] = deadline .. key
    end
    plan_history(plan, key, record, newest_snapshot)
    plan_change(plan, 1, key)
  elseif record then
    plan_removal(plan, key, record, newest_snapshot)
    if is_past(record, 9, now_high, now_low) then
      plan.expired = plan.expired + 1
      plan_change(plan, 3, key)
    else
      plan_change(plan, 2, key)
    end
  end
end

local function seen_of(deadline)
  return deadline and not is_past(deadline, 1, now_high, now_low) and deadline
end

local function renewed(expiry_of, seen)
  if expiry_of == '=' then
    return seen or NEVER
  elseif expiry_of == '' then
    return NEVER
  end
  return expiry_of
end

local left = mutations
while left > 0 do
  local key = ARGV[at + 1]
  local record = lookup(key)
  local deadline = record and not is_past(record, 9, now_high, now_low) and string.sub(record, 9, 16) or nil
  local value, touched
  while left > 0 and ARGV[at + 1] == key do
    local kind = ARGV[at]
    if kind == 'p' then
      deadline = renewed(ARGV[at + 2], seen_of(deadline))
      value, touched = ARGV[at + 3], true
      at = at + 4
    elseif kind == 'd' then
      deadline, value, touched = nil, nil, true
      at = at + 2
    else
      local seen = seen_of(deadline)
      if seen then
        deadline, touched = renewed(ARGV[at + 2], seen), true
      end
      at = at + 3
    end
    left = left - 1
  end
  if touched then
    settle(key, record, deadline, value)
  end
end

install(plan, revision, previous, ARGV[5])
if raised and #plan.changes > 0 then
  redis.call('XTRIM', log, 'MINID', decimal(revision) .. '-0')
elseif raised then
  redis.call('XTRIM', log, 'MAXLEN', 0)
end
if #plan.changes > 0 then
  previous = revision
end
redis.call('HSET', meta, 'rev', decimal(revision), 'log', decimal(previous),
  'ent', decimal(tonumber(state[5]) + plan.entries), 'byt', decimal(tonumber(state[6]) + plan.bytes))
if #plan.changes > 0 then
  wake(revision)
end
return finish('C ' .. decimal(revision), plan.expired)
