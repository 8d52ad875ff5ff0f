-- enter chatId userId user number record since team after life entry... appends entries to
-- the chat's log. If the log had after entries before, it adds the user to the queue as
-- well. Result: {length of the log, 1 if the user was added, else 0}.
local function enter(chat, id, user, number, record, since, team, after, life, ...)
  local length, as_believed = append(after, life, ...)
  if not as_believed then return {length, 0} end
  add(chat, id, user, number, record, since, team)
  return {length, 1}
end
