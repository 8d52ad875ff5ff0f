-- agent_news, offer_news and chat_news return what a lobby is told about one agent, offer
-- or chat; if it is gone, only its name.
local function agent_news(agent)
  local shows, _, all = at_seats(agent)
  if shows == nil then return {'a' .. agent} end
  local status, capacity, has, claimed, asked_for = standing(agent)
  return {'a' .. agent, status, capacity, has, claimed, asked_for, all}
end

local function offer_news(chat)
  local value, user = redis.call('HGET', offered, chat), redis.call('HGET', users, chat)
  if not value or not user then return {'o' .. chat} end
  local agent, rest = after_agent(value)
  return {'o' .. chat, agent, rest, redis.call('HGET', records, chat) or string.sub(user, 33)}
end

local function chat_news(chat)
  local value = redis.call('HGET', chats, chat)
  if not value then return {'h' .. chat} end
  return {'h' .. chat, after_agent(value)}
end

local teller = {a = agent_news, o = offer_news, h = chat_news}

-- staff_news returns what has changed since change its_stirs, for the kinds in wants:
-- {born, stirs, whether somebody wants to know, whether this is everything, news...}.
local function staff_news(its_born, its_stirs, wants)
  local result = {born or '', stirs, watching and 1 or 0, 0}
  if wants == '' then return result end
  local list
  if its_born == born and its_stirs >= floor and its_stirs <= stirs then
    list = redis.call('ZRANGEBYSCORE', stirred, '(' .. int(its_stirs), '+inf')
  else
    result[4] = 1
    list = {}
    for kind, key in pairs({a = turns, o = offered, h = chats}) do
      for _, one in ipairs(redis.call('HKEYS', key)) do list[#list + 1] = kind .. one end
    end
  end
  for _, one in ipairs(list) do
    local kind = string.sub(one, 1, 1)
    if string.find(wants, kind, 1, true) then result[#result + 1] = teller[kind](string.sub(one, 2)) end
  end
  return result
end
