-- The queue of users who wait for a support, and the agents who take them. Every call is
-- one script, so each change is atomic and leaves its event. A script begins with this
-- file; script.go says what follows. All keys share one slot.
--
--   users    hash  chatId -> userId (32 bytes) .. the user's JSON as it is published
--   places   zset  chatId by place in the queue, which is about when the wait began (us)
--   present  zset  chatId by the time (ms) at which the user has left unless renewed
--   claims   zset  chatId by the time (ms) at which its claim ends; an offer is a claim
--   holders  hash  chatId -> the agent who has claimed it, or to whom it is offered
--   log      list  the latest events: time (ms) .. ' ' .. place .. ' ' .. JSON
--   meta     hash  epoch, version (number of events in this epoch), place, seen,
--                  asked (somebody wants to know users' positions)
--   records  hash  chatId -> start of the wait (us) .. ' ' .. number .. ' ' .. JSON
--                  with all that is known of the user; the highest number counts
--   takes    list  when (ms) supports have taken users, the latest first
--   teams    hash  chatId -> the user's team, if there is one
--   asked    hash  chatId -> the agents to whom this wait has been offered
--
-- Scripts do not look into JSON. They only put an event's type around it. Older servers may
-- share these keys. Those that know no records write none; then what is in users is all
-- that is known of a user. Those that know no agents have the first nine keys alone; to
-- them an offer is a claim.
--
-- ARGV: operation, time to live of the keys (ms), how long a user stays present without
-- being renewed (ms), the channel on which to publish the events of this call or '' to
-- return them, the operation's arguments. enter and take also have a chat's log, as the
-- last of KEYS.
-- Reply: {epoch, version, number of users whom agents see, events to publish, result,
-- 1 if something has changed that lobbies follow, offers of this call ({made, accepted,
-- declined, expired, gone with their user or agent}, or 0 for none), 1 if there are
-- agents}.
local users, places, present, claims, holders, log, meta, records, takes, teams, asked = unpack(KEYS, 1, 11)
local operation, ttl, lease, channel = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local chunk = 1000
-- How much of the log is kept, in events and ms. A lobby that is further behind reads the
-- whole queue. So the log does not keep for long what users have written.
local kept, kept_for = 10000, math.min(ttl, 30000)
local empty_ttl = math.min(ttl, 5000)
-- How many takes count, and how long (ms) they are kept.
local takes_counted, takes_kept_for = 20, 1800000
-- The keys live this much longer than they need to, so that not every call has to renew
-- all of them.
local slack = math.ceil(ttl / 10)

local function int(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local now_us = string.format('%d%06d', tonumber(time[1]), tonumber(time[2]))
local known = redis.call('HMGET', meta, 'epoch', 'version', 'seen', 'place', 'asked')
local epoch, version, seen, last_place = known[1] or '', tonumber(known[2] or 0), known[3], tonumber(known[4] or 0)
local events = {}
local told -- {channel, payload}: what is published after the events of this call
local fresh = false -- a key has come into being and has no time to live yet
local freed = {} -- chats that nobody has any more, and that are not announced yet
local stirring = false -- something that lobbies follow has changed
local counts -- offers of this call, by how they ended; nil for none
local made, accepted, declined, expired, gone = 1, 2, 3, 4, 5
