-- release chatId userId user number record since team agent time text holder hold_time puts
-- a user back into the queue, in their old place, unless they are in it. If the agent is
-- there, the chat is offered to them first. Otherwise, with assignment, it is kept for the
-- holder, if one is given, for hold_time (ms).
local function release(chat, id, user, number, record, since, team, agent, time, text, holder, hold_time)
  sweep()
  if redis.call('HEXISTS', users, chat) == 0 then
    if born then unhold_chat(chat, true) end
    local place = tonumber(since)
    while redis.call('ZCOUNT', places, int(place), int(place)) > 0 do place = place + 1 end
    put(chat, id, user, since, number, record, team, place)
    freed[#freed + 1] = chat
    if agent ~= '' and at_seats(agent) then
      offer(chat, agent, tonumber(time), text)
    elseif holder ~= '' and assigning then
      set_claim(chat, holder, hold_time)
    end
  end
  renewed(chat)
end
