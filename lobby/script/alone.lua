-- The queue without agents. Whatever needs the files that are left out of this script is
-- behind one of these variables, which are false. If there are agents after all, nothing
-- is done, and the caller comes again with the script that has agents.lua.
local agents, born, watching, assigning = false, false, false, false
if redis.call('HLEN', KEYS[12]) > 0 then return 'agents' end
