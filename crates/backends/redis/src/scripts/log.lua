-- Reads the log of changes.
--
-- ARGV: lineage, the id to begin with, how many. Gives the entries as the stream has them.
if redis.call('HGET', meta, 'lin') ~= ARGV[1] then
  return { 'lost' }
end
return { 'done', redis.call('XRANGE', log, ARGV[2], '+', 'COUNT', ARGV[3]) }
