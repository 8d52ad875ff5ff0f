-- leave grace chatId...: these users leave the queue unless they are renewed or added
-- within the grace (ms).
local function leave(grace, ...)
  for _, chat in ipairs({...}) do
    if redis.call('HEXISTS', users, chat) == 1 then
      redis.call('ZADD', present, int(now + grace), chat)
    end
  end
end
