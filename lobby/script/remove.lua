-- remove chatId: waits no more.
local function remove(chat)
  drop(chat)
end
