-- Makes a dead letter a task again: ready, under its own key, as if it were added.
-- keys: queues due parked live dead dead:at
-- with: time streams facts events places
-- KEYS: the streams of all queues
-- checks: keys
-- ARGV: instant, id, the call to run ('' = the letter's own)
-- Reply: REQUEUED | NONE (no letter has the id) | TAKEN (its key is an unfinished execution's) | LOST (its call is gone)
--        | BAD (its queue cannot be written) | QUEUES
-- Keeps: the letter goes as its task comes; sent again it finds no letter, and changes nothing. It takes away before it
--        writes, so a full server does not refuse it.
local wrong = wrong_key()
if wrong then return wrong end
local id = ARGV[2]
local letter = call('HGET', dead, id)
if not letter then return {'NONE'} end
local queue, key_length, info_length, rest = letter:match('^[^/]*/([^/]*)/(%d+)/(%d+)/(.*)$')
local key, body = '', nil
if queue then
  key = rest:sub(1, key_length)
  body = rest:sub(key_length + info_length + 1):match('^%d+/%d+/(.+)$')
end
if key == '' or not body then return {'LOST'} end
if call('HEXISTS', live, key) == 1 then return {'TAKEN'} end
if not good(queue) then return {'BAD'} end
call('HDEL', dead, id)
call('ZREM', dead_at, id)
place(queue, key, '1/0/' .. (ARGV[3] ~= '' and ARGV[3] or body), 0)
tell('queued', key)
publish('')
return {'REQUEUED'}
