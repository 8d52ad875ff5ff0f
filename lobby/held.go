package lobby

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

// Held is a chat with a support.
type Held struct {
	User
	// Agent is the sub of the support's token, "" without tokens. Without tokens, the agent
	// is the socket that claimed the user.
	Agent                      string
	SupportID, SupportUserName string
	Since                      int64 // when the support joined, in microseconds since 1970
}

// heldRecord is what the queue keeps of a chat with a support, in addition to the agent and
// the supportId.
type heldRecord struct {
	UserID          string `json:"userId"`
	Username        string `json:"username"`
	SupportUserName string `json:"supportUserName"`
	Team            string `json:"team"`
	Since           int64  `json:"since"`
}

func (h *Held) record() []byte {
	b := make([]byte, 0, 96+len(h.UserID)+len(h.Username)+len(h.SupportUserName)+len(h.Team))
	b = wire.AppendString(append(b, `{"userId":`...), h.UserID)
	b = wire.AppendString(append(b, `,"username":`...), h.Username)
	b = wire.AppendString(append(b, `,"supportUserName":`...), h.SupportUserName)
	b = wire.AppendString(append(b, `,"team":`...), h.Team)
	b = strconv.AppendInt(append(b, `,"since":`...), h.Since, 10)
	return append(b, '}')
}

// Offered says to which agent to offer a user first. The zero Offered means no agent.
type Offered struct {
	Agent string
	From  string // the name of the agent who transfers the user
	Note  string // for the agent
	// Taker is an agent who may be about to take the user. Assignment gives them takeOver
	// for that.
	Taker string
}

// takeOver is the time that assignment gives an Offered.Taker.
const takeOver = 2 * time.Second

// offerText is what the queue keeps of an offer in addition to the agent.
type offerText struct {
	From string `json:"from,omitzero"`
	Note string `json:"note,omitzero"`
}

// holding is this process's knowledge of the chats that it holds.
type holding struct {
	mu   sync.Mutex
	born string // the generation of the store's keys at the renewals
	// renewed has the time of the last renewal, by chat.
	renewed map[string]time.Time
	// holders has the holder of the claim, by chat, of chats whose support has no token.
	holders map[string]string
}

const (
	// holdEvery is how often a chat's lease is renewed: five times within a lease.
	holdEvery = 4 * time.Second
	// holdersBound is the maximum size of holding.holders.
	holdersBound = 100_000
)

func newHolding() holding {
	return holding{renewed: map[string]time.Time{}, holders: map[string]string{}}
}

// due returns the chats to renew, and forgets those that this process does not hold.
func (h *holding) due(chats []Held, now time.Time) []Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.renewed) > len(chats) {
		still := make(map[string]time.Time, len(chats))
		for i := range chats {
			if at, ok := h.renewed[chats[i].ChatID]; ok {
				still[chats[i].ChatID] = at
			}
		}
		h.renewed = still
	}
	var due []Held
	for i := range chats {
		if now.Sub(h.renewed[chats[i].ChatID]) < holdEvery {
			continue
		}
		c := chats[i]
		if c.Agent == "" {
			c.Agent = h.holders[c.ChatID]
		}
		due = append(due, c)
	}
	return due
}

// told records that chats were renewed, in a generation of the store's keys. It returns
// false if that is another generation than before.
func (h *holding) told(chats []Held, born string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := h.born == born
	if !same {
		h.born = born
		clear(h.renewed)
	}
	for i := range chats {
		h.renewed[chats[i].ChatID] = now
	}
	return same
}

// unwatched records that nobody wants news any more.
func (h *holding) unwatched() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.born = ""
	clear(h.renewed)
}

func (h *holding) claimed(chatID, holder string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.holders) >= holdersBound {
		clear(h.holders)
	}
	h.holders[chatID] = holder
}

func (h *holding) drop(chatIDs []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range chatIDs {
		delete(h.renewed, id)
		delete(h.holders, id)
	}
}

// Taken removes a user from the queue because a support has taken them. From now on the
// chat is held, for a lease, and the queue uses the time for its estimates. For a Held
// without a SupportID, Taken only removes the user.
func (q *Queue) Taken(ctx context.Context, h Held) error {
	r, err := q.run(ctx, "taken", h.ChatID, h.SupportID, h.Agent, h.record())
	if err != nil {
		return err
	}
	holder, _ := r.result.(string)
	q.holds(h, holder)
	return nil
}

// holds notes who had claimed the user of a chat that a support has taken.
func (q *Queue) holds(h Held, holder string) {
	if holder != "" && h.Agent == "" && h.SupportID != "" {
		q.holding.claimed(h.ChatID, holder)
	}
}

// Hold renews the leases of chats with a support. A chat server with such chats calls it
// once a second: without chats as long as nobody watches, which is one cheap request, and
// with all of them once Hold has returned true. Most calls send little, because a lease is
// only renewed every 4 s.
func (q *Queue) Hold(ctx context.Context, chats []Held) (watched bool, err error) {
	if len(chats) == 0 {
		return q.watched(ctx)
	}
	now := time.Now()
	for some := range slices.Chunk(q.holding.due(chats, now), 200) {
		args := make([]any, 0, 4*len(some))
		for i := range some {
			args = append(args, some[i].ChatID, some[i].SupportID, some[i].Agent, some[i].record())
		}
		r, err := q.run(ctx, "hold", args...)
		if err != nil {
			return false, err
		}
		parts, ok := r.result.([]any)
		if !ok || len(parts) != 2 {
			return false, errReply
		}
		if parts[0] == int64(0) {
			q.holding.unwatched()
			return false, nil
		}
		born, _ := parts[1].(string)
		q.holding.told(some, born, now)
	}
	return q.watched(ctx)
}

// watched asks the store, without the script, whether anybody wants news of agents and
// chats.
func (q *Queue) watched(ctx context.Context) (bool, error) {
	cmd := redis.NewSliceCmd(ctx, "hmget", q.cfg.DB.Key(queueKeys[staffKey]), "watched", "born")
	err := q.cfg.DB.Do(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return false, err
	}
	until, _ := cmd.Val()[0].(string)
	born, _ := cmd.Val()[1].(string)
	ms, _ := strconv.ParseInt(until, 10, 64)
	if ms <= q.cfg.DB.Now().UnixMilli() {
		q.holding.unwatched()
		return false, nil
	}
	q.holding.told(nil, born, time.Time{}) // if the generation has changed, the next call renews all
	return true, nil
}

// Drop tells the queue that chats no longer have a support because they have ended.
func (q *Queue) Drop(ctx context.Context, chatIDs ...string) error {
	q.holding.drop(chatIDs)
	for some := range chunks(chatIDs) {
		if _, err := q.run(ctx, "unhold", some...); err != nil {
			return err
		}
	}
	return nil
}

// Release puts the user of a chat that has lost its support back into the queue, at the
// place of User.Since, or behind a user who has the same. It announces the user, or offers
// them to an agent first. It does not change a user who is already in the queue.
func (q *Queue) Release(ctx context.Context, u User, to Offered) error {
	record, err := u.record()
	if err != nil {
		return err
	}
	text, err := json.Marshal(offerText{to.From, to.Note})
	if err != nil {
		return err
	}
	q.holding.drop([]string{u.ChatID})
	_, err = q.run(ctx, "release", u.ChatID, u.UserID, u.public(), u.Messages, record, u.Since, u.Team,
		to.Agent, q.cfg.OfferTTL.Milliseconds(), text, to.Taker, takeOver.Milliseconds())
	return err
}

// TakeBack removes a released user from the queue for the support who had lost the chat. It
// returns false and changes nothing if another agent has claimed the user or has an offer.
func (q *Queue) TakeBack(ctx context.Context, chatID, supportID string) (bool, error) {
	r, err := q.run(ctx, "take_back", chatID, supportID)
	return r.result == int64(1), err
}

// Has reports whether an agent has a chat, according to the queue. If the support has no
// token, the agent is the holder of the claim.
func (q *Queue) Has(ctx context.Context, agent, chatID string) (bool, error) {
	r, err := q.run(ctx, "has", agent, chatID)
	return r.result == int64(1), err
}

// Reachable reports whether an agent has a socket that lists offers.
func (q *Queue) Reachable(ctx context.Context, agent string) (bool, error) {
	r, err := q.run(ctx, "reachable", agent)
	return r.result == int64(1), err
}
