-- What can be done with the queue: a call has the one of these that it names.
-- add chatId userId user number record since team: waits, at the end; once. since (us)
-- is when the wait began, 0 for now. Result: 1 if the user was not there.
function run.add(...)
  return add(...)
end

-- enter chatId userId user number record since team after life entry...: add, if the log was
-- as long as after before it got the entries. Result: {length of the log, 1 if so}.
function run.enter(chat, id, user, number, record, since, team, after, life, ...)
  local length, as_believed = append(after, life, ...)
  if not as_believed then return {length, 0} end
  add(chat, id, user, number, record, since, team)
  return {length, 1}
end

-- release chatId userId user number record since team agent time text holder hold_time: waits
-- again, in the old place, and is nobody's; once. To an agent who is there it is offered
-- first; from assignment it is kept for holder, if there is one, for this time (ms).
function run.release(chat, id, user, number, record, since, team, agent, time, text, holder, hold_time)
  sweep()
  if redis.call('HEXISTS', users, chat) == 0 then
    if born then unhold(chat, true) end
    local place = tonumber(since)
    while redis.call('ZCOUNT', places, int(place), int(place)) > 0 do place = place + 1 end
    put(chat, id, user, since, number, record, team, place)
    freed[#freed + 1] = chat
    if agent ~= '' and at_seats(agent) then
      offer(chat, agent, tonumber(time), text)
    elseif holder ~= '' and assigning then
      claim(chat, holder, hold_time)
    end
  end
  renewed(chat)
end

-- change (chatId number record)...: what is known of users has changed, unless it
-- is older than what is there.
function run.change(...)
  local args = {...}
  for i = 1, #args, 3 do
    local chat, number, record = args[i], args[i + 1], args[i + 2]
    local before = redis.call('HGET', records, chat)
    local place = redis.call('ZSCORE', places, chat)
    if before and place then
      local since, its_number = string.match(before, '^(%d+) (%d+) ')
      if tonumber(number) > tonumber(its_number) then
        redis.call('HSET', records, chat, since .. ' ' .. number .. ' ' .. record)
        if not redis.call('ZSCORE', claims, chat) then
          emit(int(tonumber(place)), '{"type":"UserChanged"}', false)
        elseif born and redis.call('ZSCORE', offers, chat) then
          stir('o' .. chat)
        end
      end
    end
  end
end

-- renew chatId...: still there. Result: those that are not in the queue.
function run.renew(...)
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

-- leave grace chatId...: gone unless renewed or added within the grace.
function run.leave(grace, ...)
  for _, chat in ipairs({...}) do
    if redis.call('HEXISTS', users, chat) == 1 then
      redis.call('ZADD', present, int(now + grace), chat)
    end
  end
end

-- remove chatId: waits no more.
function run.remove(chat)
  drop(chat)
end

-- taken chatId supportId agent record: the same, because a support has joined. Whoever
-- has claimed the user is the agent where none is given. Result: who had claimed them.
function run.taken(...)
  return taken(...)
end

-- take chatId userId supportId agent record time channel news after life entry...: the log
-- says that a support has joined, unless somebody else has claimed the user; an agent claims
-- them for this time (ms). taken, and the news on the channel, if the log was as long as
-- after before. Result: {length of the log or -1 for a lost claim, taken's if so}.
function run.take(chat, id, support, agent, record, time, channel, news, after, life, ...)
  if agent ~= '' and claim_for(chat, id, agent, time, '') == 'lost' then return {-1, 0} end
  local length, as_believed = append(after, life, ...)
  if not as_believed then return {length, 0} end
  if channel ~= '' then told = {channel, news} end
  return {length, taken(chat, support, agent, record)}
end

-- take_back chatId supportId: the former support again, unless somebody has claimed
-- the user. Result: 1 if so.
function run.take_back(chat, support)
  sweep()
  if redis.call('ZSCORE', claims, chat) then return 0 end
  drop(chat)
  if born then redis.call('ZREM', held, 'x' .. chat .. support) end
  return 1
end

-- hold (chatId supportId agent record)...: these chats have these supports. Result:
-- until when (ms) somebody wants to know, 0 if nobody does, and in which generation.
function run.hold(...)
  local args = {...}
  if not watching then return {0, born or ''} end
  if born then sweep() end
  for i = 1, #args, 4 do hold(args[i], args[i + 1], args[i + 2], args[i + 3]) end
  return {tonumber(watched), born or ''}
end

-- unhold chatId...: these chats have no support any more.
function run.unhold(...)
  if not born then return end
  for _, chat in ipairs({...}) do unhold(chat, true) end
end

-- stand chatId...: how users stand. Result: {mean interval between the takes (ms) or -1
-- if there are too few, positions, how many wait}: 1 is next, 0 is claimed, -1 not
-- there. Who is offered to somebody waits as before.
function run.stand(...)
  return stand(...)
end

-- claim chatId userId holder time teams: teams are those of whose users the holder is
-- told, '' for all. Result: 'won', 'again', 'lost' to another holder, or 'absent'.
function run.claim(...)
  return claim_for(...)
end

-- decline chatId userId agent: does not want to have who is offered to them.
function run.decline(chat, id, agent)
  sweep()
  local user = redis.call('HGET', users, chat)
  if not user or string.sub(user, 1, 32) ~= id or not redis.call('ZSCORE', offers, chat) then return end
  if redis.call('HGET', holders, chat) ~= agent then return end
  unclaim(chat, declined)
  freed[#freed + 1] = chat
end

-- has agent chatId. Result: 1 if the chat is the agent's.
function run.has(agent, chat)
  return born and holding(chat) == agent and 1 or 0
end

-- reachable agent. Result: 1 if there is a socket that shows offers.
function run.reachable(agent)
  sweep()
  return at_seats(agent) and 1 or 0
end

-- desk server watch policy time (agent at flags teams about status)...: the server
-- lives, and its agents have changed; at is '' for one who is not there any more.
-- Result: 1 if the server was known, 0 if it has to tell of all its agents.
function run.desk(server, watch_time, its_policy, time, ...)
  sweep()
  watch(watch_time)
  local was_known = redis.call('ZSCORE', desks, server) and 1 or 0
  redis.call('ZADD', desks, int(now + desk_lease), server)
  touched = true
  if its_policy ~= (policy or '') or time ~= offer_time then
    redis.call('HSET', staff, 'assign', its_policy, 'offer', time)
    policy, offer_time, assigning = its_policy, time, its_policy ~= ''
    for _, agent in ipairs(redis.call('HKEYS', turns)) do restless[agent] = true end
  end
  local args = {...}
  for i = 1, #args, 6 do
    local agent, at, flags, its_teams, about, status = unpack(args, i, i + 5)
    if at == '' then
      vacate(server, agent)
    else
      seat(server, agent, at, flags, its_teams, about, status)
    end
  end
  return was_known
end

-- undesk server: the server ends.
function run.undesk(server)
  close_desk(server)
end

-- overview time: for this time somebody wants to know. Result: {whether somebody did
-- before, mean interval between takes, the agents, how many users wait}.
function run.overview(time)
  sweep()
  local before = watching and 1 or 0
  watch(time)
  local list = {}
  for _, agent in ipairs(redis.call('HKEYS', turns)) do list[#list + 1] = agent_news(agent) end
  local standing_now = stand()
  return {before, standing_now[1], list, standing_now[3]}
end

-- sync epoch version born stirs wants: what has changed since. Result: {'events', log
-- entries, for each the record of a user who has joined or changed, news}, or {'all',
-- log tail, queue in the log's form, with records, news} where the log does not tell.
function run.sync(its_epoch, its_version, its_born, its_stirs, wants)
  -- What is known of a user: a record, or '' for users of a former server.
  local function record_at(place)
    local chat = redis.call('ZRANGEBYSCORE', places, place, place)[1]
    return chat and redis.call('HGET', records, chat) or ''
  end

  sweep()
  local news = staff_news(its_born, tonumber(its_stirs), wants)
  local missed = version - its_version
  if epoch == its_epoch and missed >= 0 and missed <= redis.call('LLEN', log) then
    local entries, found = missed > 0 and redis.call('LRANGE', log, -missed, -1) or {}, {}
    for i, entry in ipairs(entries) do
      local place = string.match(entry, '^%d+ (%d+) ')
      found[i] = place ~= '0' and record_at(place) or ''
    end
    return {'events', entries, found, news}
  end
  local pending = {}
  local order = redis.call('ZRANGE', places, 0, -1, 'WITHSCORES')
  for i = 1, #order, 2 do
    if not redis.call('ZSCORE', claims, order[i]) then
      local record = redis.call('HGET', records, order[i]) or string.sub(redis.call('HGET', users, order[i]), 33)
      pending[#pending + 1] = '0 ' .. order[i + 1] .. ' ' .. record
    end
  end
  return {'all', redis.call('LRANGE', log, -chunk, -1), pending, news}
end
