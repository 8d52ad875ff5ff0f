-- Ends a chat whose time is over (see End in ending.go).
-- KEYS: the log, and the key to which it moves when the chat has ended.
-- ARGV: grace and time to live in milliseconds, the time in microseconds, and "now" to
-- end the chat even if its time is not over.
-- Returns how many milliseconds the chat still lives; 0 if it has ended or is gone.
local grace, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
local rest = redis.call('pttl', KEYS[1])
if rest == -2 then return 0 end
local at = tonumber(ARGV[3])
if ARGV[4] ~= 'now' then
  if rest == -1 then -- an append was cut off before it could renew
    redis.call('pexpire', KEYS[1], ttl + grace)
    return ttl
  end
  if rest > grace then return rest - grace end
  if rest <= ttl and 10 * ttl <= grace then
    -- An older server, which knows nothing of the grace, has renewed the chat.
    redis.call('pexpire', KEYS[1], rest + grace)
    return math.max(rest, 1)
  end
  at = at - (grace - rest) * 1000
end
redis.call('rpush', KEYS[1], string.format('{"kind":"ended","at":%.0f}', at))
redis.call('rename', KEYS[1], KEYS[2])
redis.call('pexpire', KEYS[2], grace)
return 0
