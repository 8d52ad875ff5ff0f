-- unclaim ends the claim of a chat, and returns its holder; nil if there is no claim. If
-- the claim was an offer, why says how it ended.
local function unclaim(chat, why)
  if redis.call('ZREM', claims, chat) == 0 then return nil end
  local holder = redis.call('HGET', holders, chat) or ''
  redis.call('HDEL', holders, chat)
  if born then
    unoffer(chat, why)
    put_down('c', holder, chat)
  end
  return holder
end

local function is_free(chat)
  return redis.call('HEXISTS', users, chat) == 1 and not redis.call('ZSCORE', claims, chat)
end

-- set_claim makes somebody the holder of a chat for a time (ms).
local function set_claim(chat, holder, time)
  redis.call('ZADD', claims, int(now + time), chat)
  redis.call('HSET', holders, chat, holder)
  fresh = true
  if watching then take_up('c', holder, chat) end
end
