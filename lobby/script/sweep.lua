-- settle ends a change: users whom nobody has are offered to agents, or announced.
local function settle()
  if assigning then assign() end
  local announced = freed
  freed = {}
  for _, chat in ipairs(announced) do
    if is_free(chat) then emit_joined(redis.call('ZSCORE', places, chat), redis.call('HGET', users, chat)) end
  end
end

-- drop removes a user from the queue, and returns the agent who had claimed them.
local function drop(chat, user)
  user = user or redis.call('HGET', users, chat)
  redis.call('HDEL', users, chat)
  redis.call('HDEL', records, chat)
  redis.call('HDEL', teams, chat)
  redis.call('ZREM', places, chat)
  redis.call('ZREM', present, chat)
  if born then redis.call('HDEL', asked, chat) end
  local holder = unclaim(chat, gone) -- a claim has already removed the user from the lists
  if not holder and user then emit_removed(user) end
  return holder
end

-- sweep removes users and claims whose time is over.
local function sweep()
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', int(now), 'LIMIT', 0, chunk)) do
    drop(chat)
  end
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', claims, '-inf', int(now), 'LIMIT', 0, chunk)) do
    unclaim(chat, expired)
    freed[#freed + 1] = chat
  end
  if born then sweep_staff() end
  settle()
end
