-- leave grace chatId...: gone unless renewed or added within the grace.
local function leave(grace, ...)
  for _, chat in ipairs({...}) do
    if redis.call('HEXISTS', users, chat) == 1 then
      redis.call('ZADD', present, int(now + grace), chat)
    end
  end
end
