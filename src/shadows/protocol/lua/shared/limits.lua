-- How much is kept of what ended: ms to keep a record, records at most, dead letters at most.
local keep, max_ended, max_dead = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
