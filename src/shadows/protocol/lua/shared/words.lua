-- keys: leases workers
-- Writes what a worker says of itself; nothing is written of one who has gone.
local function say(who, words)
  if call('ZSCORE', leases, who) then call('HSET', workers, who, words) end
end
