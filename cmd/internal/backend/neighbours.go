package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker"
	"livesupport/broker/redisdb"
	"livesupport/lobby/wire"
)

const (
	// greetings is the topic on which processes announce themselves to each other.
	greetings = "chat:deployment"
	// markLife is how long a process's mark stays in the store after a greeting.
	markLife = 30 * time.Second
	// answerAfter is the delay before an answer, so that one answers several greetings.
	answerAfter = 300 * time.Millisecond
	// neighbourTimeout bounds each access to store or broker; neighbourPause is the first
	// pause before a retry.
	neighbourTimeout = 5 * time.Second
	neighbourPause   = 2 * time.Second
	// maxNeighbours bounds the known processes and the queue of greetings.
	maxNeighbours = 1000
)

// neighbours finds out, whenever a process starts, whether the processes on the same
// broker belong to the same deployment. A process puts a mark with its settings into its
// store and sends a greeting over the broker. Every process that receives a greeting looks
// for the mark in its own store, and answers with a greeting of its own. If there is no
// mark, another deployment uses the same channels. If the mark has other settings, the two
// processes would treat the same chat differently. Either is only logged as a warning.
type neighbours struct {
	db     *redisdb.DB
	broker broker.Broker
	log    *slog.Logger
	id     string
	mine   mark
	values map[string]string // the values that a mark has hashes of

	heard  chan greeting
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// Used only by the goroutine:
	known map[string]bool // ids of processes whose mark was compared
	told  map[string]bool // variables that were warned of
}

// greeting is the message on the broker. It must not reveal any setting.
type greeting struct {
	ID     string `json:"id"`
	At     int64  `json:"at"` // by the store's clock, ms
	Answer bool   `json:"answer,omitempty"`
}

// mark is a process's entry in the store. It has hashes of secrets and names, which only
// tell whether two values are the same.
type mark struct {
	Process string            `json:"process"`
	Times   map[string]string `json:"times"`
	Values  map[string]string `json:"values,omitempty"` // other values that are no secret
	Hashes  map[string]string `json:"hashes"`           // empty for a variable that is not set
}

func newNeighbours(cfg Config, parts Parts, db *redisdb.DB, b broker.Broker, log *slog.Logger) *neighbours {
	ctx, cancel := context.WithCancel(context.Background())
	n := &neighbours{
		db: db, broker: b, log: log, id: wire.NewID(),
		heard:  make(chan greeting, maxNeighbours),
		cancel: cancel,
		known:  map[string]bool{},
		told:   map[string]bool{},
	}
	n.values = map[string]string{
		"AGENT_SECRET": cfg.AgentSecret, "AGENT_JWKS_URL": cfg.AgentJWKSURL, "AGENT_AUDIENCE": cfg.AgentAudience, "AGENT_ISSUER": cfg.AgentIssuer,
		"WEBHOOK_URL": strings.Join(cfg.WebhookURLs, ","), "WEBHOOK_SECRET": strings.Join(cfg.WebhookSecrets, " "),
	}
	if parts&Chat != 0 { // only registrations use it
		n.values["VISITOR_SECRET"] = cfg.VisitorSecret
	}
	n.mine = mark{
		Process: parts.service(),
		Times: map[string]string{
			"CHAT_TTL": cfg.ChatTTL.String(), "CLAIM_TTL": cfg.ClaimTTL.String(), "LEAVE_GRACE": cfg.LeaveGrace.String(),
			"IDLE_TIMEOUT": cfg.IdleTimeout.String(), "PING_INTERVAL": cfg.PingInterval.String(), "OFFER_TTL": cfg.OfferTTL.String(),
		},
		Hashes: n.hashes(n.id),
	}
	if parts&Chat != 0 {
		n.mine.Times["SUPPORT_GRACE"] = cfg.SupportGrace.String()
	}
	if parts&Lobby != 0 { // the lobbies assign
		n.mine.Values = map[string]string{"ASSIGN": cfg.Assign}
	}
	if host, err := os.Hostname(); err == nil {
		n.mine.Process += " on " + host
	}
	n.wg.Go(func() { n.run(ctx) })
	return n
}

func (n *neighbours) hashes(salt string) map[string]string {
	hashes := map[string]string{}
	for variable, value := range n.values {
		hashes[variable] = ""
		if value != "" {
			sum := sha256.Sum256([]byte(salt + "\x00" + value))
			hashes[variable] = hex.EncodeToString(sum[:8])
		}
	}
	return hashes
}

func (n *neighbours) close() error {
	n.cancel()
	n.wg.Wait()
	return nil
}

// Message implements broker.Handler.
func (n *neighbours) Message(payload []byte) {
	var g greeting
	if json.Unmarshal(payload, &g) != nil || !wire.ValidID(g.ID) || g.ID == n.id {
		return
	}
	select {
	case n.heard <- g:
	default: // enough are known
	}
}

// Gap implements broker.Handler. Missing a greeting is harmless.
func (n *neighbours) Gap() {}

func (n *neighbours) run(ctx context.Context) {
	n.try(ctx, func(ctx context.Context) error {
		_, err := n.broker.Subscribe(ctx, greetings, n) // ends with the broker
		return err
	})
	n.try(ctx, func(ctx context.Context) error { return n.greet(ctx, false) })
	var answer <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case g := <-n.heard:
			if !g.Answer && answer == nil {
				answer = time.After(answerAfter)
			}
			if !n.known[g.ID] {
				if len(n.known) == maxNeighbours {
					clear(n.known)
				}
				n.known[g.ID] = true
				n.look(ctx, g)
			}
		case <-answer:
			answer = nil
			_ = n.step(ctx, func(ctx context.Context) error { return n.greet(ctx, true) }) // the next process to start asks again
		}
	}
}

// try repeats a step until it succeeds or ctx ends.
func (n *neighbours) try(ctx context.Context, step func(context.Context) error) {
	for pause := neighbourPause; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		err := n.step(ctx, step)
		if err == nil {
			return
		}
		n.log.Debug("cannot look for other processes of this deployment", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (n *neighbours) step(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, neighbourTimeout)
	defer cancel()
	return step(ctx)
}

func (n *neighbours) key(id string) string { return n.db.Key("{lobby}:mark:" + id) }

func (n *neighbours) greet(ctx context.Context, answer bool) error {
	if err := n.db.AwaitTime(ctx); err != nil {
		return err
	}
	value, err := json.Marshal(n.mine)
	if err != nil {
		return err
	}
	// These are commands that chats use, too: the Redis user needs no further permissions.
	push := redis.NewIntCmd(ctx, "rpush", n.key(n.id), string(value))
	expire := redis.NewBoolCmd(ctx, "pexpire", n.key(n.id), markLife.Milliseconds())
	if err := n.db.Do(ctx, push, expire); err != nil {
		return err
	}
	if err := errors.Join(push.Err(), expire.Err()); err != nil {
		return err
	}
	payload, err := json.Marshal(greeting{n.id, n.db.Now().UnixMilli(), answer})
	if err != nil {
		return err
	}
	return n.broker.Publish(ctx, greetings, payload)
}

// look compares the mark of the process that sent the greeting with our own.
func (n *neighbours) look(ctx context.Context, g greeting) {
	ctx, cancel := context.WithTimeout(ctx, neighbourTimeout)
	defer cancel()
	last := redis.NewStringSliceCmd(ctx, "lrange", n.key(g.ID), -1, -1)
	err := n.db.Do(ctx, last)
	if err == nil {
		err = last.Err()
	}
	age := n.db.Now().Sub(time.UnixMilli(g.At)).Abs()
	switch {
	case err != nil:
		n.log.Debug("cannot look for another process's mark", "error", err)
	case len(last.Val()) > 0:
		var theirs mark
		if json.Unmarshal([]byte(last.Val()[0]), &theirs) == nil {
			n.compare(theirs, g.ID)
		}
	case age < markLife/2: // an older mark has expired: the greeting was delayed while the broker was away
		n.tell("", "another deployment uses the same channels, so the two get each other's visitors: give each its own PREFIX, or its own Redis and NATS")
	}
}

func (n *neighbours) compare(theirs mark, salt string) {
	shown := func(what string, mine, others map[string]string) {
		for _, variable := range slices.Sorted(maps.Keys(mine)) {
			if here, there := mine[variable], others[variable]; there != "" && here != there {
				n.tell(variable, "another process of this deployment has a different "+what+": set the same in all", "here", here, "there", there, "process", theirs.Process)
			}
		}
	}
	shown("time", n.mine.Times, theirs.Times)
	shown("value", n.mine.Values, theirs.Values)
	mine := n.hashes(salt)
	for _, variable := range slices.Sorted(maps.Keys(mine)) {
		here := mine[variable]
		there, ok := theirs.Hashes[variable]
		switch {
		case !ok || here == there:
		case here == "":
			n.tell(variable, "another process of this deployment has a setting that is missing here: set the same in all", "process", theirs.Process)
		case there == "":
			n.tell(variable, "another process of this deployment lacks a setting that is set here: set the same in all", "process", theirs.Process)
		default:
			n.tell(variable, "another process of this deployment has a different value: set the same in all", "process", theirs.Process)
		}
	}
}

// tell logs one warning for each variable.
func (n *neighbours) tell(variable, what string, details ...any) {
	if n.told[variable] {
		return
	}
	n.told[variable] = true
	if variable != "" {
		details = append([]any{"variable", variable}, details...)
	}
	n.log.Warn(what, details...)
}
