-- append puts entries at the end of the chat's log, if the log is there, and lets it live
-- for life (ms). It returns the new length, and whether the log had after entries before.
local function append(after, life, ...)
  local length = redis.call('RPUSHX', KEYS[#KEYS], ...)
  if length == 0 then return 0, false end
  redis.call('PEXPIRE', KEYS[#KEYS], life)
  return length, length == after + select('#', ...)
end
