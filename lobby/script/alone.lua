-- The queue without agents: what is left out of this script stands behind one of these,
-- which are false. If there are agents after all, nothing is done, and the caller comes
-- again with the script that has agents.lua instead.
local agents, born, watching, assigning = false, false, false, false
if redis.call('HLEN', KEYS[12]) > 0 then return 'agents' end
