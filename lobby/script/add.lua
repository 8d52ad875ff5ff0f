-- add chatId userId user number record since team puts a user at the end of the queue,
-- unless they are in it. since (us) is when the wait began, 0 for now. Result: 1 if the
-- user was not in the queue.
local function add(chat, id, user, number, record, since, team)
  sweep()
  if since == '0' then since = now_us end
  local result = 0
  if redis.call('HEXISTS', users, chat) == 0 then
    local place = math.max(tonumber(since), last_place + 1)
    put(chat, id, user, since, number, record, team, place)
    if assigning then freed[#freed + 1] = chat else emit_joined(place, id .. user) end
    result = 1
  elseif redis.call('HSETNX', records, chat, since .. ' ' .. number .. ' ' .. record) == 1 then
    fresh = true
  end
  renewed(chat)
  return result
end
