-- keys: queues
-- Refuses a caller whose list of queues is old, with nothing written; then `stream[queue]` names the stream of each.
-- `good(queue)` tells whether that stream may be written: asked before an item's first write, as scripts do not roll back.
-- `owner(queue, id)` is the worker that was given an entry: nil where nobody was, or where somebody removed the group.
local names, stream, sound = call('SMEMBERS', queues), {}, {}
if #names == 0 or #names ~= #KEYS - FIXED then return {'QUEUES'} end
for i = FIXED + 1, #KEYS do
  stream[KEYS[i]:sub(#queues + 1)] = KEYS[i]        -- 'ready:' is as long as 'queues'
end
for _, queue in ipairs(names) do
  if not stream[queue] then return {'QUEUES'} end
end
local function good(queue)
  if sound[queue] == nil then
    local kind = stream[queue] and call('TYPE', stream[queue]).ok
    sound[queue] = kind == 'stream' or kind == 'none' -- (deleted by hand: it is made anew)
  end
  return sound[queue]
end
local function owner(queue, id)
  local pending = redis.pcall('XPENDING', stream[queue], 'g', id, id, 1)[1]
  return pending and pending[2]
end
