// Package web speaks HTTP and WebSocket: it puts chat.Service behind port 9000
// and lobby.Lobby behind port 9001. Fiber serves HTTP and the upgrade; from then
// on a connection is a Socket of ours.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"livesupport/chat"
	"livesupport/lobby"
	"livesupport/lobby/wire"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gofiber/fiber/v2/middleware/cors"
	recovery "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// headerTimeout bounds the reading of a request.
	headerTimeout = 10 * time.Second
	// requestConns is room for requests where few sockets are allowed: what is
	// over it, fasthttp refuses in plain text.
	requestConns = 1024
	// registerTimeout bounds a registration.
	registerTimeout = 3 * time.Second
)

// Options are what both servers need.
type Options struct {
	// AllowedOrigins are the origins of pages that may use the server; "*" for
	// any, "https://*.example.com" for all below a domain. Clients that send no
	// Origin are no pages and may.
	AllowedOrigins []string
	// Agents checks agents' tokens; nil if anyone may be an agent.
	Agents *Verifier
	// Visitors checks the tokens that visitors' sites give them; nil if none count.
	// A visitor without one is anonymous in either case.
	Visitors *Verifier
	// TrustedProxies are the addresses whose word on a client's address counts.
	TrustedProxies []netip.Prefix
	// RegisterRate is how many registrations a minute an address has; 0 means any
	// number. SocketsPerAddress is how many sockets at once; 0 likewise.
	RegisterRate      float64
	SocketsPerAddress int
	// FrameRate and ByteRate are how many frames and bytes a second may come from a
	// socket, sustained, and four times as many at once; 0 means any number.
	FrameRate, ByteRate float64
	// PingInterval is the time between two heartbeats of a socket.
	PingInterval time.Duration
	// IdleTimeout is how long nothing may come from a socket.
	IdleTimeout time.Duration
	// KeepAlive is how long a connection without a request stays open; 0 for as long as
	// the reading of a request may take.
	KeepAlive time.Duration
	// DrainSpread is over how long Shutdown spreads the sockets' closing.
	DrainSpread time.Duration
	// MaxSockets is how many sockets the server has at once. So many connections
	// that are none yet it has besides, or requestConns if that is more.
	MaxSockets int
	// HeaderBytes bounds the headers of a request, BodyBytes its body where no route
	// wants one.
	HeaderBytes, BodyBytes int
	// Site is what the pages are told.
	Site Site
	// Ready tells what is missing, nil if nothing is.
	Ready   func() error
	Log     *slog.Logger
	Metrics prometheus.Gatherer // what GET /metrics shows
}

// Server is one of the two servers.
type Server struct {
	app           *fiber.App
	hub           *hub
	options       Options
	registrations *addressRate
	notices       *notices
	requests      requests

	mu       sync.Mutex
	listener net.Listener
	closed   bool
}

// NewChat makes the chat server (PROTOCOL.md, "Chat server, port 9000").
func NewChat(service *chat.Service, options Options) *Server {
	s := newServer("chat", options, chatPage)
	// Fiber takes HEAD to a GET route as that, but only GET and POST register somebody.
	s.app.Head("/user/join/*", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderAllow, fiber.MethodGet+", "+fiber.MethodPost)
		return fiber.ErrMethodNotAllowed
	})
	s.app.Get("/user/join/*", func(c *fiber.Ctx) error { return s.register(c, service, chat.Registration{}) })
	s.app.Post("/user/join/*", func(c *fiber.Ctx) error { return s.registerWith(c, service) })
	s.app.Get("/chat/:chatId",
		func(c *fiber.Ctx) error {
			if !wire.ValidID(c.Params("chatId")) {
				return fiber.ErrNotFound
			}
			return c.Next()
		},
		s.upgrade(false, func(c *websocket.Conn) func(wire.Peer) session {
			chatID, agent := c.Params("chatId"), agentOf(c) // contrib has copied them
			return func(peer wire.Peer) session { return service.Connect(chatID, peer, agent) }
		}))
	s.app.Use(notFound)
	return s
}

// NewLobby makes the lobby (PROTOCOL.md, "Lobby").
func NewLobby(l *lobby.Lobby, options Options) *Server {
	s := newServer("lobby", options, lobbyPage)
	s.app.Get("/token", s.checkToken)
	s.app.Get("/users", s.upgrade(true, func(c *websocket.Conn) func(wire.Peer) session {
		agent := agentOf(c)
		return func(peer wire.Peer) session { return l.Connect(peer, agent) }
	}))
	s.app.Use(notFound)
	return s
}

func newServer(name string, options Options, page string) *Server {
	s := &Server{
		options:       options,
		hub:           newHub(options.PingInterval, options.IdleTimeout, options.MaxSockets, options.SocketsPerAddress),
		notices:       newNotices(),
		registrations: newAddressRate(options.RegisterRate, maxBuckets),
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
		BodyLimit:             max(options.BodyBytes, maxRegistration), // see checkBody
		Concurrency:           max(options.MaxSockets, requestConns),
		ErrorHandler:          s.answerError,
	})
	s.app.Server().KeepHijackedConns = true
	s.app.Server().ConnState = s.requests.note
	s.app.Server().Logger = (*quietLogger)(options.Log)
	s.app.Server().SecureErrorLogMessage = true // headers hold tokens
	s.app.Use(recovery.New())
	s.app.Use(secureHeaders)
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

// upgrade makes a WebSocket route, for agents alone if tokens count here. connect
// returns what makes the session, from a request that is no longer valid then.
func (s *Server) upgrade(agentsOnly bool, connect func(*websocket.Conn) func(wire.Peer) session) fiber.Handler {
	upgrade := websocket.New(func(c *websocket.Conn) {
		conn, early, err := takeOver(c)
		if err != nil {
			s.options.Log.Warn("cannot take over an upgraded connection", "error", err)
			c.NetConn().Close()
			return
		}
		from, _ := c.Locals(addressLocal).(netip.Addr)
		s.hub.open(conn, early, from, agentOf(c), connect(c))
	}, websocket.Config{
		Subprotocols:    []string{subprotocol},
		ReadBufferSize:  256, // ours take over; contrib's are not used
		WriteBufferSize: 256,
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
				return wire.NewError(wire.RateLimited, "Too many connections come from your network. Close one, or try again later.")
			}
			c.Locals(addressLocal, from)
		}
		if s.hub.full() {
			s.hub.refuse()
			return wire.NewError(wire.Unavailable, "The server is full. Try again later.")
		}
		return upgrade(c)
	}
}

// takeOver returns the raw connection, and what its client has sent behind the
// upgrade request: Fiber has read that already.
func takeOver(c *websocket.Conn) (net.Conn, []byte, error) {
	wrapped := c.NetConn()
	unwrapper, ok := wrapped.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return nil, nil, errors.New("fasthttp does not give its connection away")
	}
	// With the deadline past, the wrapper's reader yields its buffer and no more.
	if err := wrapped.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, nil, err
	}
	var early []byte
	var buf [smallBuffer]byte
	for {
		n, err := wrapped.Read(buf[:])
		early = append(early, buf[:n]...)
		if err != nil {
			break
		}
	}
	conn := unwrapper.UnsafeConn()
	return conn, early, conn.SetDeadline(time.Time{})
}

// Serve serves until Shutdown, and then returns nil. It is called once.
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
	// Fiber calls a listener that breaks an orderly end.
	return errors.Join(errors.New("the listener no longer accepts connections"), err)
}

// Shutdown ends the server: no new connections, a close frame with 1001 to
// every socket, and the end of their sessions. When ctx ends before, what is
// left is cut off.
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

// quietLogger lets fasthttp's reports of clients' faults through at debug level.
type quietLogger slog.Logger

func (l *quietLogger) Printf(format string, args ...any) {
	(*slog.Logger)(l).Debug("http", "format", format, "args", args)
}
