-- A page of a live scan.
--
-- ARGV: lineage, '', now high, now low, first bound, last bound, 'f' or 'r', entries at most, 'k' for keys only, bytes
-- at most. Gives whether the range is exhausted, the last key looked at, and keys and records in turn.
local now_high, now_low = tonumber(ARGV[3]), tonumber(ARGV[4])
local from, to, reverse = ARGV[5], ARGV[6], ARGV[7] == 'r'
local wanted, keys_only, room = tonumber(ARGV[8]), ARGV[9] == 'k', tonumber(ARGV[10])
if redis.call('HGET', meta, 'lin') ~= ARGV[1] then
  return { 'lost' }
end
local first = redis.call('ZRANGE', expiry, '-', '+', 'BYLEX', 'LIMIT', 0, 1)[1]
local anything_due = first ~= nil and is_past(first, 1, now_high, now_low)
local page, found, looked_at, seen, done = { 'done', 0, '' }, 0, 0, '', false
while found < wanted and room > 0 and looked_at < 20000 do
  local size = math.min(wanted - found, 500)
  local keys
  if reverse then
    keys = redis.call('ZRANGE', index, from, to, 'BYLEX', 'REV', 'LIMIT', 0, size)
  else
    keys = redis.call('ZRANGE', index, from, to, 'BYLEX', 'LIMIT', 0, size)
  end
  if #keys == 0 then
    done = true
    break
  end
  local records = (anything_due or not keys_only) and records_of(keys) or {}
  for place, key in ipairs(keys) do
    local record = records[place]
    if not (anything_due and record and is_past(record, 9, now_high, now_low)) then
      page[#page + 1] = key
      page[#page + 1] = not keys_only and record or ''
      found = found + 1
      room = room - #key - (keys_only and 0 or #record)
    end
    seen = key
    if room <= 0 then
      break
    end
  end
  looked_at = looked_at + #keys
  done = #keys < size and room > 0
  if done then
    break
  end
  from = '(' .. seen
end
page[2], page[3] = done and 1 or 0, seen
return page
