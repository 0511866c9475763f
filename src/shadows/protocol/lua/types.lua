-- What the server calls the types of the shadow's keys: asked where one of them is not what it is to be.
-- keys: meta queues wake due parked live permits held waiting windows leases workers controls strikes ended ended:at dead dead:at producers progress
-- KEYS: the streams of the queues that the caller knows
-- Reply: a type for each key
-- Keeps: it writes nothing, and works on keys of any type.
local types = {}
for i, key in ipairs(KEYS) do types[i] = call('TYPE', key).ok end
return types
