-- Says that somebody listens for news, for a while: without that nobody publishes any.
-- keys: meta due
-- with: time
-- ARGV: instant, for how many ms
-- Reply: OK
-- Keeps: as with what workers do, a full server does not refuse it.
call('ZREM', due, '')
call('HSET', meta, 'listening', now + ARGV[2])
return {'OK'}
