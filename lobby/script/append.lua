-- append puts entries behind those of the log, if it is there, which lives for life (ms)
-- then, and returns its length, and whether that was after before.
local function append(after, life, ...)
  local length = redis.call('RPUSHX', KEYS[#KEYS], ...)
  if length == 0 then return 0, false end
  redis.call('PEXPIRE', KEYS[#KEYS], life)
  return length, length == after + select('#', ...)
end
