-- Claims a request id for a batch that is committed in another shard, or lets go of it.
--
-- ARGV: lineage, request id, fingerprint, 'c' or 'd', requests kept.
if redis.call('HGET', meta, 'lin') ~= ARGV[1] then
  return { 'lost' }
end
local claim = ARGV[3] .. 'S'
local seen = redis.call('HGET', requests, ARGV[2])
if ARGV[4] == 'd' then
  if seen == claim then
    redis.call('HDEL', requests, ARGV[2])
    redis.call('ZREM', ages, ARGV[2])
  end
  return { 'done' }
end
if seen then
  return { seen == claim and 'done' or 'taken' }
end
remember(ARGV[2], claim, micros(), tonumber(ARGV[5]))
return { 'done' }
