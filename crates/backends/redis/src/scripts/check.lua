-- Compares records and indexes, a page at a time.
--
-- ARGV: lineage, 'i' or 'x', the bound to go on from, how many. Gives how many were read, the last one, and the fault if
-- there is one. After the last page of 'i' the totals are compared.
if redis.call('HGET', meta, 'lin') ~= ARGV[1] then
  return { 'lost' }
end
local size = tonumber(ARGV[4])
if ARGV[2] == 'i' then
  local keys = redis.call('ZRANGE', index, ARGV[3], '+', 'BYLEX', 'LIMIT', 0, size)
  for place, record in ipairs(records_of(keys)) do
    if not record then
      return { 'fault', 'a key of the index has no record' }
    end
    if #record < 16 then
      return { 'fault', 'a record is too short' }
    end
    local deadline = string.sub(record, 9, 16)
    if deadline ~= NEVER and not redis.call('ZSCORE', expiry, deadline .. keys[place]) then
      return { 'fault', 'a deadline is missing from its index' }
    end
  end
  if #keys < size then
    local state = redis.call('HMGET', meta, 'ent', 'rev', 'log')
    local entries = redis.call('HLEN', data) - 1
    if entries ~= redis.call('ZCARD', index) then
      return { 'fault', 'records and keys of the index are not as many' }
    end
    if entries ~= tonumber(state[1]) then
      return { 'fault', 'the count of entries is wrong' }
    end
    if tonumber(state[3]) > tonumber(state[2]) then
      return { 'fault', 'the log is ahead of the revision' }
    end
  end
  return { 'done', #keys, keys[#keys] or '' }
end
local members = redis.call('ZRANGE', expiry, ARGV[3], '+', 'BYLEX', 'LIMIT', 0, size)
local keys = {}
for place, member in ipairs(members) do
  keys[place] = string.sub(member, 9)
end
for place, record in ipairs(records_of(keys)) do
  if not record or string.sub(record, 9, 16) ~= string.sub(members[place], 1, 8) then
    return { 'fault', 'a deadline of the index is not that of its record' }
  end
end
return { 'done', #members, members[#members] or '' }
