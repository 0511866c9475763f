-- Lets a worker's lease run out now: what it still holds may be reaped at once.
-- keys: leases
-- ARGV: '', worker
-- Reply: OK
-- Keeps: as with every script of a worker, a full server does not refuse it.
call('ZREM', leases, '')
call('ZADD', leases, 'XX', 0, ARGV[2])
return {'OK'}
