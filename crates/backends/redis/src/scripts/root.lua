-- Makes the record of a store, or finds it. Has only the root as its key.
--
-- ARGV: format, lineage, shards, '1' to make it, or 'ready' alone to say that all shards are there.
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'none' and kind ~= 'hash' then
  return { 'used' }
end
if ARGV[1] == 'ready' then
  redis.call('HSET', KEYS[1], 'ready', '1')
  return { 'done' }
end
local state = redis.call('HMGET', KEYS[1], 'format', 'lineage', 'shards', 'ready')
if state[1] then
  return { 'done', state[1], state[2], state[3], state[4] or '0' }
end
if kind ~= 'none' then
  return { 'used' }
end
if ARGV[4] ~= '1' then
  return { 'missing' }
end
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'lineage', ARGV[2], 'shards', ARGV[3])
return { 'done', ARGV[1], ARGV[2], ARGV[3], '0' }
