// Package web speaks HTTP and WebSocket: it serves chat.Service on port 9000 and
// lobby.Lobby on port 9001. Fiber handles HTTP and the upgrade; after that, a connection is
// a Socket of this package.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"livesupport/broker/rawio"
	"livesupport/chat"
	"livesupport/chat/archive"
	"livesupport/chat/files"
	"livesupport/lobby"
	"livesupport/lobby/settings"
	"livesupport/lobby/wire"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gofiber/fiber/v2/middleware/cors"
	recovery "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
)

const (
	// headerTimeout bounds reading a request.
	headerTimeout = 10 * time.Second
	// requestConns is the minimum number of connections for requests if few sockets are
	// allowed. fasthttp refuses further ones in plain text.
	requestConns = 1024
	// registerTimeout bounds a registration.
	registerTimeout = 3 * time.Second
)

// Options has the options of both servers.
type Options struct {
	// AllowedOrigins are the origins whose pages may use the server: "*" for all, or
	// "https://*.example.com" for all subdomains. Clients that send no Origin are not pages
	// and are always allowed.
	AllowedOrigins []string
	// Agents checks agents' tokens. If it is nil, anybody can be an agent.
	Agents *Verifier
	// Visitors checks visitors' tokens, which sites give them. If it is nil, the tokens are
	// ignored. A visitor without a token is anonymous in either case.
	Visitors *Verifier
	// TrustedProxies are the proxies whose forwarding headers are trusted.
	TrustedProxies []netip.Prefix
	// RegisterRate is how many registrations per minute an address may make, and
	// SocketsPerAddress how many sockets it may have at once. 0 means no limit.
	RegisterRate      float64
	SocketsPerAddress int
	// FrameRate and ByteRate are how many frames and bytes per second a client may send,
	// sustained; a burst may have four times as many. 0 means no limit.
	FrameRate, ByteRate float64
	// PingInterval is the time between two heartbeats of a socket.
	PingInterval time.Duration
	// IdleTimeout is how long a client may send nothing.
	IdleTimeout time.Duration
	// ParkAfter is how many pongs, and frames that wait for nothing, in a row let a socket give
	// its goroutine back, where the system offers that: 0 for as many as one heartbeat takes,
	// below 0 for never.
	ParkAfter int
	// KeepAlive is how long an idle HTTP connection stays open. 0 means as long as reading a
	// request may take.
	KeepAlive time.Duration
	// DrainSpread is the period over which Shutdown closes the sockets.
	DrainSpread time.Duration
	// MaxSockets is the maximum number of sockets at once. In addition, the server has as
	// many connections for requests, or requestConns if that is more.
	MaxSockets int
	// HeaderBytes bounds the headers of a request, BodyBytes the body of a request whose
	// route needs none.
	HeaderBytes, BodyBytes int
	// Archive keeps ended chats and left messages; it may be nil. Living closes chats that
	// are to be deleted before they have ended.
	Archive *archive.Archive
	Living  Living
	// Settings are the operator's settings, nil without any.
	Settings *settings.File
	// Overview returns the state of the desk for the chat server's GET /status; nil means an
	// empty desk. Files are the limits for files, nil without file storage. Messages says
	// that visitors can leave messages. Now is the clock for opening hours, nil for the
	// system's.
	Overview func(context.Context) (Desk, error)
	Files    *FileLimits
	Messages bool
	Now      func() time.Time
	// Uploads stores files that are sent in chats, for the chat server. It may be nil.
	Uploads *files.Service
	// Site has the facts for the pages.
	Site Site
	// Ready returns an error if something is missing.
	Ready   func() error
	Log     *slog.Logger
	Metrics prometheus.Gatherer // the metrics for GET /metrics
}

// Server is one of the two servers.
type Server struct {
	app           *fiber.App
	hub           *hub
	options       Options
	registrations *addressRate
	uploads       *addressRate
	notices       *notices
	requests      requests
	desk          desk

	mu       sync.Mutex
	listener net.Listener
	closed   bool
}

// NewChat makes the chat server (web/api/README.md, "Chat server, port 9000").
func NewChat(service *chat.Service, options Options) *Server {
	if options.Uploads != nil {
		options.Files = &FileLimits{options.Uploads.Size(), options.Uploads.Types()}
	}
	s := newServer("chat", options, chatPage)
	s.desk.look = s.options.Overview
	// Fiber runs GET routes for HEAD as well, but only GET and POST may register a visitor.
	s.app.Head("/user/join/*", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderAllow, fiber.MethodGet+", "+fiber.MethodPost)
		return fiber.ErrMethodNotAllowed
	})
	s.app.Get("/user/join/*", func(c *fiber.Ctx) error { return s.register(c, service, chat.Registration{}) })
	s.app.Post("/user/join/*", func(c *fiber.Ctx) error { return s.registerWith(c, service) })
	s.app.Get("/status", s.answerStatus)
	s.app.Post(leavePath, s.leaveMessage)
	s.serveFiles(service)
	s.app.Get("/chat/:chatId",
		func(c *fiber.Ctx) error {
			if !wire.ValidID(c.Params("chatId")) {
				return fiber.ErrNotFound
			}
			return c.Next()
		},
		s.upgrade(false, func(c *websocket.Conn) func(wire.Peer) session {
			chatID, agent := c.Params("chatId"), agentOf(c) // contrib has copied these
			return func(peer wire.Peer) session { return service.Connect(chatID, peer, agent) }
		}))
	s.app.Use(notFound)
	return s
}

// NewLobby makes the lobby (web/api/README.md, "Lobby, port 9001").
func NewLobby(l *lobby.Lobby, options Options) *Server {
	s := newServer("lobby", options, lobbyPage)
	s.app.Get("/token", s.checkToken)
	s.api()
	s.app.Get("/users", s.upgrade(true, func(c *websocket.Conn) func(wire.Peer) session {
		agent := agentOf(c)
		return func(peer wire.Peer) session { return l.Connect(peer, agent) }
	}))
	s.app.Use(notFound)
	return s
}

func newServer(name string, options Options, page string) *Server {
	if options.Settings == nil {
		options.Settings = settings.NoFile()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Overview == nil {
		options.Overview = func(context.Context) (Desk, error) {
			return Desk{Estimate: -1, OfTeam: func(string) int { return 0 }}, nil
		}
	}
	s := &Server{
		options:       options,
		hub:           newHub(options.PingInterval, options.IdleTimeout, options.MaxSockets, options.SocketsPerAddress, options.ParkAfter),
		notices:       newNotices(),
		registrations: newAddressRate(options.RegisterRate, maxBuckets),
		uploads:       newAddressRate(options.RegisterRate*uploadsPerRegistration, maxBuckets),
		requests:      requests{open: make(map[net.Conn]struct{})},
	}
	s.hub.flow = newFlow(options.FrameRate, options.ByteRate)
	s.hub.spread, s.hub.log, s.hub.metrics = options.DrainSpread, options.Log, newMetrics(name)
	s.app = fiber.New(fiber.Config{
		DisableStartupMessage: true,
		CaseSensitive:         true,
		ReadTimeout:           headerTimeout,
		WriteTimeout:          headerTimeout,
		IdleTimeout:           options.KeepAlive,
		ReadBufferSize:        options.HeaderBytes,
		BodyLimit:             s.streamLimit(),
		// The routes read bodies, see readBody.
		StreamRequestBody:            options.Uploads != nil,
		DisablePreParseMultipartForm: true,
		Concurrency:                  max(options.MaxSockets, requestConns),
		ErrorHandler:                 s.answerError,
	})
	s.app.Server().KeepHijackedConns = true
	s.app.Server().ConnState = s.requests.note
	s.app.Server().Logger = (*quietLogger)(options.Log)
	s.app.Server().SecureErrorLogMessage = true // headers contain tokens
	s.app.Use(recovery.New())
	s.app.Use(secureHeaders)
	s.app.Use(s.readBody)
	s.app.Use(s.checkBody)
	s.app.Use(s.share)
	s.app.Use(s.checkOrigin)
	s.app.Use(cors.New(s.corsConfig()))
	s.app.Get("/healthz", func(c *fiber.Ctx) error { return c.SendString("ok") })
	s.app.Get("/readyz", func(c *fiber.Ctx) error {
		if err := options.Ready(); err != nil {
			return wire.ErrUnavailable
		}
		return c.SendString("ok")
	})
	s.app.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(options.Metrics, promhttp.HandlerOpts{})))
	s.servePages(page)
	return s
}

// upgrade makes a WebSocket route; agentsOnly requires an agent's token if the server uses
// tokens. connect reads the request, which is invalid later, and returns a function that
// makes the session.
func (s *Server) upgrade(agentsOnly bool, connect func(*websocket.Conn) func(wire.Peer) session) fiber.Handler {
	upgrade := websocket.New(func(c *websocket.Conn) {
		conn, early, err := takeOver(c)
		if err != nil {
			s.options.Log.Warn("cannot take over an upgraded connection", "error", err)
			c.NetConn().Close()
			return
		}
		from, _ := c.Locals(addressLocal).(netip.Addr)
		s.hub.open(upgraded{conn, head(c), early, from, agentOf(c)}, connect(c))
	}, websocket.Config{
		Subprotocols:    []string{subprotocol},
		ReadBufferSize:  1, // contrib's buffers are not used: the smallest, and none
		WriteBufferPool: new(sync.Pool),
		RecoverHandler: func(c *websocket.Conn) {
			if r := recover(); r != nil {
				s.options.Log.Error("panic in an upgrade", "panic", r)
				c.NetConn().Close()
			}
		},
	})
	return func(c *fiber.Ctx) error {
		s.lostUpgrade(c)
		if err := s.authenticate(c, agentsOnly); err != nil {
			return err
		}
		if !websocket.IsWebSocketUpgrade(c) {
			c.Set(fiber.HeaderUpgrade, "websocket")
			c.Set(fiber.HeaderConnection, "Upgrade")
			return fiber.ErrUpgradeRequired
		}
		if s.options.SocketsPerAddress > 0 {
			from := s.clientAddress(c)
			if s.hub.crowded(from) {
				s.refused(socketsPerAddress)
				c.Set(fiber.HeaderRetryAfter, "10")
				return wire.NewError(wire.RateLimited, "There are too many connections from your network. Close one or try again later.")
			}
			c.Locals(addressLocal, from)
		}
		if s.hub.full() {
			s.hub.refuse()
			return wire.NewError(wire.Unavailable, "The server is full. Try again later.")
		}
		if c.Request().Header.ConnectionClose() {
			return upgrade(c) // fasthttp closes it behind the response
		}
		c.Locals(requestLocal, c.Context())
		err := upgrade(c)
		c.Context().HijackSetNoResponse(true) // the response is the head of what the socket writes
		return err
	}
}

// requestLocal is the key of an upgrade's own context, which is valid until the upgraded
// connection has been taken over.
const requestLocal = "request"

// head returns the response to an upgrade, nil if it has been sent.
func head(c *websocket.Conn) []byte {
	request, _ := c.Locals(requestLocal).(*fasthttp.RequestCtx)
	if request == nil {
		return nil
	}
	header := request.Response.Header.Header()
	return append(make([]byte, 0, len(header)+len(pingFrame)), header...)
}

// takeOver returns the raw connection and the bytes that its client has sent after the
// upgrade request, which Fiber has already read.
func takeOver(c *websocket.Conn) (net.Conn, []byte, error) {
	wrapped := c.NetConn()
	unwrapper, ok := wrapped.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return nil, nil, errors.New("fasthttp does not release its connection")
	}
	conn := unwrapper.UnsafeConn()
	if direct, ok := conn.(*rawio.Conn); ok {
		conn = direct.Detach() // from now on, the wrapper's reader only returns its buffer
	} else if err := wrapped.SetReadDeadline(time.Unix(1, 0)); err != nil { // which does the same
		return nil, nil, err
	}
	var early []byte
	buf := earlyBuffers.Get().(*[smallBuffer]byte)
	defer earlyBuffers.Put(buf)
	for {
		n, err := wrapped.Read(buf[:])
		early = append(early, buf[:n]...)
		if err != nil {
			break
		}
	}
	return conn, early, conn.SetDeadline(time.Time{})
}

var earlyBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}

// Serve serves until Shutdown and then returns nil. Call it once.
func (s *Server) Serve(l net.Listener) error {
	l = newListener(l, s.options.Log)
	s.mu.Lock()
	s.listener = l
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return l.Close()
	}
	err := s.app.Listener(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	// Fiber treats a broken listener as a normal end.
	return errors.Join(errors.New("the listener no longer accepts connections"), err)
}

// Shutdown ends the server: it stops taking connections, sends every socket a close frame
// with 1001, and ends their sessions. When ctx ends, it cuts the remaining connections.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	var errs []error
	if s.listener != nil {
		errs = append(errs, s.listener.Close())
	}
	s.mu.Unlock()
	errs = append(errs, s.hub.shutdown(ctx))
	grace, cancel := context.WithTimeout(ctx, requestGrace)
	defer cancel()
	if s.app.ShutdownWithContext(grace) != nil {
		errs = append(errs, s.requests.cut(ctx))
	}
	return errors.Join(errs...)
}

// quietLogger logs fasthttp's reports of clients' mistakes at debug level.
type quietLogger slog.Logger

func (l *quietLogger) Printf(format string, args ...any) {
	(*slog.Logger)(l).Debug("http", "format", format, "args", args)
}
