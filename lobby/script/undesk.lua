-- undesk server: the server ends.
local function undesk(server)
  close_desk(server)
end
