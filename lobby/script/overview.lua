-- overview time: somebody wants to hear of agents and chats for this time (ms). Result:
-- {whether somebody did before, mean interval between takes, the agents, how many users
-- wait}.
local function overview(time)
  sweep()
  local before = watching and 1 or 0
  watch(time)
  local list = {}
  for _, agent in ipairs(redis.call('HKEYS', turns)) do list[#list + 1] = agent_news(agent) end
  local standing_now = stand()
  return {before, standing_now[1], list, standing_now[3]}
end
