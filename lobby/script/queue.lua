-- The queue of users who wait for a support, and the agents who are to take them.
-- Every call is one script, so that a change is atomic and leaves its event. A script
-- begins with this file; script.go says what follows. All keys share one slot.
--
--   users    hash  chatId -> userId (32 bytes) .. the user's JSON as it is published
--   places   zset  chatId by place in the queue, which is about when the wait began (us)
--   present  zset  chatId by the time (ms) at which it is gone unless renewed
--   claims   zset  chatId by the time (ms) at which its claim runs out; an offer is one
--   holders  hash  chatId -> who claimed it, or is offered it
--   log      list  the latest events: time (ms) .. ' ' .. place .. ' ' .. JSON
--   meta     hash  epoch, version (number of events in this epoch), place, seen,
--                  asked (somebody wants to know how users stand)
--   records  hash  chatId -> waits since (us) .. ' ' .. number .. ' ' .. JSON with
--                  all that is known of the user; the higher number counts
--   takes    list  when (ms) supports have taken users, the latest first
--   teams    hash  chatId -> the user's team, if there is one
--   asked    hash  chatId -> the agents to whom this wait has been offered
--
-- No JSON is taken apart or put together here, but for its type around it. Servers
-- from before there were records may share these keys: their users have none, and
-- what they have in the log is then all that is known. Servers from before there
-- were agents know the first nine keys alone; an offer is a claim to them.
--
-- ARGV: operation, time to live of the keys (ms), how long a user stays present
-- without being renewed (ms), the channel on which to publish the events of this
-- call or '' to return them, the operation's arguments. Behind these KEYS may stand a
-- chat's log, where the store has it execute that.
-- Reply: {epoch, version, number of users to be seen, events to publish, result,
-- whether something has changed that agents' lobbies follow (1), offers of this call:
-- {made, accepted, declined, expired, gone with their user or agent}, or 0 for none,
-- whether there are agents (1)}.
local users, places, present, claims, holders, log, meta, records, takes, teams, asked = unpack(KEYS, 1, 11)
local operation, ttl, lease, channel = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local chunk = 1000
-- How much of the log is kept, in events and ms; a lobby further behind looks at
-- the whole queue. What was there is not to be found in the log for long.
local kept, kept_for = 10000, math.min(ttl, 30000)
local empty_ttl = math.min(ttl, 5000)
-- How many takes count, and for how long (ms) they are kept.
local takes_counted, takes_kept_for = 20, 1800000
-- The keys are given this much more than they need, so that not every call has
-- to renew them all.
local slack = math.ceil(ttl / 10)

local function int(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local now_us = string.format('%d%06d', tonumber(time[1]), tonumber(time[2]))
local known = redis.call('HMGET', meta, 'epoch', 'version', 'seen', 'place', 'asked')
local epoch, version, seen, last_place = known[1] or '', tonumber(known[2] or 0), known[3], tonumber(known[4] or 0)
local events = {}
local told -- {channel, payload}: what is published behind the events of this call
local fresh = false -- a key has come into being and has no time to live yet
local freed = {} -- chats that are nobody's any more, and not announced yet
local stirring = false -- something that agents' lobbies follow has changed
local counts -- of offers in this call, by what has become of them; nil for none
local made, accepted, declined, expired, gone = 1, 2, 3, 4, 5
