-- What a stream entry holds: key, attempt, deliveries, call. Without the last three where it is not ours to read
-- (then the whole of it as text, for the dead letters); nothing where the entry is gone.
local function entry(queue, id)
  local found = redis.pcall('XRANGE', stream[queue], id, id)[1]  -- (an id may be none)
  if not found then return end
  local fields = found[2]
  if fields[1] ~= 'k' or fields[3] ~= 'c' or #fields ~= 4 then return nil, nil, nil, nil, table.concat(fields, ' ') end
  local attempt, deliveries, body = fields[4]:match('^(%d+)/(%d+)/(.*)$')
  return fields[2], tonumber(attempt), tonumber(deliveries), body, fields[4]
end
