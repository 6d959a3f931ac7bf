-- Numbers about a shard: revision, the lowest revision to read the log after, entries, bytes.
--
-- ARGV: lineage.
local state = redis.call('HMGET', meta, 'lin', 'rev', 'log', 'ent', 'byt')
if state[1] ~= ARGV[1] then
  return { 'lost' }
end
local oldest = state[3]
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
if first then
  oldest = first[2][2]
end
return { 'done', state[2], oldest, state[4], state[5] }
