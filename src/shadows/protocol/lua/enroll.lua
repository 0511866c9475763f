-- Makes a shadow's queues ready for use, and checks that this library can read what the shadow holds.
-- keys: meta queues wake
-- KEYS: the streams of the queues to enrol
-- ARGV: '', wire version written, least version able to read it
-- Reply: OK, the names of all queues | WIRE, the least version able to read what is there
-- Keeps: a queue is registered, with its group at the very beginning, before its first use; what no queue can be called
--        is none.
local wire, least = tonumber(ARGV[2]), ARGV[3]
local needed = tonumber(call('HGET', meta, 'least')) or 0
if needed > wire and needed < 1000000 then return {'WIRE', needed} end  -- (beyond, it is no version)
if (tonumber(call('HGET', meta, 'wire')) or 0) < wire then call('HSET', meta, 'wire', wire, 'least', least) end
for i = FIXED, #KEYS do
  local key = KEYS[i]                                -- (the first is `wake`)
  local kind = call('TYPE', key).ok
  if kind == 'none' then
    call('XGROUP', 'CREATE', key, 'g', '0', 'MKSTREAM')
  elseif kind == 'stream' then
    local groups, found = call('XINFO', 'GROUPS', key), false
    for _, group in ipairs(groups) do found = found or group[2] == 'g' end
    if not found then call('XGROUP', 'CREATE', key, 'g', '0') end
  end
  local queue = key:sub(#queues + 1)
  if i > FIXED and call('SISMEMBER', queues, queue) == 0 then call('SADD', queues, queue) end
end
local answer = {'OK'}
for _, queue in ipairs(call('SMEMBERS', queues)) do
  if queue:match('^%w[%w._:@+-]*$') and #queue <= 128 then
    answer[#answer + 1] = queue
  else
    call('SREM', queues, queue)
  end
end
return answer
