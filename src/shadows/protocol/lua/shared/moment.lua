-- `now`, as in time.lua, but asked for only where something depends on it: some call has an instant, somebody listens or
-- did, a key is kept, the producer is to be remembered. Else 0, and all is to run at once.
local now = tonumber(ARGV[1])
if not now then
  now = 0
  if facts[1] or facts[4] or ARGV[4] ~= '' or ARGV[7] ~= '0' or #ARGV > 8 + 2 * ARGV[8] then
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
end
