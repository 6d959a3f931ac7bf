-- Reads the log of changes.
--
-- ARGV: lineage, the id to begin with, how many. Gives the entries as the stream has them, the revision of the newest one
-- that was written to it, and that of the shard: commits that change nothing have one, too.
local state = redis.call('HMGET', meta, 'lin', 'log', 'rev')
if state[1] ~= ARGV[1] then
  return { 'lost' }
end
return { 'done', redis.call('XRANGE', log, ARGV[2], '+', 'COUNT', ARGV[3]), state[2], state[3] }
