-- keys: meta
-- What scripts ask of `meta`, at once: until when somebody listens, the version of the strikes, the paused queues, and
-- whether any key is kept beyond its task's end.
local facts = call('HMGET', meta, 'listening', 'strikes', 'paused', 'unique')
