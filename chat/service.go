// Package chat has the conversations. A chat is a log of events in the store, and its state
// is the fold of that log (package log). Every change to a chat is an event that a server
// appends. A room is one server's view of a chat with sockets on that server: the state, the
// position up to which the server has read, and the sessions.
//
// A message takes this way: Session.Receive decodes and checks it, room.append appends it to
// the log, room.offer applies it at its position and queues it to the sessions of this
// server, and Service.publish sends it to the other servers that attend the chat.
package chat

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"livesupport/broker"
	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Timeouts. A client must get its answer within the protocol's five seconds: a request can
// wait storeTimeout for the store, and lastTry longer if a try has begun by then.
const (
	storeTimeout = 3 * time.Second
	lastTry      = 1500 * time.Millisecond
)

const (
	// publishTimeout bounds publishing one piece of news.
	publishTimeout = 1500 * time.Millisecond
	// lastNews is how long Close waits for news that is still being published.
	lastNews = 700 * time.Millisecond
	// lastMarks is how long Close begins logging further read marks.
	lastMarks = 300 * time.Millisecond
)

// Config has the parameters of a Service.
type Config struct {
	DB     *redisdb.DB
	Broker broker.Broker
	Queue  *lobby.Queue
	// TTL is how long a chat lives after its last Join or message.
	TTL time.Duration
	// Grace is how long chat logs outlive their chats, for Keeper. Without a Keeper it is 0.
	Grace  time.Duration
	Keeper Keeper
	// Appended is called after each event that followers of live chats need. It may be nil,
	// and it must not block.
	Appended func(chatID string)
	// MessageRate is how many messages per second a session may send, sustained, and
	// MessageBurst how many at once. A rate of 0 means no limit.
	MessageRate  float64
	MessageBurst int
	// MaxMessages is the maximum number of messages in a chat, at most log.MaxMessages.
	// Concurrent writers may exceed it by a few.
	MaxMessages int
	// MaxFiles is the maximum number of files in a chat.
	MaxFiles int
	// JoinTimeout is how long a socket may stay open without a successful Join.
	JoinTimeout time.Duration
	// AgentsNeedToken requires the identity from a token of every Support.
	AgentsNeedToken bool
	// SupportGrace is how long a support may have no socket while the user has one. After
	// that, the chat is released. 0 means no limit.
	SupportGrace time.Duration
	// Team reports whether a user can be transferred to the team with this name of 1 to 64
	// characters; nil allows any team.
	Team func(id string) bool
	// TypingPreview shows supports what a user is typing.
	TypingPreview bool
	// Frame makes the frame for a peer from a payload. It must copy the payload, whose memory
	// is reused.
	Frame func(payload []byte) []byte
	// Tracer makes spans of the steps of messages. The zero Tracer makes none.
	Tracer  wire.Tracer
	Log     *slog.Logger
	Metrics prometheus.Registerer // for the counter of messages; see Service.Metrics
}

// A Keeper archives chats that have ended.
type Keeper interface {
	// End ends those of the chats that have expired, and returns how long each chat still
	// lives, 0 if it has ended or is gone. It can be repeated.
	End(ctx context.Context, chatIDs []string) ([]time.Duration, error)
}

// Service is the chat server of one process, without its sockets. It is safe for concurrent
// use.
type Service struct {
	id      string // of this server, in Attended events
	events  atomic.Int64
	cfg     Config
	db      *redisdb.DB
	queue   *lobby.Queue
	logs    log.Store
	logger  *slog.Logger
	frame   func([]byte) []byte
	typing  typingFrames
	tracer  wire.Tracer
	metrics metrics

	newcomers *newcomers
	standing  *standing // informs waiting users of their place

	ctx  context.Context
	stop context.CancelFunc
	// publishing outlives ctx by lastNews.
	publishing     context.Context
	stopPublishing context.CancelFunc

	mu      sync.Mutex
	closed  bool
	ended   sync.WaitGroup
	rooms   map[string]*room
	expiry  expiryHeap
	waiting map[*room]struct{} // rooms whose users are in the queue because of this server
	written map[*room]struct{} // those of them whose user has written something that the queue does not know
	wrote   chan struct{}      // signals that written has rooms; capacity 1
	held    map[*room]struct{} // rooms of chats with a support
	// listening has the rooms that exchange signals. elsewhere has, by server, the rooms with
	// a user whose support has sockets on that other server.
	listening map[*room]struct{}
	elsewhere map[string]map[*room]struct{}
	// Work that could not be done at once and is retried:
	unqueued map[string]*lobby.Held // chats to remove from the queue; nil unless a support has taken them
	queued   map[*room]struct{}     // rooms whose users must enter the queue; each has an errand for that
	unheld   map[string]struct{}    // chats that no longer have a support
	untold   map[string]int64       // chats with unpublished news, with the position
	marked   map[*room]struct{}     // rooms with marks to log; each has an errand for that
	retry    chan struct{}          // signals that there is work to retry; capacity 1
	// markedNow signals that marked has rooms; capacity 1.
	markedNow chan struct{}
	timers    *timers

	watched atomic.Bool // the queue wants to know the chats with a support
	outages outages     // see storeFailed
}

// New starts a Service. Store and broker may be unavailable at the start.
func New(cfg Config) *Service {
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{
		id:       wire.NewID()[:16],
		cfg:      cfg,
		db:       cfg.DB,
		queue:    cfg.Queue,
		logs:     log.NewStore(cfg.DB, cfg.TTL, cfg.Grace),
		logger:   cfg.Log,
		frame:    cfg.Frame,
		typing:   newTypingFrames(cfg.Frame),
		tracer:   cfg.Tracer,
		metrics:  newMetrics(),
		ctx:      ctx,
		stop:     stop,
		rooms:    map[string]*room{},
		waiting:  map[*room]struct{}{},
		written:  map[*room]struct{}{},
		wrote:    make(chan struct{}, 1),
		held:     map[*room]struct{}{},
		unqueued: map[string]*lobby.Held{},
		queued:   map[*room]struct{}{},
		unheld:   map[string]struct{}{},
		untold:   map[string]int64{},
		marked:   map[*room]struct{}{},
		retry:    make(chan struct{}, 1),

		listening: map[*room]struct{}{},
		elsewhere: map[string]map[*room]struct{}{},
		markedNow: make(chan struct{}, 1),
		timers:    newTimers(),
	}
	s.publishing, s.stopPublishing = context.WithCancel(context.Background())
	s.newcomers = newNewcomers(cfg.TTL)
	s.standing = newStanding(s)
	cfg.Metrics.MustRegister(s.metrics.messages)
	s.start(s.watchExpiry)
	s.start(s.keepWaiting)
	s.start(s.retryLoop)
	s.start(s.keepMarksLoop)
	s.start(s.timers.run)
	s.start(s.keepServers)
	s.start(s.tellWritten)
	s.start(s.keepHeld)
	s.start(s.keepVerifying)
	s.start(s.standing.run)
	return s
}

// Close logs the read marks, ends the service's goroutines and joins them. The sockets must
// be closed before.
func (s *Service) Close() error {
	s.logMarks(s.ctx, lastMarks)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	defer time.AfterFunc(lastNews, s.stopPublishing).Stop()
	s.ended.Wait()
	s.stopPublishing()
	return nil
}

// start runs f in a goroutine that Close joins. It returns false after Close.
func (s *Service) start(f func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.ended.Go(func() { f(s.ctx) })
	return true
}

// Registration has the facts about a user at the registration.
type Registration struct {
	Name     string // a result of wire.Name
	Verified bool   // the site has confirmed the name with a token
	Team     string // the team that the user asks for; may be ""
	Details  string // a JSON object for agents who ask for details; may be ""
	Consent  string // the text that the user has agreed to, a JSON object; may be ""
	Subject  string // of the visitor's token; "" without one
}

// Register makes a user with a new chat. The chat expires after the TTL unless the user
// connects.
func (s *Service) Register(ctx context.Context, with Registration) (lobby.User, error) {
	u := lobby.User{
		Username: with.Name, UserID: wire.NewID(), ChatID: wire.NewID(), Verified: with.Verified,
		Team: with.Team, Details: with.Details,
	}
	err := s.db.AwaitTime(ctx)
	began := now()
	if err == nil {
		if s.cfg.Keeper == nil {
			with.Subject = "" // nobody will need it
		}
		var span trace.Span
		ctx, span = s.tracer.Begin(ctx, spanRegister, trace.SpanKindServer)
		registered := log.Event{
			Kind: log.Registered, At: s.now(),
			UserID: u.UserID, Username: u.Username, ChatID: u.ChatID, Verified: u.Verified,
			Team: u.Team, Content: u.Details, Agent: with.Subject,
		}
		var more []log.Event
		if with.Consent != "" {
			more = append(more, log.Event{Kind: log.Consented, At: registered.At, Content: with.Consent})
		}
		err = s.logs.Create(ctx, registered, more...)
		endSpan(span, err)
		if err == nil {
			s.newcomers.add(u.ChatID, began, append([]log.Event{registered}, more...))
		}
	}
	if err != nil {
		s.metrics.unregistered.Inc()
		s.logger.Warn("cannot register a user", "error", err)
	}
	return u, err
}

// now returns the time for events by the store's clock, which is the same for all servers.
func (s *Service) now() int64 { return s.db.Now().UnixMicro() }

// eventID returns a unique id for an event.
func (s *Service) eventID() string {
	id := append(make([]byte, 0, 32), s.id...)
	return string(strconv.AppendInt(append(id, '-'), s.events.Add(1), 36))
}

// maxSessions is the maximum number of sessions of one chat on a server, including those
// that are just joining.
const maxSessions = 16

// hold returns the room of a chat for a session, and makes it if necessary. The caller must
// release it. hold returns nil if the room has the maximum number of sessions.
func (s *Service) hold(chatID string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[chatID]
	if r != nil && r.users >= maxSessions {
		return nil
	}
	if r == nil {
		r = s.newRoom(chatID)
		s.rooms[chatID] = r
	}
	r.users++
	return r
}

func (s *Service) newRoom(chatID string) *room {
	return &room{service: s, chatID: chatID, entering: make(chan struct{}, 1)}
}

// hasRoom reports whether the chat has a room here.
func (s *Service) hasRoom(chatID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[chatID] != nil
}

// release undoes hold. The last release closes the room.
func (s *Service) release(r *room) {
	s.mu.Lock()
	r.users--
	s.drop(r)
}

// errand keeps a room open until releaseErrand.
func (s *Service) errand(r *room) {
	s.mu.Lock()
	r.errands++
	s.mu.Unlock()
}

// releaseErrand undoes errand.
func (s *Service) releaseErrand(r *room) {
	s.mu.Lock()
	r.errands--
	s.drop(r)
}

// drop closes a room that is no longer needed. The caller holds mu; drop unlocks it.
func (s *Service) drop(r *room) {
	last := r.users+r.errands == 0
	if last && s.rooms[r.chatID] == r {
		delete(s.rooms, r.chatID)
	}
	s.mu.Unlock()
	if last {
		r.close()
	}
}

// forget removes an expired room from the registry.
func (s *Service) forget(r *room) {
	s.mu.Lock()
	if s.rooms[r.chatID] == r {
		delete(s.rooms, r.chatID)
	}
	s.mu.Unlock()
	r.close()
}

// publish sends an entry to the other servers or, if it is nil, only its position. If that
// fails, the position is published later. traced has the parent span.
func (s *Service) publish(traced context.Context, chatID string, seq int64, entry []byte) {
	ctx, cancel := context.WithTimeout(s.publishing, publishTimeout)
	defer cancel()
	traced, span := s.tracer.Begin(traced, spanPublish, trace.SpanKindProducer)
	err := s.cfg.Broker.Publish(ctx, topic(chatID), encodeNews(seq, entry, traceparent(traced)))
	endSpan(span, err)
	if err != nil {
		s.logger.Debug("cannot publish news of a chat", "chat", wire.ShortID(chatID), "error", err)
		s.tellLater(chatID, seq)
	}
}

func topic(chatID string) string { return "chat:" + chatID }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
