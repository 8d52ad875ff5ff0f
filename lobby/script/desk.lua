-- desk server watch policy time (agent at flags teams about status)...: a server is alive,
-- and these agents of it have changed. at is '' for an agent who is not there any more.
-- Result: 1 if the server was known, 0 if it has to tell about all its agents.
local function desk(server, watch_time, its_policy, time, ...)
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
