-- keys: producers windows
-- A producer's batches, one after the other: `answered` is the reply to one that was here before, or that comes behind a
-- newer one; nil where it is new. `note(said)` keeps what it is answered, and gives the reply.
-- ARGV: instant, producer, batch number, ms to remember the producer for ('' = as noted before)
local producer, batch, remember, answered = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), nil
local noted = call('HGET', producers, producer)
if noted then
  local seen, said = noted:match('^(%d+) ([ABEF]*)$')
  seen = tonumber(seen) or 0                        -- (whatever else stands there was never noted)
  if seen == batch then answered = {'OK', said, facts[2] or 0} end
  if seen > batch then answered = {'LATE'} end
end
local function note(said)
  call('HSET', producers, producer, batch .. ' ' .. said)
  if remember then redis.pcall('ZADD', windows, now + remember, 'p/' .. producer) end  -- (broken, it is tried again)
  publish(producer)
  return {'OK', said, facts[2] or 0}
end
