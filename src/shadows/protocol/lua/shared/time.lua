-- `now`: the instant in ms, the server's own unless a test passed one in ARGV[1].
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
