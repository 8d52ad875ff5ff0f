package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"livesupport/broker"
	"livesupport/broker/redisdb"
	"livesupport/chat"
	"livesupport/chat/files"
	"livesupport/chat/follow"
	chatlog "livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/settings"
	"livesupport/lobby/wire"
	"livesupport/web"
)

// assembly puts a Backend together, one step after the other. Each step uses what those
// before it have opened.
type assembly struct {
	*Backend
	cfg     Config
	parts   Parts
	figures figures

	chatListener, lobbyListener, operatorListener net.Listener // nil without their port

	tracer   wire.Tracer // nil without tracing
	db       *redisdb.DB
	events   measured
	queue    *lobby.Queue
	stored   *files.Store // nil without files
	followed *following
}

func (a *assembly) start(ctx context.Context) error {
	a.log.Info("starting", "version", version, "revision", revision(), "broker", a.cfg.Broker)
	for _, warning := range a.cfg.warnings {
		a.log.Warn(warning)
	}
	for _, open := range []func(context.Context) error{
		a.openSettings, a.openListeners, a.openTracing, a.openStore, a.openBroker, a.openQueue, a.openFollowing,
	} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	a.serve()
	return nil
}

func (a *assembly) openSettings(context.Context) (err error) {
	a.settingsName = fmt.Sprintf("%s=%q", a.cfg.name("SETTINGS"), a.cfg.Settings)
	if a.settings, err = settings.Open(a.cfg.Settings); err != nil {
		return UsageError(a.settingsName + ": " + err.Error())
	}
	a.figures.operator.MustRegister(a.settings)
	return nil
}

func (a *assembly) openListeners(ctx context.Context) (err error) {
	if a.parts&Chat != 0 {
		if a.chatListener, err = a.listen(ctx, a.cfg.name("CHAT_ADDR"), a.cfg.ChatAddr); err != nil {
			return err
		}
		a.chatAddr = a.chatListener.Addr().String()
	}
	if a.parts&Lobby != 0 {
		if a.lobbyListener, err = a.listen(ctx, a.cfg.name("LOBBY_ADDR"), a.cfg.LobbyAddr); err != nil {
			return err
		}
		a.lobbyAddr = a.lobbyListener.Addr().String()
	}
	if a.cfg.MetricsAddr != "" {
		if a.operatorListener, err = a.listen(ctx, a.cfg.name("METRICS_ADDR"), a.cfg.MetricsAddr); err != nil {
			return err
		}
		a.metricsAddr = a.operatorListener.Addr().String()
	}
	return nil
}

func (a *assembly) openTracing(ctx context.Context) error {
	spans := newTracing()
	a.figures.operator.MustRegister(spans.made, spans.sent, a.lines.dropped)
	if !a.cfg.Tracing {
		return nil
	}
	tracer, end, err := spans.open(ctx, a.parts, a.log)
	if err != nil {
		return err
	}
	a.tracer = tracer
	a.steps = append(a.steps, step{"tracing", 2 * flushTimeout, end})
	return nil
}

func (a *assembly) openStore(context.Context) (err error) {
	options := []redisdb.Option{
		redisdb.WithTrial(chatlog.Trial), redisdb.WithTrial(lobby.Trial), redisdb.Prefix(a.cfg.Prefix), redisdb.Replicas(a.cfg.RedisWait),
		redisdb.WithTLS(redisdb.TLS{CA: a.cfg.RedisCA, Cert: a.cfg.RedisCert, Key: a.cfg.RedisKey}),
	}
	if a.cfg.follows() {
		options = append(options, redisdb.WithTrial(follow.Trial))
	}
	if a.cfg.hasFiles() {
		options = append(options, redisdb.WithTrial(files.Trial))
	}
	if a.db, err = redisdb.Open(a.cfg.RedisURL, a.log, options...); err != nil {
		return usage(a.cfg.name("REDIS_URL"), a.cfg.RedisURL, err.Error())
	}
	a.onShutdown("store", 2*time.Second, a.db.Close) // a pipeline in flight takes up to 1.5 s
	a.figures.operator.MustRegister(a.db.Metrics()...)
	if a.cfg.Now == nil {
		a.cfg.Now = a.db.Now
	}
	return nil
}

func (a *assembly) openBroker(context.Context) (err error) {
	if a.events, err = newBroker(a.cfg, a.db, a.log); err != nil {
		return err
	}
	a.onShutdown("broker", 2*time.Second, a.events.Close)
	a.figures.operator.MustRegister(a.events.Metrics()...)
	a.onShutdown("neighbours", time.Second, newNeighbours(a.cfg, a.parts, a.db, a.events, a.log).close)
	// While NATS is unavailable, servers still accept messages; other servers get them late.
	a.readiness.parts = []readyPart{{"store", a.db.Ready, true}, {"broker", a.events.Ready, !a.cfg.usesNATS()}}
	return nil
}

func (a *assembly) openQueue(context.Context) error {
	a.queue = lobby.NewQueue(lobby.QueueConfig{
		DB: a.db, Broker: a.events, BrokerInStore: !a.cfg.usesNATS(), Log: a.log,
		ChatTTL: a.cfg.ChatTTL, ClaimTTL: a.cfg.ClaimTTL, LeaveGrace: a.cfg.LeaveGrace,
		OfferTTL: a.cfg.OfferTTL, Assign: lobby.Assignment(a.cfg.Assign),
	})
	a.onShutdown("queue", 2500*time.Millisecond, a.queue.Close)
	a.figures.operator.MustRegister(a.queue.Metrics()...)
	return nil
}

// openFollowing opens the file store, and what reads the logs of chats.
func (a *assembly) openFollowing(ctx context.Context) (err error) {
	if a.stored, err = a.openFileStore(ctx, a.cfg); err != nil {
		return err
	}
	if a.followed, err = a.Backend.openFollowing(ctx, a.cfg, a.db, a.stored); err != nil {
		return err
	}
	a.figures.operator.MustRegister(a.followed.metrics()...)
	return nil
}

// serve starts the servers. Nothing fails from here on.
func (a *assembly) serve() {
	if a.operatorListener != nil {
		a.steps = append(a.steps, step{"operator's port", time.Second, serveOperator(a.operatorListener, a.figures, &a.readiness, a.cfg.KeepAlive, a.log)})
		a.log.Info("operator's port listens", "addr", a.metricsAddr)
	}
	options := a.options()
	if a.parts&Lobby != 0 {
		a.serveLobby(options)
	}
	if a.parts&Chat != 0 {
		a.serveChat(options)
	}
	a.steps = append(a.steps, step{"sockets", 3*time.Second + a.cfg.DrainSpread, a.closeSockets})
}

// options returns what both servers have in common.
func (a *assembly) options() web.Options {
	cfg, agents := a.cfg, a.agentVerifier(a.cfg)
	options := web.Options{
		AllowedOrigins: cfg.AllowedOrigins,
		PingInterval:   cfg.PingInterval,
		IdleTimeout:    cfg.IdleTimeout,
		ParkAfter:      cfg.ParkAfter,
		KeepAlive:      cfg.KeepAlive,
		FrameRate:      cfg.FrameRate,
		ByteRate:       cfg.ByteRate,
		MaxSockets:     a.maxSockets(cfg),
		HeaderBytes:    cfg.MaxHeaderBytes,
		BodyBytes:      cfg.MaxBodyBytes,
		Agents:         agents,
		Visitors:       visitorVerifier(cfg),

		TrustedProxies:    cfg.TrustedProxies,
		RegisterRate:      cfg.RegisterRate,
		SocketsPerAddress: cfg.SocketsPerAddress,
		Site: web.Site{
			ChatURL:     cfg.ChatPublicURL,
			FilesOrigin: cfg.FilesOrigin,
			ChatPort:    portOf(a.chatAddr, cfg.ChatAddr),
			LobbyPort:   portOf(a.lobbyAddr, cfg.LobbyAddr),
			ChatTTL:     cfg.ChatTTL,

			TypingPreview:   cfg.TypingPreview,
			AgentsNeedToken: agents != nil,
		},
		Settings:    a.settings,
		Overview:    overview(a.queue),
		Now:         cfg.Now,
		DrainSpread: cfg.DrainSpread,
		Ready:       a.readiness.check,
		Log:         a.log,
		Metrics:     a.figures.all(),
	}
	if a.operatorListener != nil {
		options.Metrics = a.figures.public
	}
	if cfg.MessageRate == 0 { // any number of messages needs any number of frames
		options.FrameRate, options.ByteRate = 0, 0
	}
	if a.followed.keeps() {
		options.Archive, options.Messages = a.followed.archive, true
		options.Living = &chat.Closer{DB: a.db, Broker: a.events, Queue: a.queue, Logs: chatlog.NewStore(a.db, cfg.ChatTTL, cfg.ArchiveGrace), Appended: a.followed.appended()}
	}
	return options
}

func (a *assembly) serveLobby(options web.Options) {
	a.lobby = lobby.New(lobby.Config{
		Queue: a.queue, Broker: a.events, Frame: web.TextFrame, Tracer: a.tracer, Log: a.log,
		HasTeam: a.hasTeam,
	})
	a.figures.operator.MustRegister(a.lobby.Metrics()...)
	a.onShutdown("lobby", time.Second, a.lobby.Close)
	a.serveOn("lobby", web.NewLobby(a.lobby, options), a.lobbyListener)
}

func (a *assembly) serveChat(options web.Options) {
	cfg := a.cfg
	chats := chat.New(chat.Config{
		DB: a.db, Broker: a.events, Queue: a.queue, TTL: cfg.ChatTTL,
		MessageRate: cfg.MessageRate, MessageBurst: cfg.MessageBurst, MaxMessages: cfg.MaxMessages, JoinTimeout: cfg.JoinTimeout,
		TypingPreview: cfg.TypingPreview,
		SupportGrace:  cfg.SupportGrace,
		Team:          a.hasTeam,
		Frame:         web.TextFrame, Tracer: a.tracer, Log: a.log, Metrics: a.figures.public,
		AgentsNeedToken: options.Agents != nil,
		Grace:           a.followed.grace(), Keeper: a.followed.keeper(), Appended: a.followed.appended(),
		MaxFiles: cfg.FilesPerChat,
	})
	a.figures.operator.MustRegister(chats.Metrics()...)
	a.onShutdown("chats", 2500*time.Millisecond, chats.Close) // marks in flight take up to 2 s
	options.Uploads = a.serveFiles(cfg, a.stored, a.db, chats, &a.figures)
	a.serveOn("chat server", web.NewChat(chats, options), a.chatListener)
}

func (a *assembly) hasTeam(id string) bool { return a.settings.Current().HasTeam(id) }

func (a *assembly) serveOn(name string, server *web.Server, l net.Listener) {
	a.servers = append(a.servers, server)
	a.figures.operator.MustRegister(server.Metrics()...)
	a.ended.Go(func() {
		if err := server.Serve(l); err != nil {
			a.failed <- fmt.Errorf("%s: %w", name, err)
		}
	})
	a.log.Info(name+" listens", "addr", l.Addr().String())
}

// agentVerifier returns the verifier of agents' tokens, nil if anybody can be an agent.
func (b *Backend) agentVerifier(cfg Config) *web.Verifier {
	switch {
	case cfg.AgentSecret != "":
		return web.NewSecretVerifier(cfg.AgentSecret, cfg.AgentAudience, cfg.AgentIssuer)
	case cfg.AgentJWKSURL != "":
		v := web.NewKeySetVerifier(cfg.AgentJWKSURL, cfg.AgentAudience, cfg.AgentIssuer, b.log)
		b.onShutdown("keys", time.Second, v.Close)
		return v
	}
	b.log.Warn("agents are not authenticated: anybody who can reach these ports can act as an agent; set AGENT_SECRET or AGENT_JWKS_URL")
	return nil
}

// maxSockets returns MAX_SOCKETS, or less if the process cannot open that many files. It
// leaves some files for Redis, NATS and requests, which could not reconnect otherwise.
func (b *Backend) maxSockets(cfg Config) int {
	files, known := openFiles()
	spare := min(files/4, 512)
	if !known || uint64(cfg.MaxSockets) <= files-spare {
		return cfg.MaxSockets
	}
	b.log.Info("MAX_SOCKETS is more than the limit on open files allows and was lowered: raise ulimit -n, or lower MAX_SOCKETS", "sockets", files-spare, "files", files)
	return int(files - spare)
}

// visitorVerifier returns the verifier of visitors' tokens, nil if they are ignored.
func visitorVerifier(cfg Config) *web.Verifier {
	if cfg.VisitorSecret == "" {
		return nil
	}
	return web.NewSecretVerifier(cfg.VisitorSecret, "", "")
}

// portOf returns the port of a server: of this process or, if the server runs in another
// one, of the configuration, which is the same there.
func portOf(here, configured string) string {
	if here == "" {
		here = configured
	}
	_, port, _ := net.SplitHostPort(here)
	return port
}

// usesNATS reports whether the broker is NATS. Otherwise it is the store itself.
func (c Config) usesNATS() bool { return c.Broker == "nats" }

// measured is a broker with metrics.
type measured interface {
	broker.Broker
	Metrics() []prometheus.Collector
}

// newBroker opens the broker that the configuration names. It is the only place that
// knows all brokers.
func newBroker(cfg Config, db *redisdb.DB, log *slog.Logger) (measured, error) {
	if !cfg.usesNATS() {
		return broker.NewRedis(db, log), nil
	}
	events, err := broker.NewNATS(broker.NATSConfig{
		URLs:        cfg.NATSURL,
		Credentials: cfg.NATSCreds, CA: cfg.NATSCA, Cert: cfg.NATSCert, Key: cfg.NATSKey,
		Prefix:   cfg.Prefix,
		Replicas: cfg.NATSReplicas,
		Memory:   cfg.NATSStorage == "memory",
		Log:      log,
	})
	if err != nil {
		return nil, UsageError("BROKER=nats: " + err.Error())
	}
	return events, nil
}

// listen opens the listener of a variable. A server closes its own listener; the step
// here is for a start that fails before there is a server.
func (b *Backend) listen(ctx context.Context, variable, addr string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1} // web sets it once for all connections
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", variable, addr, err)
	}
	b.onShutdown("listener", time.Second, func() error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return listener, nil
}
