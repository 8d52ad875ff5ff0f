// Package lobby is the queue of users who wait for a support, and what agents
// see of it.
//
// Queue is the truth, kept in Redis: chat servers add, renew and remove their
// waiting users, agents' claims go through it. Every change leaves an event in
// the queue's log, in the same atomic step. A Lobby (one per process of port
// 9001) follows that log and keeps a picture of the queue for its agents; the
// broker's "users" topic only tells it when to look.
package lobby

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"livesupport/broker"
	"livesupport/broker/redisdb"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

//go:embed queue.lua
var queueSource string

var queueScript = redis.NewScript(queueSource)

// All keys of the queue share a slot, as a script on Redis Cluster needs: a prefix
// stands in front of the braces.
var queueKeys = []string{
	"{lobby}:users", "{lobby}:places", "{lobby}:present", "{lobby}:claims",
	"{lobby}:holders", "{lobby}:log", "{lobby}:meta", "{lobby}:records", "{lobby}:takes",
}

// Topic is where the queue's events are published, for lobbies and for anyone
// who listens with stock tools (PROTOCOL.md, "Broker topics").
const Topic = "users"

// QueueConfig is what a Queue needs. All processes of a deployment should agree
// on the durations.
type QueueConfig struct {
	DB     *redisdb.DB
	Broker broker.Broker
	// BrokerInStore says that Broker is the pub/sub of DB. Then events are published
	// by the step that causes them: none is lost between the two, and it saves a
	// round to the store.
	BrokerInStore bool
	ChatTTL       time.Duration // nothing in the queue outlives it unless renewed
	ClaimTTL      time.Duration // how long a claim holds
	LeaveGrace    time.Duration // how long a user without a socket stays
	Log           *slog.Logger
}

// Queue is the queue of pending users. Its methods may be called concurrently,
// from any number of processes; each is one atomic step in the store. All of
// them may be repeated: an error means that the step may or may not have been
// taken.
type Queue struct {
	cfg       QueueConfig
	channel   string // on which the script publishes; empty: the announcer does
	lease     time.Duration
	renewal   time.Duration
	announcer *announcer
}

// NewQueue makes a Queue and starts the goroutine that announces its events.
func NewQueue(cfg QueueConfig) *Queue {
	channel := ""
	if cfg.BrokerInStore {
		channel = cfg.DB.Key(Topic)
	}
	return &Queue{
		cfg:     cfg,
		channel: channel,
		// A dead chat server's users are gone within 30 s, sweep included.
		lease: min(20*time.Second, cfg.ChatTTL),
		// Four renewals fit into a lease, two into the grace: a user who leaves one
		// chat server while another still has a socket of theirs stays (Leave).
		renewal:   min(5*time.Second, cfg.LeaveGrace/2, cfg.ChatTTL/4),
		announcer: newAnnouncer(cfg.Broker, cfg.Log),
	}
}

// Close announces what is still waiting, for at most two seconds, and joins the
// announcing goroutine.
func (q *Queue) Close() error {
	q.announcer.close()
	return nil
}

// RenewEvery is how often a chat server must Renew its waiting users, lest they
// leave the queue.
func (q *Queue) RenewEvery() time.Duration { return q.renewal }

// Add puts a user at the end of the queue and announces them. A user who is
// there already keeps the place and is not announced again.
func (q *Queue) Add(ctx context.Context, u User) error {
	public, err := json.Marshal(&u)
	if err != nil {
		return err
	}
	record, err := u.record()
	if err != nil {
		return err
	}
	_, err = q.run(ctx, "add", u.ChatID, u.UserID, public, u.Messages, record)
	return err
}

// Change says what is known of these users now, who may be in the queue. What is
// not newer than what the queue has does not count.
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

// Renew says that the users of these chats are still connected. It returns
// those that are not in the queue (any more).
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

// Leave says that the users of these chats have no socket any more. Unless they
// come back, to whatever server, they leave the queue after the grace time.
func (q *Queue) Leave(ctx context.Context, chatIDs ...string) error {
	grace := min(q.cfg.LeaveGrace, q.cfg.ChatTTL).Milliseconds()
	for some := range chunks(chatIDs) {
		if _, err := q.run(ctx, "leave", append([]any{grace}, some...)...); err != nil {
			return err
		}
	}
	return nil
}

// chunks cuts the chats of an operation into pieces that keep each call of the
// script short.
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

// Remove takes a user out of the queue, because the chat has ended.
func (q *Queue) Remove(ctx context.Context, chatID string) error {
	_, err := q.run(ctx, "remove", chatID)
	return err
}

// Taken takes a user out of the queue whom a support has taken. From when that
// happens the queue tells how long others must wait.
func (q *Queue) Taken(ctx context.Context, chatID string) error {
	_, err := q.run(ctx, "taken", chatID)
	return err
}

// Standing is how the queue stands for some of its users.
type Standing struct {
	Waiting int // users whom nobody has claimed
	// Interval is the mean time between the latest takes, negative while there were
	// too few.
	Interval time.Duration
	// Positions are those of the chats asked for: 1 is next, 0 is claimed, and less
	// is not in the queue.
	Positions []int
}

// Stand tells how the queue stands for the users of these chats. It changes
// nothing.
func (q *Queue) Stand(ctx context.Context, chatIDs []string) (Standing, error) {
	var s Standing
	for some := range chunks(chatIDs) {
		r, err := q.run(ctx, "stand", some...)
		if err != nil {
			return Standing{}, err
		}
		parts, ok := r.result.([]any)
		if !ok || len(parts) != 2 {
			return Standing{}, errReply
		}
		interval, ok1 := parts[0].(int64)
		positions, ok2 := parts[1].([]any)
		if !ok1 || !ok2 || len(positions) != len(some) {
			return Standing{}, errReply
		}
		s.Waiting, s.Interval = int(r.visible), time.Duration(interval)*time.Millisecond
		for _, p := range positions {
			position, _ := p.(int64)
			s.Positions = append(s.Positions, int(position))
		}
	}
	return s, nil
}

// Claim tries to take a user for holder, for the claim's lease. It reports
// whether holder has the user now, and whether they had already.
func (q *Queue) Claim(ctx context.Context, chatID, userID, holder string) (won, again bool, err error) {
	r, err := q.run(ctx, "claim", chatID, userID, holder, q.cfg.ClaimTTL.Milliseconds())
	if err != nil {
		return false, false, err
	}
	return r.result == "won" || r.result == "again", r.result == "again", nil
}

// Reserve claims a user who waits for a holder who is about to join their chat,
// and reports false if another holder has claimed them. A user who is not in the
// queue is nobody's.
func (q *Queue) Reserve(ctx context.Context, chatID, userID, holder string) (bool, error) {
	r, err := q.run(ctx, "claim", chatID, userID, holder, q.cfg.ClaimTTL.Milliseconds())
	return err == nil && r.result != "lost", err
}

// change is what a lobby is told about the queue since it last looked.
type change struct {
	epoch   string // of the queue's log; a new one when the queue was empty for long
	version int64  // of the queue
	visible int64  // users to be seen now
	all     bool   // the log does not reach back: pending is the whole queue
	pending []entry
	events  []entry // the log since then; if all, its tail
}

// entry is an element of the log or of the queue: what, and at which place.
type entry struct {
	place   int64
	payload []byte
	record  []byte // of an event: what is known of its user now, if they are still there
}

// since returns what has changed since a version, after removing from the queue
// what has run out.
func (q *Queue) since(ctx context.Context, epoch string, version int64) (change, error) {
	r, err := q.run(ctx, "sync", epoch, version)
	if err != nil {
		return change{}, err
	}
	c := change{epoch: r.epoch, version: r.version, visible: r.visible}
	parts, ok := r.result.([]any)
	if !ok || len(parts) != 3 {
		return change{}, errReply
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

var errReply = errors.New("lobby: the queue's script gave an unexpected reply")

type reply struct {
	epoch   string
	version int64
	visible int64
	result  any
}

// run executes one operation of the script and announces the events that it
// has caused, unless the script itself does.
func (q *Queue) run(ctx context.Context, operation string, args ...any) (reply, error) {
	command := func(how, script string) *redis.Cmd {
		line := make([]any, 0, 7+len(queueKeys)+len(args))
		line = append(line, how, script, len(queueKeys))
		for _, key := range queueKeys {
			line = append(line, q.cfg.DB.Key(key))
		}
		line = append(line, operation, q.cfg.ChatTTL.Milliseconds(), q.lease.Milliseconds(), q.channel)
		return redis.NewCmd(ctx, append(line, args...)...)
	}
	cmd := command("evalsha", queueScript.Hash())
	err := q.cfg.DB.Do(ctx, cmd)
	if err == nil && redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = command("eval", queueSource)
		err = q.cfg.DB.Do(ctx, cmd)
	}
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return reply{}, fmt.Errorf("lobby: %s: %w", operation, err)
	}
	fields, ok := cmd.Val().([]any)
	if !ok || len(fields) != 5 {
		return reply{}, errReply
	}
	epoch, ok1 := fields[0].(string)
	version, ok2 := fields[1].(int64)
	visible, ok3 := fields[2].(int64)
	events, err := texts(fields[3])
	if !ok1 || !ok2 || !ok3 || err != nil {
		return reply{}, errReply
	}
	var taken <-chan struct{}
	for _, event := range events {
		taken = q.announcer.announce([]byte(event))
	}
	q.announcer.await(ctx, taken)
	return reply{epoch, version, visible, fields[4]}, nil
}

func texts(list any) ([]string, error) {
	values, ok := list.([]any)
	if !ok {
		return nil, errReply
	}
	out := make([]string, len(values))
	for i, v := range values {
		if out[i], ok = v.(string); !ok {
			return nil, errReply
		}
	}
	return out, nil
}

func entries(list any) ([]entry, error) {
	lines, err := texts(list)
	if err != nil {
		return nil, err
	}
	out := make([]entry, len(lines))
	for i, line := range lines {
		fields := strings.SplitN(line, " ", 3) // time, place, payload
		if len(fields) < 3 {
			return nil, errReply
		}
		place, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, errReply
		}
		out[i] = entry{place: place, payload: []byte(fields[2])}
	}
	return out, nil
}
