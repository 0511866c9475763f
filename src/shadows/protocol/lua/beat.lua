-- Renews a worker's lease.
-- keys: leases
-- with: time
-- ARGV: instant, worker, length in ms, first (1 | 0)
-- Reply: OK | LOST (it was reaped, or is being), the instant, the workers whose leases have expired (8 at most)
-- Keeps: it declares one key alone, so that leases go on while a slot is moved.
local me = ARGV[2]
call('ZREM', leases, '')                            -- from here on nothing is refused for memory
if ARGV[4] ~= '1' and tonumber(call('ZSCORE', leases, me) or 0) <= 0 then return {'LOST', now} end
call('ZADD', leases, now + ARGV[3], me)
return {'OK', now, unpack(call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 8))}
