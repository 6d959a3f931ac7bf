-- Makes the record of a shard, or finds it.
--
-- ARGV: lineage, '1' to make it. Gives 'done', 'missing', 'used' or 'other'.
for place = 1, #KEYS do
  local kind = redis.call('TYPE', KEYS[place])['ok']
  local wanted = ({ 'hash', 'zset', 'zset', 'stream', 'hash', 'hash', 'zset', 'hash', 'zset', 'hash', 'zset' })[place]
  if kind ~= 'none' and kind ~= wanted then
    return { 'used', KEYS[place] }
  end
end
local lineage = redis.call('HGET', meta, 'lin')
if lineage then
  return { lineage == ARGV[1] and 'done' or 'other' }
end
if ARGV[2] ~= '1' then
  return { 'missing' }
end
for place = 1, #KEYS do
  if redis.call('EXISTS', KEYS[place]) == 1 then
    return { 'used', KEYS[place] }
  end
end
-- Under a name that is no key: reads see by it, in the same command, that the shard is still there.
redis.call('HSET', data, '', ARGV[1])
redis.call('HSET', meta, 'lin', ARGV[1], 'rev', '0', 'log', '0', 'ent', '0', 'byt', '0')
return { 'done' }
