-- taken chatId supportId agent record removes a user because a support has joined. If no
-- agent is given, it is the one who has claimed the user. Result: that one, or ''.
local function taken(chat, support, agent, record)
  local user = redis.call('HGET', users, chat)
  if user then
    if redis.call('LPUSH', takes, int(now)) > 2 * takes_counted then redis.call('LTRIM', takes, 0, takes_counted - 1) end
    keep_takes(known[5] and takes_kept_for or ttl)
  end
  local is_offered = born and redis.call('ZSCORE', offers, chat)
  local holder = drop(chat, user)
  if is_offered then holder = nil end
  if watching and support ~= '' then
    redis.call('ZREM', held, 'x' .. chat .. support)
    hold_chat(chat, support, agent ~= '' and agent or holder or '', record)
  end
  return holder or ''
end
