-- Accepts n calls, each by itself: to run at once, or at an instant.
-- keys: queues
-- with: time streams events unique whole places accept
-- KEYS: the streams of all queues
-- ARGV: as shared/accept.lua, all in mode add
-- Reply: OK, a letter for each: A accepted, E exists (the key is taken, or not free again yet), B bad, F its queue is
--        full (nothing was written for either), the version of the strikes | LATE: a newer batch of this producer was here, nothing was done | QUEUES
-- Keeps: what is accepted stands in exactly one place, named in `live`; the same batch sent again changes nothing.
return accept()
