-- claim chatId userId holder time teams claims a user for a time (ms). The holder is told
-- of users of these teams, '' for all. Result: 'won', 'again' if the holder had the claim,
-- 'accepted' if the user was offered to the holder, 'lost' to another holder, or 'absent'.
local function claim(chat, id, holder, time, its_teams)
  sweep()
  local user = redis.call('HGET', users, chat)
  if not user or string.sub(user, 1, 32) ~= id then return 'absent' end
  if redis.call('ZSCORE', claims, chat) then
    if redis.call('HGET', holders, chat) ~= holder then return 'lost' end
    if not born or not redis.call('ZSCORE', offers, chat) then return 'again' end
    unoffer(chat, accepted)
    set_claim(chat, holder, time)
    return 'accepted'
  end
  local team = its_teams ~= '' and redis.call('HGET', teams, chat)
  if team and not string.find(its_teams, '\n' .. team .. '\n', 1, true) then return 'absent' end
  set_claim(chat, holder, time)
  emit_removed(user)
  return 'won'
end
