// Package lobby has the queue of users who wait for a support, and the agents' view of it.
//
// Queue is the authoritative queue, kept in Redis: chat servers add, renew and remove their
// waiting users, and agents claim users through it. Every change adds an event to the
// queue's log in the same atomic step. A Lobby (one per process of port 9001) follows that
// log and keeps a picture of the queue for its agents; the broker's "users" topic only tells
// it when to read the log.
package lobby

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"livesupport/broker"
	"livesupport/broker/redisdb"
)

// queueKeys are the keys of the queue. They share a slot, because Redis Cluster requires
// that of a script's keys; a prefix comes before the braces.
var queueKeys = []string{
	"{lobby}:users", "{lobby}:places", "{lobby}:present", "{lobby}:claims",
	"{lobby}:holders", "{lobby}:log", "{lobby}:meta", "{lobby}:records", "{lobby}:takes",
	"{lobby}:teams", "{lobby}:asked",
	"{lobby}:staff", "{lobby}:desks", "{lobby}:seats", "{lobby}:statuses", "{lobby}:turns", "{lobby}:ready",
	"{lobby}:offered", "{lobby}:offers", "{lobby}:held", "{lobby}:chats", "{lobby}:index", "{lobby}:stirred",
}

const staffKey = 11 // the index of the first key about agents

// Topic is the topic of the queue's events, for lobbies and for anybody who subscribes with
// stock tools (web/api/README.md, "Broker topics").
const Topic = "users"

// QueueConfig has the parameters of a Queue. All processes of a deployment should use the
// same durations.
type QueueConfig struct {
	DB     *redisdb.DB
	Broker broker.Broker
	// BrokerInStore says that Broker is the pub/sub of DB. Then the step that causes an
	// event also publishes it, so that no event is lost in between and a round trip is
	// saved.
	BrokerInStore bool
	ChatTTL       time.Duration // lifetime of everything in the queue that is not renewed
	ClaimTTL      time.Duration // how long a claim holds
	LeaveGrace    time.Duration // how long a user without a socket stays
	OfferTTL      time.Duration // how long an offer holds; 0 is 20 s
	Assign        Assignment    // how users are offered to agents; "" is AssignOff
	Log           *slog.Logger
}

// Queue is the queue of pending users. Its methods are safe for concurrent use, by any
// number of processes; each is one atomic step in the store. After an error the step may or
// may not have happened; all methods can be repeated.
type Queue struct {
	cfg       QueueConfig
	channel   string // the channel on which the script publishes; empty if the announcer does
	keys      []any  // queueKeys in the store, in the form for commands
	lease     time.Duration
	renewal   time.Duration
	announcer *announcer
	holding   holding
	offers    offerCounts
	apart     atomic.Bool // the store does not execute one script on the queue and a log
	agents    atomic.Bool // there were agents at the latest call, so scripts must know of them
}

// NewQueue makes a Queue and starts the goroutine that announces its events.
func NewQueue(cfg QueueConfig) *Queue {
	channel := ""
	if cfg.BrokerInStore {
		channel = cfg.DB.Key(Topic)
	}
	if cfg.Assign == "" {
		cfg.Assign = AssignOff
	}
	if cfg.OfferTTL == 0 {
		cfg.OfferTTL = 20 * time.Second
	}
	q := &Queue{
		cfg:     cfg,
		channel: channel,
		// The users of a dead chat server leave within 30 s, including the sweep.
		lease: min(20*time.Second, cfg.ChatTTL),
		// Four renewals fit into a lease and two into the grace, so a user who leaves one
		// chat server but still has a socket on another one stays (Leave).
		renewal:   min(5*time.Second, cfg.LeaveGrace/2, cfg.ChatTTL/4),
		announcer: newAnnouncer(cfg.Broker, cfg.Log),
		holding:   newHolding(),
		offers:    newOfferCounts(),
	}
	for _, key := range queueKeys {
		q.keys = append(q.keys, cfg.DB.Key(key))
	}
	return q
}

// Close publishes waiting announcements for at most two seconds, and joins the announcing
// goroutine.
func (q *Queue) Close() error {
	q.announcer.close()
	return nil
}

// replaced is that of the store: see redisdb.DB.
func (q *Queue) replaced() <-chan struct{} { return q.cfg.DB.Replaced() }

// RenewEvery returns how often a chat server must Renew its waiting users to keep them in
// the queue.
func (q *Queue) RenewEvery() time.Duration { return q.renewal }

// Add puts a user at the end of the queue and announces them, or offers them to an agent. A
// user who is already in the queue keeps the place and is not announced again. User.Since,
// the beginning of the wait, becomes the place unless another user has a later one.
func (q *Queue) Add(ctx context.Context, u User) error {
	_, err := q.Put(ctx, u)
	return err
}

// Put is Add, and reports whether the user is new in the queue.
func (q *Queue) Put(ctx context.Context, u User) (fresh bool, err error) {
	record, err := u.record()
	if err != nil {
		return false, err
	}
	r, err := q.run(ctx, "add", u.ChatID, u.UserID, u.public(), u.Messages, record, u.Since, u.Team)
	return r.result == int64(1), err
}

// Change updates the records of those of the users who are in the queue. The queue ignores
// records that are not newer than its own.
func (q *Queue) Change(ctx context.Context, users []User) error {
	for some := range slices.Chunk(users, 100) {
		args := make([]any, 0, 3*len(some))
		for _, u := range some {
			record, err := u.record()
			if err != nil {
				return err
			}
			args = append(args, u.ChatID, u.Messages, record)
		}
		if _, err := q.run(ctx, "change", args...); err != nil {
			return err
		}
	}
	return nil
}

// Renew tells the queue that the users of these chats are still connected. It returns the
// chats that are not, or no longer, in the queue.
func (q *Queue) Renew(ctx context.Context, chatIDs []string) (missing []string, err error) {
	for some := range chunks(chatIDs) {
		r, err := q.run(ctx, "renew", some...)
		if err != nil {
			return nil, err
		}
		ids, err := texts(r.result)
		if err != nil {
			return nil, err
		}
		missing = append(missing, ids...)
	}
	return missing, nil
}

// Leave tells the queue that the users of these chats no longer have a socket. They leave
// the queue after the grace time, unless they come back to any server.
func (q *Queue) Leave(ctx context.Context, chatIDs ...string) error {
	grace := min(q.cfg.LeaveGrace, q.cfg.ChatTTL).Milliseconds()
	for some := range chunks(chatIDs) {
		if _, err := q.run(ctx, "leave", append([]any{grace}, some...)...); err != nil {
			return err
		}
	}
	return nil
}

// chunks splits the chats of an operation, to keep each call of the script short.
func chunks(chatIDs []string) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for some := range slices.Chunk(chatIDs, 500) {
			args := make([]any, len(some))
			for i, id := range some {
				args[i] = id
			}
			if !yield(args) {
				return
			}
		}
	}
}

// Remove removes a user from the queue because the chat has ended.
func (q *Queue) Remove(ctx context.Context, chatID string) error {
	_, err := q.run(ctx, "remove", chatID)
	return err
}

// Standing is the state of the queue for some of its users.
type Standing struct {
	Waiting int // users whom nobody has claimed
	// Interval is the mean time between the latest takes, negative if there were too few.
	Interval time.Duration
	// Positions has the positions of the requested chats: 1 is next, 0 is claimed, and a
	// negative number is not in the queue.
	Positions []int
}

// Stand returns the state of the queue for the users of these chats. It changes nothing.
func (q *Queue) Stand(ctx context.Context, chatIDs []string) (Standing, error) {
	var s Standing
	for some := range chunks(chatIDs) {
		r, err := q.run(ctx, "stand", some...)
		if err != nil {
			return Standing{}, err
		}
		parts, ok := r.result.([]any)
		if !ok || len(parts) != 3 {
			return Standing{}, errReply
		}
		interval, ok1 := parts[0].(int64)
		positions, ok2 := parts[1].([]any)
		waiting, ok3 := parts[2].(int64)
		if !ok1 || !ok2 || !ok3 || len(positions) != len(some) {
			return Standing{}, errReply
		}
		s.Waiting, s.Interval = int(waiting), time.Duration(interval)*time.Millisecond
		for _, p := range positions {
			position, _ := p.(int64)
			s.Positions = append(s.Positions, int(position))
		}
	}
	return s, nil
}

// claimResult is the outcome of a claim.
type claimResult string

const (
	claimWon      claimResult = "won"
	claimAccepted claimResult = "accepted" // won by the agent to whom the user was offered
	claimedAgain  claimResult = "again"    // won by the same holder before
)

func (r claimResult) won() bool { return r == claimWon || r == claimAccepted || r == claimedAgain }

// Claim tries to take a user for holder, for the claim's lease. It reports whether the
// holder has the user now, and whether they had the user before. A holder always wins a
// user who is offered to them.
func (q *Queue) Claim(ctx context.Context, chatID, userID, holder string) (won, again bool, err error) {
	result, err := q.claim(ctx, chatID, userID, holder, "")
	return result.won(), result == claimedAgain, err
}

// claim is Claim for an agent with teams. The agent cannot have users of other teams unless
// they are offered.
func (q *Queue) claim(ctx context.Context, chatID, userID, holder string, teams teamSet) (claimResult, error) {
	r, err := q.run(ctx, "claim", chatID, userID, holder, q.cfg.ClaimTTL.Milliseconds(), string(teams))
	if err != nil {
		return "", err
	}
	result, _ := r.result.(string)
	return claimResult(result), nil
}

// Reserve claims a user for a holder who is about to join the chat. It returns false if
// another holder has claimed the user, and true for a user who is not in the queue.
func (q *Queue) Reserve(ctx context.Context, chatID, userID, holder string) (bool, error) {
	r, err := q.run(ctx, "claim", chatID, userID, holder, q.cfg.ClaimTTL.Milliseconds(), "")
	return err == nil && r.result != "lost", err
}

// change is what has changed in the queue since a lobby last read it.
type change struct {
	epoch   string // of the queue's log; a new one when the queue was empty for long
	version int64  // of the queue
	visible int64  // number of visible users now
	all     bool   // the log does not reach back far enough: pending is the whole queue
	pending []entry
	events  []entry // the log since then; if all, its tail
	news    news    // of agents, offers and chats
}

// entry is an element of the log or of the queue, with its place.
type entry struct {
	place   int64
	payload []byte
	record  []byte // of an event: the current record of its user, if they are still there
}

// since removes expired entries from the queue and then returns the changes since a
// version.
func (q *Queue) since(ctx context.Context, epoch string, version int64, of newsWanted) (change, error) {
	r, err := q.run(ctx, "sync", epoch, version, of.born, of.stirs, of.kinds)
	if err != nil {
		return change{}, err
	}
	c := change{epoch: r.epoch, version: r.version, visible: r.visible}
	parts, ok := r.result.([]any)
	if !ok || len(parts) != 4 {
		return change{}, errReply
	}
	if c.news, err = parseNews(parts[3]); err != nil {
		return change{}, err
	}
	if c.events, err = entries(parts[1]); err != nil {
		return change{}, err
	}
	if c.all = parts[0] == "all"; c.all {
		c.pending, err = entries(parts[2])
		return c, err
	}
	records, err := texts(parts[2])
	if err != nil || len(records) != len(c.events) {
		return change{}, errReply
	}
	for i, record := range records {
		c.events[i].record = []byte(record)
	}
	return c, nil
}
