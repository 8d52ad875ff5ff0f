package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

const (
	// maxContent is the maximum number of characters in a message.
	maxContent = 8000
	// maxFiles is the maximum number of files in a message.
	maxFiles = 5
	// maxMessageID is the maximum number of characters in a messageId.
	maxMessageID = 64
)

// Session is the session of one socket of port 9000. Only one goroutine at a time calls
// Receive. Closed is called once, after the last Receive.
type Session struct {
	service   *Service
	peer      wire.Peer
	chatID    string
	agent     *wire.Identity // nil unless the client has an agent's token
	connected moment

	// Set by the Join, before the session is in its room:
	role      log.Role
	supportID string // of a Support; kept for a repeated Join
	name      string // of an Observer
	features  features
	room      *room

	// Guarded by room.mu:
	away         bool
	toldPresence [2]presence // of the other side
	typing       sessionTyping
	stands       stands // the last Queue that it was sent
	knows        string // the last supportId that it was sent

	joined  atomic.Bool
	limiter *rate.Limiter // made for the first message
}

// Connect begins the session of a socket that was opened for a chat. agent is the identity in
// the client's token, nil without one.
func (s *Service) Connect(chatID string, peer wire.Peer, agent *wire.Identity) *Session {
	s.metrics.joining.Inc()
	return &Session{service: s, peer: peer, chatID: chatID, agent: agent, connected: now()}
}

// Overdue reports whether the session should have joined by now. It is safe for concurrent
// use.
func (s *Session) Overdue(now time.Time) bool {
	return !s.joined.Load() && moment(now.Sub(begin)).sub(s.connected) > s.service.cfg.JoinTimeout
}

// LogValue names the session in the log.
func (s *Session) LogValue() slog.Value { return slog.StringValue("chat " + wire.ShortID(s.chatID)) }

// Closed ends the session.
func (s *Session) Closed() {
	if s.joined.Load() {
		s.service.metrics.of(s.role).Dec()
	} else {
		s.service.metrics.joining.Dec()
	}
	if s.room != nil {
		if s.asksQueue() {
			s.service.standing.closed()
		}
		s.room.leave(s)
		s.service.release(s.room)
		s.room = nil
	}
}

// ReceiveNow handles one text frame as Receive does, if it is of a kind that needs neither the
// store nor a lock that somebody holds. Otherwise it does nothing and returns false.
func (s *Session) ReceiveNow(frame []byte) bool {
	if wire.IsPong(frame) {
		return true
	}
	if args, plain := plainTyping[string(frame)]; plain && s.mayType() {
		return s.room.typingNow(s, &args)
	}
	if !wire.MayBe(frame, kindTyping) && !wire.MayBe(frame, wire.KindPong) {
		return false
	}
	kind, raw, err := wire.Decode(frame)
	switch {
	case err != nil:
		return false
	case kind == wire.KindPong:
		return true
	case kind == kindTyping && s.mayType():
		var args typingArgs
		return wire.DecodeArgs(raw, &args) == nil && s.room.typingNow(s, &args)
	}
	return false
}

// Receive handles one text frame (web/api/README.md, "Chat server, port 9000"). Its time
// limit for the store starts at readable, when the frame could be read. It returns when the
// frame was answered, with light for a kind that ReceiveNow handles.
func (s *Session) Receive(frame []byte, readable time.Time) (light bool) {
	if wire.IsPong(frame) {
		return true
	}
	kind, args, err := wire.Decode(frame)
	if err != nil {
		s.refuse(err, "")
		return false
	}
	switch kind {
	case wire.KindPong:
	case kindJoin:
		s.receiveJoin(args, readable)
	case kindChatMessage:
		s.receiveMessage(args, readable)
	case kindReceipt, kindTyping, kindPresence, kindCloseChat, kindRate, kindNote, kindTransfer:
		s.receiveOther(kind, args, readable)
	default:
		s.refuse(wire.UnknownKind, "")
	}
	return kind == wire.KindPong || kind == kindTyping
}

var errNotJoined = wire.NewError(wire.NotJoined, "Send a Join first.")

// receiveOther handles the frames of a joined session other than messages.
func (s *Session) receiveOther(kind string, raw jsontext.Value, readable time.Time) {
	if s.room == nil {
		s.refuse(errNotJoined, "")
		return
	}
	deadline := readable.Add(storeTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	err := s.handle(ctx, deadline, kind, raw)
	if err == nil || errors.Is(err, log.ErrGone) { // then the room has informed this session, too
		return
	}
	var public *wire.Error
	if !errors.As(err, &public) && !errors.Is(err, errOutage) {
		s.service.logger.Warn("cannot handle a frame", "type", kind, "chat", wire.ShortID(s.chatID), "error", err)
	}
	s.refuse(wire.Public(err), "")
}

func (s *Session) handle(ctx context.Context, deadline time.Time, kind string, raw jsontext.Value) error {
	switch {
	case s.role == log.RoleObserver && kind != kindNote && kind != kindCloseChat && kind != kindTransfer:
		return errObserver
	case s.role == log.RoleSupport && !s.room.isOf(s): // no longer the support
		return errNotYours
	}
	switch kind {
	case kindTransfer:
		var args transferArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			return err
		}
		return s.room.transfer(ctx, deadline, s, &args)
	case kindNote:
		var args noteArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			return err
		}
		return s.room.note(ctx, deadline, s, args.Content)
	case kindReceipt:
		var args receiptArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			return err
		}
		return s.room.receipt(ctx, s, &args)
	case kindTyping:
		var args typingArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			return err
		}
		return s.room.typing(s, &args)
	case kindPresence:
		var args presenceArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			return err
		}
		return s.room.setPresence(s, args.State)
	case kindRate:
		var args rateArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			return err
		}
		if !s.allowed() {
			return errTooFast
		}
		return s.room.rate(ctx, deadline, s, &args)
	case kindCloseChat:
		return s.room.closeChat(ctx, deadline, s)
	}
	return wire.UnknownKind
}

func (s *Session) send(payload []byte) {
	s.peer.Queue(s.service.frame(payload))
	s.peer.Flush()
}

func (s *Session) refuse(err *wire.Error, messageID string) {
	s.service.metrics.refusals.Count(err.Code)
	if !s.features.has(featureMessageID) {
		messageID = ""
	}
	s.send(err.Payload(messageID))
}

// expired tells the client that the chat has ended.
func (s *Session) expired() {
	s.send(chatExpiredPayload(s.chatID))
	s.peer.Close(wire.CloseNormal, "chat expired")
}

var (
	errStranger     = wire.NewError(wire.Forbidden, "These ids do not belong to this chat.")
	errTaken        = wire.NewError(wire.AlreadyTaken, "Another agent has taken this chat.")
	errCrowded      = wire.NewError(wire.ChatFull, "This chat has too many connections. Please close one of them.")
	errNoToken      = wire.NewError(wire.Unauthorized, "You need an agent's token to join as Support.")
	errNoSupervisor = wire.NewError(wire.Forbidden, "You need a supervisor's token to join as Observer.")
	errTooFast      = wire.NewError(wire.RateLimited, "You are sending too fast. Please send this again in a moment.")
	errFull         = wire.NewError(wire.ChatFull, "This chat is full. It takes no more messages.")
)

// subject returns the token subject of this session's agent, empty if agents need no token.
func (s *Session) subject() string {
	if s.agent == nil {
		return ""
	}
	return s.agent.Subject
}

func (s *Session) receiveMessage(raw jsontext.Value, readable time.Time) {
	if s.room == nil {
		s.refuse(errNotJoined, "")
		return
	}
	var args messageArgs
	if err := wire.DecodeArgs(raw, &args); err != nil {
		s.refuse(err, "")
		return
	}
	messageID := ""
	if args.MessageID != nil {
		messageID = *args.MessageID
		if n := utf8.RuneCountInString(messageID); n < 1 || n > maxMessageID {
			s.refuse(wire.NewError(wire.BadRequest, `The field "messageId" must have 1 to 64 characters.`), "")
			return
		}
	}
	if err := s.checkMessage(&args); err != nil {
		s.refuse(err, messageID)
		return
	}
	ctx, span := s.service.tracer.Begin(context.Background(), spanReceive, trace.SpanKindServer)
	s.show(span, kindChatMessage)
	err := s.room.write(ctx, readable.Add(storeTimeout), s, args.Content, messageID, carried(args.Files))
	endSpan(span, err)
	switch {
	case err == nil, errors.Is(err, log.ErrGone): // then the room has informed this session, too
	default:
		var public *wire.Error
		if !errors.As(err, &public) && !errors.Is(err, errOutage) {
			s.service.logger.Warn("cannot store a message", "chat", wire.ShortID(s.chatID), "error", err)
		}
		s.refuse(wire.Public(err), messageID)
	}
}

// show adds the type of the frame and the role of its sender to a span.
func (s *Session) show(span trace.Span, kind string) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String("livesupport.type", kind), attribute.String("livesupport.from", string(s.role)))
	}
}

func (s *Session) checkMessage(args *messageArgs) *wire.Error {
	switch {
	case args.From == "":
		return wire.Missing("from")
	case args.Content == "" && len(args.Files) == 0:
		return wire.Missing("content")
	case args.Files != nil && (len(args.Files) < 1 || len(args.Files) > maxFiles):
		return errFileCount
	case s.service.away(s.chatID): // does not count against the rate
		return wire.ErrUnavailable
	case !s.allowed():
		return errTooFast
	case s.role == log.RoleObserver:
		return errObserver
	case args.From != s.role:
		return wire.NewError(wire.Forbidden, `The field "from" must be the role this socket joined with.`)
	case args.UserID != "" && !wire.SameID(args.UserID, s.room.userID()):
		return errStranger
	case utf8.RuneCountInString(args.Content) > maxContent:
		return wire.NewError(wire.TooLarge, "A message can have at most 8,000 characters.")
	}
	return nil
}

// allowed counts a message against the session's rate limit.
func (s *Session) allowed() bool {
	cfg := &s.service.cfg
	if cfg.MessageRate == 0 {
		return true
	}
	if s.limiter == nil {
		s.limiter = rate.NewLimiter(rate.Limit(cfg.MessageRate), cfg.MessageBurst)
	}
	return s.limiter.Allow()
}
