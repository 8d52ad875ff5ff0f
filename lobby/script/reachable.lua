-- reachable agent. Result: 1 if the agent has a socket that shows offers.
local function reachable(agent)
  sweep()
  return at_seats(agent) and 1 or 0
end
