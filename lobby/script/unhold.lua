-- unhold chatId...: these chats have no support any more.
local function unhold(...)
  if not born then return end
  for _, chat in ipairs({...}) do unhold_chat(chat, true) end
end
