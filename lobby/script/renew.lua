-- renew chatId...: these users are still there. Result: those who are not in the queue.
local function renew(...)
  local missing = {}
  for _, chat in ipairs({...}) do
    if redis.call('HEXISTS', users, chat) == 1 then
      redis.call('ZADD', present, int(now + lease), chat)
    else
      missing[#missing + 1] = chat
    end
  end
  sweep()
  return missing
end
