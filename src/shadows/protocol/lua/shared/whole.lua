-- Whether a key may be written as what it is to be: asked before an item's first write, of keys that nothing before it has
-- touched, as scripts do not roll back.
local wholes = {}
local function whole(key, kind)
  if wholes[key] == nil then
    local found = call('TYPE', key).ok
    wholes[key] = found == kind or found == 'none'
  end
  return wholes[key]
end
