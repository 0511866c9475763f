-- Throws a dead letter away.
-- keys: dead dead:at
-- ARGV: '', id
-- Reply: DISCARDED | NONE: no letter has the id
-- Keeps: letter and index go together; a full server does not refuse it.
local found = call('ZREM', dead_at, ARGV[2]) + call('HDEL', dead, ARGV[2])
return {found > 0 and 'DISCARDED' or 'NONE'}
