-- Each call begins here. Events that are too old leave the log.
for _ = 1, chunk do
  local oldest = redis.call('LINDEX', log, 0)
  if not oldest or tonumber(string.match(oldest, '^%d+')) > now - kept_for then break end
  redis.call('LPOP', log)
end

-- While the store was away, nobody could renew anything. Users who were present then get
-- time to do so now. A queue at work is called more often than this.
if seen and now - tonumber(seen) > lease / 16 then
  redis.call('HSET', meta, 'seen', int(now))
  if now - tonumber(seen) > lease / 2 then
    local soonest = now + lease / 4
    for _, chat in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', int(soonest))) do
      redis.call('ZADD', present, int(soonest), chat)
    end
  end
end
if watching then forgive_staff() end
