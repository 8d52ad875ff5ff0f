-- undesk server: the server shuts down.
local function undesk(server)
  close_desk(server)
end
