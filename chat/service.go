// Package chat holds conversations. A chat is a log of events in the store, and
// its state is the fold of that log (package log); whatever happens to a chat
// happens by appending an event. A room is what one server knows of a chat that
// has sockets here: the state, how far it has read, and its sessions.
//
// The way of a message: Session.Receive decodes and checks it, room.append puts
// it into the log, room.offer applies it at its position and queues it to the
// sessions of this server, and Service.publish tells the other servers that
// attend the chat.
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

// A client has its answer within the five seconds of the protocol: a request may
// wait storeTimeout for the store, and lastTry longer if a try has begun by then.
const (
	storeTimeout = 3 * time.Second
	lastTry      = 1500 * time.Millisecond
)

const (
	// publishTimeout bounds the publishing of one piece of news.
	publishTimeout = 1500 * time.Millisecond
	// lastNews is how long Close waits for news that is still being published.
	lastNews = 700 * time.Millisecond
	// lastMarks is until when Close begins to log what has been read.
	lastMarks = 300 * time.Millisecond
)

// Config is what a Service needs.
type Config struct {
	DB     *redisdb.DB
	Broker broker.Broker
	Queue  *lobby.Queue
	// TTL is how long a chat lives after its last Join or message.
	TTL time.Duration
	// MessageRate is how many messages a second one session may send, sustained;
	// 0 means any number. MessageBurst is how many at once.
	MessageRate  float64
	MessageBurst int
	// MaxMessages is how many messages a chat takes, at most the log.MaxMessages of
	// the fold. Who writes at the same moment as others may get one in beyond it.
	MaxMessages int
	// JoinTimeout is how long a socket may stay without a Join that succeeds.
	JoinTimeout time.Duration
	// AgentsNeedToken demands of every Support the identity that a token gives.
	AgentsNeedToken bool
	// TypingPreview passes on to supports what a user is typing.
	TypingPreview bool
	// Frame makes of a payload what goes to a peer: a copy, since the payload is
	// overwritten by the next.
	Frame func(payload []byte) []byte
	// Tracer makes spans of what messages go through; without one there are none.
	Tracer  wire.Tracer
	Log     *slog.Logger
	Metrics prometheus.Registerer // gets the counter of messages; see Service.Metrics
}

// Service is the chat server of one process, without its sockets. Its methods
// may be called concurrently.
type Service struct {
	id      string // of this server, in Attended events
	events  atomic.Int64
	cfg     Config
	db      *redisdb.DB
	queue   *lobby.Queue
	logs    log.Store
	logger  *slog.Logger
	frame   func([]byte) []byte
	tracer  wire.Tracer
	metrics metrics

	standing *standing // of the users who wait here and want to know

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
	waiting map[*room]struct{} // whose users are in the queue because of this server
	written map[*room]struct{} // of those, where the user has written and the queue is not told
	wrote   chan struct{}      // there is something in written; capacity 1
	// What could not be done at once and is tried until it can:
	unqueued map[string]bool    // chats that must leave the queue, and whether a support has taken them
	untold   map[string]int64   // chats whose news could not be published, with the position
	marked   map[*room]struct{} // rooms whose marks are to be logged; each has an errand for it
	retry    chan struct{}      // there is something in unqueued or untold; capacity 1
	// There is something in marked; capacity 1.
	markedNow chan struct{}
	timers    *timers

	// outage is set while the store takes no appends, see storeFailed.
	outage atomic.Bool
}

// New starts a Service. It need not reach store or broker to start.
func New(cfg Config) *Service {
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{
		id:       wire.NewID()[:16],
		cfg:      cfg,
		db:       cfg.DB,
		queue:    cfg.Queue,
		logs:     log.NewStore(cfg.DB, cfg.TTL),
		logger:   cfg.Log,
		frame:    cfg.Frame,
		tracer:   cfg.Tracer,
		metrics:  newMetrics(),
		ctx:      ctx,
		stop:     stop,
		rooms:    map[string]*room{},
		waiting:  map[*room]struct{}{},
		written:  map[*room]struct{}{},
		wrote:    make(chan struct{}, 1),
		unqueued: map[string]bool{},
		untold:   map[string]int64{},
		marked:   map[*room]struct{}{},
		retry:    make(chan struct{}, 1),

		markedNow: make(chan struct{}, 1),
		timers:    newTimers(),
	}
	s.publishing, s.stopPublishing = context.WithCancel(context.Background())
	s.standing = newStanding(s)
	cfg.Metrics.MustRegister(s.metrics.messages)
	s.start(s.watchExpiry)
	s.start(s.keepWaiting)
	s.start(s.retryLoop)
	s.start(s.keepMarksLoop)
	s.start(s.timers.run)
	s.start(s.keepServers)
	s.start(s.tellWritten)
	s.start(s.standing.run)
	return s
}

// Close logs what has been read, ends the service's goroutines and joins them.
// Sockets must have been closed before.
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

// start runs f in a goroutine that Close joins; false once the service is
// closed.
func (s *Service) start(f func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.ended.Go(func() { f(s.ctx) })
	return true
}

// Registration is what is known of a user when they register.
type Registration struct {
	Name     string // has passed wire.Name
	Verified bool   // a token of the user's site has vouched for the name
	Team     string // that the user asks for; "" is none
	Details  string // a JSON object for agents who ask for it; "" is none
}

// Register makes a user with a fresh chat, which lives for the TTL unless its
// user connects.
func (s *Service) Register(ctx context.Context, with Registration) (lobby.User, error) {
	u := lobby.User{
		Username: with.Name, UserID: wire.NewID(), ChatID: wire.NewID(), Verified: with.Verified,
		Team: with.Team, Details: with.Details,
	}
	err := s.db.AwaitTime(ctx)
	if err == nil {
		var span trace.Span
		ctx, span = s.tracer.Begin(ctx, spanRegister, trace.SpanKindServer)
		err = s.logs.Create(ctx, log.Event{
			Kind: log.Registered, At: s.now(),
			UserID: u.UserID, Username: u.Username, ChatID: u.ChatID, Verified: u.Verified,
			Team: u.Team, Content: u.Details,
		})
		endSpan(span, err)
	}
	if err != nil {
		s.metrics.unregistered.Inc()
		s.logger.Warn("a registration failed", "error", err)
	}
	return u, err
}

// now is the time for events: the store's, the same on all servers.
func (s *Service) now() int64 { return s.db.Now().UnixMicro() }

// eventID makes an id that no other event has.
func (s *Service) eventID() string {
	id := append(make([]byte, 0, 32), s.id...)
	return string(strconv.AppendInt(append(id, '-'), s.events.Add(1), 36))
}

// maxSessions is how many sessions of one chat a server takes, those that are
// just joining included.
const maxSessions = 16

// hold returns the room of a chat for a session, made if need be; release must
// follow. It returns nil when the room holds as many sessions as it can.
func (s *Service) hold(chatID string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[chatID]
	if r != nil && r.users >= maxSessions {
		return nil
	}
	if r == nil {
		r = &room{service: s, chatID: chatID, entering: make(chan struct{}, 1)}
		s.rooms[chatID] = r
	}
	r.users++
	return r
}

// hasRoom reports whether the chat has a room here.
func (s *Service) hasRoom(chatID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[chatID] != nil
}

// release undoes hold. The last one to leave closes the room.
func (s *Service) release(r *room) {
	s.mu.Lock()
	r.users--
	s.drop(r)
}

// releaseErrand undoes what has kept a room beside its sessions.
func (s *Service) releaseErrand(r *room) {
	s.mu.Lock()
	r.errands--
	s.drop(r)
}

// drop closes a room that nobody holds any more. The caller holds mu, and does not
// afterwards.
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

// forget takes an expired room out of the registry.
func (s *Service) forget(r *room) {
	s.mu.Lock()
	if s.rooms[r.chatID] == r {
		delete(s.rooms, r.chatID)
	}
	s.mu.Unlock()
	r.close()
}

// publish tells the other servers of an entry, or, if it is nil, of a position.
// What cannot be published now is made up for later by the position alone. traced
// says below which span that happens.
func (s *Service) publish(traced context.Context, chatID string, seq int64, entry []byte) {
	ctx, cancel := context.WithTimeout(s.publishing, publishTimeout)
	defer cancel()
	traced, span := s.tracer.Begin(traced, spanPublish, trace.SpanKindProducer)
	err := s.cfg.Broker.Publish(ctx, topic(chatID), encodeNews(seq, entry, traceparent(traced)))
	endSpan(span, err)
	if err != nil {
		s.logger.Debug("publishing news of a chat", "chat", chatID, "error", err)
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
