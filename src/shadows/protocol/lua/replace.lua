-- Accepts n calls as `schedule` does, where some take the place of what stands under their keys.
-- keys: queues
-- with: time streams events unique places controls whole permits retire accept
-- KEYS: the streams of all queues
-- ARGV: as shared/accept.lua
-- Reply: as `schedule`
-- Keeps: as `schedule`; of what is replaced nothing runs any more, and no outcome of it counts.
return accept(retire)
