-- Writes what a worker says of itself.
-- with: words
-- ARGV: '', worker, its words
-- Reply: OK
-- Keeps: as with every script of a worker, a full server does not refuse it; nothing is written of one who has gone.
call('ZREM', leases, '')
say(ARGV[2], ARGV[3])
return {'OK'}
