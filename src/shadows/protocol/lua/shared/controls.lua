-- keys: controls
-- Takes back what was noted for the holder of a token that is being retired; true where a cancel was on its way to it.
local watched = call('ZCARD', controls) > 0
local function unwatch(token, queue, id)
  if not watched then return false end
  local who = owner(queue, id)
  return who ~= nil and call('ZREM', controls, who .. '\0' .. token) == 1
end
