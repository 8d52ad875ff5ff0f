-- decline chatId userId agent: the agent does not take a user who is offered to them.
local function decline(chat, id, agent)
  sweep()
  local user = redis.call('HGET', users, chat)
  if not user or string.sub(user, 1, 32) ~= id or not redis.call('ZSCORE', offers, chat) then return end
  if redis.call('HGET', holders, chat) ~= agent then return end
  unclaim(chat, declined)
  freed[#freed + 1] = chat
end
