-- Assignment: a waiting user is offered to one agent after the other, to each once. A user
-- is shown to everybody only when no ready agent is left to ask. So only agents who become
-- ready, and users whom nobody has any more, have to be looked at.
local team_of = {} -- agents' teams in this call

-- ready_now returns whether an agent can be offered a user, and the agent's rank.
local function ready_now(agent)
  local shows, its_teams = at_seats(agent)
  team_of[agent] = its_teams
  if not shows then return false end
  local status, capacity, has, claimed, asked_for = standing(agent)
  local busy = has + claimed + asked_for
  if status ~= 'online' or capacity > 0 and busy >= capacity then return false end
  if policy ~= 'least_busy' then return true, 0 end
  return true, (capacity > 0 and math.floor(busy / capacity * 1000000) * 1000 or 0) + busy
end

-- rank gives an agent their place among those who are ready. It returns whether they are
-- ready, and whether they have become so just now.
local function rank(agent)
  restless[agent] = nil
  local turn = redis.call('HGET', turns, agent)
  if not turn then return false, false end
  local before = was_ready[agent] or redis.call('ZSCORE', ready, turn .. agent)
  was_ready[agent] = nil
  local can, score = ready_now(agent)
  if can then
    redis.call('ZADD', ready, score, turn .. agent)
    touched = true
  else
    redis.call('ZREM', ready, turn .. agent)
  end
  return can, can and not before
end

-- may reports whether a user of this team can be offered to an agent. past has the agents
-- to whom the user has been offered.
local function may(agent, team, past)
  if past and string.find(past, '\n' .. agent .. '\n', 1, true) then return false end
  if not team then return true end
  if not team_of[agent] then
    local _, its_teams = at_seats(agent)
    team_of[agent] = its_teams or ''
  end
  return team_of[agent] == '' or string.find(team_of[agent], '\n' .. team .. '\n', 1, true)
end

-- seek offers a chat to the first agent who can take it. It returns the agent, and whether
-- they are still ready after it; nil if there is no such agent.
local function seek(chat)
  local team, past = redis.call('HGET', teams, chat), redis.call('HGET', asked, chat)
  for from = 0, 1000000, 20 do
    local some = redis.call('ZRANGE', ready, from, from + 19)
    for _, one in ipairs(some) do
      local agent = string.sub(one, 17)
      if may(agent, team, past) then
        offer(chat, agent, tonumber(offer_time), '')
        return agent, (rank(agent))
      end
    end
    if #some < 20 then return nil end
  end
end

-- serve offers users, longest waiting first, to agents who have become ready: users who are
-- shown to everybody, and those in fresh_ones, who have not been announced yet.
local function serve(risen, fresh_ones)
  for from = 0, 1000000, 200 do
    local some = redis.call('ZRANGE', places, from, from + 199)
    if #some == 0 then return end
    local their_teams, past = redis.call('HMGET', teams, unpack(some)), redis.call('HMGET', asked, unpack(some))
    for i, chat in ipairs(some) do
      local wanted = fresh_ones[chat]
      for agent in pairs(risen) do wanted = wanted or may(agent, their_teams[i], past[i]) end
      if wanted and is_free(chat) then
        local agent, still = seek(chat)
        if agent and not still then risen[agent] = nil end
        if agent and not fresh_ones[chat] then emit_removed(redis.call('HGET', users, chat)) end
        if not next(risen) then return end
      end
    end
  end
end

-- assign looks for agents for the users whom nobody has.
local function assign()
  local risen = {}
  for agent in pairs(restless) do
    local can, has_become = rank(agent)
    if has_become or can and reseated[agent] then risen[agent] = true end
  end
  restless, reseated = {}, {}
  local fresh_ones = {}
  for _, chat in ipairs(freed) do fresh_ones[chat] = true end
  if next(risen) then serve(risen, fresh_ones) end
  table.sort(freed, function(a, b)
    return tonumber(redis.call('ZSCORE', places, a) or 0) < tonumber(redis.call('ZSCORE', places, b) or 0)
  end)
  for _, chat in ipairs(freed) do
    if is_free(chat) then seek(chat) end
  end
end
