-- watch notes that somebody wants to hear of agents and chats for this time (ms).
local function watch(time)
  local till = now + tonumber(time)
  if time == '0' or watched and tonumber(watched) >= till then return end
  redis.call('HSET', staff, 'watched', int(till))
  watched, touched = till, true
  if watching then return end
  watching = true
  for _, chat in ipairs(redis.call('ZRANGE', claims, 0, -1)) do -- claims are counted only from now on
    if not redis.call('ZSCORE', offers, chat) then take_up('c', redis.call('HGET', holders, chat), chat) end
  end
end
