-- release chatId userId user number record since team agent time text holder hold_time: waits
-- again, in the old place, and is nobody's; once. To an agent who is there it is offered
-- first; from assignment it is kept for holder, if there is one, for this time (ms).
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
