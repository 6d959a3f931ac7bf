-- What every script shares. KEYS are the keys of one shard, in the order of `Shard::keys`.
-- Strings are never compared with < here: Lua asks the locale, and Redis sets one.
local data, index, expiry, log, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local requests, ages, snapshots = KEYS[6], KEYS[7], KEYS[8]
local old_index, old_records, old_order = KEYS[9], KEYS[10], KEYS[11]

local NEVER = '\255\255\255\255\255\255\255\255'
local WORD = 4294967296

local function big(number)
  return struct.pack('>I4I4', math.floor(number / WORD), number % WORD)
end

local function number_at(bytes, position)
  local high, low = struct.unpack('>I4I4', bytes, position)
  return high * WORD + low
end

local function decimal(number)
  return string.format('%.0f', number)
end

local function micros()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Whether the deadline at `position` lies at or before the time of two halves. Deadlines have 64 bits, numbers 53.
local function is_past(bytes, position, now_high, now_low)
  local high, low = struct.unpack('>I4I4', bytes, position)
  if high == WORD - 1 and low == WORD - 1 then
    return false
  end
  return high < now_high or (high == now_high and low <= now_low)
end

-- Calls a command with many arguments in pieces, as Lua's stack takes them. Pairs stay together.
local function many(command, key, arguments)
  local count = #arguments
  if count == 0 then
    return
  end
  for first = 1, count, 1000 do
    redis.call(command, key, unpack(arguments, first, math.min(first + 999, count)))
  end
end

-- The records under `keys`, `false` where there is none.
local function records_of(keys)
  local found = {}
  for first = 1, #keys, 1000 do
    local part = redis.call('HMGET', data, unpack(keys, first, math.min(first + 999, #keys)))
    for place = 1, #part do
      found[first + place - 1] = part[place]
    end
  end
  return found
end

-- A key such that encoded keys, followed by two zeros and anything, sort as the keys do.
local function escaped(key)
  return (string.gsub(key, '%z', '\0\255'))
end

-- A set of changes under one revision: first planned, then installed.
local function new_plan()
  return {
    set = {}, added = {}, deleted = {}, removed = {}, timed = {}, untimed = {},
    kept = {}, changes = {}, entries = 0, bytes = 0, expired = 0,
  }
end

local function plan_change(plan, kind, key)
  plan.changes[#plan.changes + 1] = struct.pack('>I1I2', kind, #key) .. key
end

-- What snapshots may still want of the record that is about to be replaced.
local function plan_history(plan, key, record, newest_snapshot)
  if newest_snapshot and (not record or number_at(record, 1) <= newest_snapshot) then
    plan.kept[#plan.kept + 1] = { key, record or '' }
  end
end

local function plan_removal(plan, key, record, newest_snapshot)
  plan.deleted[#plan.deleted + 1] = key
  plan.removed[#plan.removed + 1] = key
  local deadline = string.sub(record, 9, 16)
  if deadline ~= NEVER then
    plan.untimed[#plan.untimed + 1] = deadline .. key
  end
  plan.entries = plan.entries - 1
  plan.bytes = plan.bytes - #key - #record + 16
  plan_history(plan, key, record, newest_snapshot)
end

-- Installs a plan. What can fail comes first: nothing may fail once something is written.
local function install(plan, revision, previous, retention)
  if #plan.changes > 0 then
    redis.call('XADD', log, 'MAXLEN', '~', retention, decimal(revision) .. '-0',
      'p', decimal(previous), 'c', table.concat(plan.changes))
  end
  local stamp = big(revision)
  if #plan.kept > 0 then
    local members, values, order = {}, {}, {}
    for place, kept in ipairs(plan.kept) do
      local member = escaped(kept[1]) .. '\0\0' .. stamp
      members[2 * place - 1], members[2 * place] = '0', member
      values[2 * place - 1], values[2 * place] = member, kept[2]
      order[2 * place - 1], order[2 * place] = decimal(revision), member
    end
    many('ZADD', old_index, members)
    many('HSET', old_records, values)
    many('ZADD', old_order, order)
  end
  many('HDEL', data, plan.deleted)
  many('ZREM', index, plan.removed)
  many('HSET', data, plan.set)
  many('ZADD', index, plan.added)
  many('ZREM', expiry, plan.untimed)
  many('ZADD', expiry, plan.timed)
end

-- Remembers what a request was, and forgets the oldest ones that are over what is kept.
local function remember(id, outcome, time, kept)
  redis.call('HSET', requests, id, outcome)
  redis.call('ZADD', ages, decimal(time), id)
  local over = redis.call('ZCARD', ages) - kept
  if over > 0 then
    local oldest = redis.call('ZPOPMIN', ages, math.min(over, 16))
    for place = 1, #oldest, 2 do
      redis.call('HDEL', requests, oldest[place])
    end
  end
end

-- Wakes those who watch. Whoever may not publish still commits: watches look for themselves now and then.
local function wake(revision)
  redis.pcall('SPUBLISH', ARGV[2], decimal(revision))
end

-- Lets go of what no snapshot can see any more, some of it at a time, and tells how much that was.
local function forget_history(oldest)
  if not oldest then
    redis.call('UNLINK', old_index, old_records, old_order)
    return 0
  end
  local gone = redis.call('ZRANGE', old_order, '-inf', decimal(oldest), 'BYSCORE', 'LIMIT', 0, 500)
  many('ZREM', old_index, gone)
  many('HDEL', old_records, gone)
  many('ZREM', old_order, gone)
  return #gone
end

-- Drops the snapshots whose lease ran out, and those that are named; the others decide what history is kept.
local function drop_snapshots(named)
  local time, newest, oldest = micros(), nil, nil
  local all = redis.call('HGETALL', snapshots)
  for place = 1, #all, 2 do
    local id, revision, lease = all[place], number_at(all[place + 1], 1), number_at(all[place + 1], 9)
    if named[id] or lease < time then
      redis.call('HDEL', snapshots, id)
    else
      if not newest or revision > newest then newest = revision end
      if not oldest or revision < oldest then oldest = revision end
    end
  end
  if newest then
    redis.call('HSET', meta, 'snap', decimal(newest))
  else
    redis.call('HDEL', meta, 'snap')
  end
  return forget_history(oldest)
end
