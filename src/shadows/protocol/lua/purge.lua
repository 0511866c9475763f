-- Removes everything that the shadow is.
-- keys: meta queues wake due parked live permits held waiting windows leases workers controls strikes ended ended:at dead dead:at producers progress
-- with: streams
-- KEYS: the streams of all queues
-- ARGV: ''
-- Reply: OK | QUEUES
-- Keeps: no stream of a queue is left, whoever added it.
for _, key in ipairs(KEYS) do call('UNLINK', key) end
return {'OK'}
