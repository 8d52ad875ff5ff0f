-- enter chatId userId user number record since team after life entry...: add, if the log was
-- as long as after before it got the entries. Result: {length of the log, 1 if so}.
local function enter(chat, id, user, number, record, since, team, after, life, ...)
  local length, as_believed = append(after, life, ...)
  if not as_believed then return {length, 0} end
  add(chat, id, user, number, record, since, team)
  return {length, 1}
end
