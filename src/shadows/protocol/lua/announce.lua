-- Writes what a worker says of itself.
-- keys: leases workers
-- ARGV: '', worker, its words
-- Reply: OK
-- Keeps: as with every script of a worker, a full server does not refuse it; nothing is written of one who has gone.
call('ZREM', leases, '')
if call('ZSCORE', leases, ARGV[2]) then call('HSET', workers, ARGV[2], ARGV[3]) end
return {'OK'}
