-- Has workers take nothing from a queue, or from all; or has them take from it again.
-- keys: meta due
-- ARGV: '', pause | resume, queue ('*' = all)
-- Reply: OK
-- Keeps: `paused` in `meta` holds each paused queue once, followed by a space, and `*` for all; to resume all leaves none.
local paused, name = call('HGET', meta, 'paused') or '', ARGV[3] .. ' '
local at = (' ' .. paused):find(' ' .. name, 1, true)
call('ZREM', due, '')                               -- from here on nothing is refused for memory
if ARGV[2] == 'pause' then
  if not at then call('HSET', meta, 'paused', paused .. name) end
elseif name == '* ' then
  call('HDEL', meta, 'paused')
elseif at then
  call('HSET', meta, 'paused', paused:sub(1, at - 1) .. paused:sub(at + #name))
end
return {'OK'}
