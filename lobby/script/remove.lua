-- remove chatId: the user does not wait any more.
local function remove(chat)
  drop(chat)
end
