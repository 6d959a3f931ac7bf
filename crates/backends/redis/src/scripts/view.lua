-- Reads as a snapshot sees it.
--
-- ARGV: lineage, snapshot id, now high, now low, then 'g' and keys; or 's', first bound, last bound, the same two for the
-- history, 'f' or 'r', entries at most, bytes at most.
local now_high, now_low = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('HGET', meta, 'lin') ~= ARGV[1] then
  return { 'lost' }
end
local lease = redis.call('HGET', snapshots, ARGV[2])
if not lease then
  return { 'gone' }
end
local revision = number_at(lease, 1)
local behind = big(revision + 1)

local function as_of(key, record)
  local prefix = escaped(key)
  local member = redis.call('ZRANGE', old_index, '[' .. prefix .. '\0\0' .. behind, '(' .. prefix .. '\0\1',
    'BYLEX', 'LIMIT', 0, 1)[1]
  if member then
    record = redis.call('HGET', old_records, member)
  elseif record == nil then
    record = redis.call('HGET', data, key)
  end
  if not record or record == '' or number_at(record, 1) > revision or is_past(record, 9, now_high, now_low) then
    return ''
  end
  return record
end

local page = { 'done' }
if ARGV[5] == 'g' then
  for place = 6, #ARGV do
    page[#page + 1] = as_of(ARGV[place], nil)
  end
  return page
end

local reverse, wanted, room = ARGV[10] == 'r', tonumber(ARGV[11]), tonumber(ARGV[12])
local function part(key, from, to)
  if reverse then
    return redis.call('ZRANGE', key, from, to, 'BYLEX', 'REV', 'LIMIT', 0, wanted)
  end
  return redis.call('ZRANGE', key, from, to, 'BYLEX', 'LIMIT', 0, wanted)
end

-- Gives whether the list is exhausted and its last key; both lists are merged by the caller up to the nearer end.
local function take(keys, records)
  local last, left = '', room
  for place, key in ipairs(keys) do
    if left <= 0 then
      return 0, last
    end
    local record = as_of(key, records[place])
    page[#page + 1] = key
    page[#page + 1] = record
    left = left - #key - #record
    last = key
  end
  return nil, last
end

page[2], page[3], page[4], page[5] = 1, '', 1, ''
local present = part(index, ARGV[6], ARGV[7])
local cut, last = take(present, records_of(present))
page[2], page[3] = cut or (#present < wanted and 1 or 0), last

local members = part(old_index, ARGV[8], ARGV[9])
local keys = {}
for _, member in ipairs(members) do
  local key = string.gsub(string.sub(member, 1, -11), '%z\255', '\0')
  if keys[#keys] ~= key then
    keys[#keys + 1] = key
  end
end
cut, last = take(keys, {})
page[4], page[5] = cut or (#members < wanted and 1 or 0), last
return page
