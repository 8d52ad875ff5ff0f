// Package backend assembles servers from the project's packages: it has the
// configuration, the start and the orderly shutdown that the commands share. It links no
// embedded server, to keep chatserver and subscriber free of them.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"livesupport/broker"
	"livesupport/broker/redisdb"
	"livesupport/chat"
	"livesupport/chat/follow"
	chatlog "livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/settings"
	"livesupport/lobby/wire"
	"livesupport/web"
)

// Parts says which servers run in a process.
type Parts uint8

// The parts. A process can run both.
const (
	Chat  Parts = 1 << iota // the chat server
	Lobby                   // the lobby
)

// shutdownTimeout bounds a shutdown, in addition to DRAIN_DELAY and DRAIN_SPREAD. With
// their defaults, it leaves one of the ten seconds that a process has to end.
const shutdownTimeout = 8 * time.Second

// Backend is a running server of one or both parts.
type Backend struct {
	log                 *slog.Logger
	lines               *logWriter // output of log, closed last
	chatAddr, lobbyAddr string
	metricsAddr         string
	delay, spread       time.Duration // of the shutdown
	readiness           readiness
	settings            *settings.File
	settingsName        string       // the variable and its value
	lobby               *lobby.Lobby // nil without that part

	servers []*web.Server
	ended   sync.WaitGroup // the goroutines of the servers
	failed  chan error     // errors of servers that end without a Shutdown; has room for all

	steps   []step // what Shutdown closes, in the order of the start
	closing sync.Once
	closed  error
}

// step is a part to close, and how long that may take.
type step struct {
	name  string
	limit time.Duration
	close func(context.Context) error
}

// Start opens the listeners of the parts and serves. It does not wait for the store:
// until the store answers, the servers refuse requests as unavailable. ctx bounds only the
// start. A UsageError means that the configuration is wrong. After an error nothing is
// left running.
func Start(ctx context.Context, cfg Config, parts Parts) (*Backend, error) {
	if err := cfg.checkAgents(); err != nil {
		return nil, err
	}
	lines := newLogWriter(os.Stderr)
	log, endLog := newLogger(cfg, lines)
	b := &Backend{log: log, lines: lines, delay: cfg.DrainDelay, spread: cfg.DrainSpread, failed: make(chan error, 2)}
	b.onShutdown("log", time.Second, lines.Close) // closed last
	b.onShutdown("warnings", time.Second, func() error { endLog(); return nil })
	if err := b.start(ctx, cfg, parts); err != nil {
		return nil, errors.Join(err, b.Shutdown(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *Backend) start(ctx context.Context, cfg Config, parts Parts) error {
	b.log.Info("starting", "version", version, "revision", revision(), "broker", cfg.Broker)
	for _, warning := range cfg.warnings {
		b.log.Warn(warning)
	}
	var err error
	b.settingsName = fmt.Sprintf("%s=%q", cfg.name("SETTINGS"), cfg.Settings)
	if b.settings, err = settings.Open(cfg.Settings); err != nil {
		return UsageError(b.settingsName + ": " + err.Error())
	}
	var chatListener, lobbyListener, operatorListener net.Listener
	if parts&Chat != 0 {
		if chatListener, err = b.listen(ctx, cfg.name("CHAT_ADDR"), cfg.ChatAddr); err != nil {
			return err
		}
		b.chatAddr = chatListener.Addr().String()
	}
	if parts&Lobby != 0 {
		if lobbyListener, err = b.listen(ctx, cfg.name("LOBBY_ADDR"), cfg.LobbyAddr); err != nil {
			return err
		}
		b.lobbyAddr = lobbyListener.Addr().String()
	}

	if cfg.MetricsAddr != "" {
		if operatorListener, err = b.listen(ctx, cfg.name("METRICS_ADDR"), cfg.MetricsAddr); err != nil {
			return err
		}
		b.metricsAddr = operatorListener.Addr().String()
	}

	spans := newTracing()
	var tracer wire.Tracer
	if cfg.Tracing {
		var end func(context.Context) error
		if tracer, end, err = spans.open(ctx, parts, b.log); err != nil {
			return err
		}
		b.steps = append(b.steps, step{"tracing", 2 * flushTimeout, end})
	}

	trials := []redisdb.Option{redisdb.WithTrial(chatlog.Trial), redisdb.WithTrial(lobby.Trial)}
	if cfg.follows() {
		trials = append(trials, redisdb.WithTrial(follow.Trial))
	}
	db, err := redisdb.Open(cfg.RedisURL, b.log, append(trials, redisdb.Prefix(cfg.Prefix),
		redisdb.WithTLS(redisdb.TLS{CA: cfg.RedisCA, Cert: cfg.RedisCert, Key: cfg.RedisKey}))...)
	if err != nil {
		return usage(cfg.name("REDIS_URL"), cfg.RedisURL, err.Error())
	}
	b.onShutdown("store", 2*time.Second, db.Close) // a pipeline in flight takes up to 1.5 s
	events, inStore, err := openBroker(cfg, db, b.log)
	if err != nil {
		return err
	}
	b.onShutdown("broker", 2*time.Second, events.Close)
	b.onShutdown("neighbours", time.Second, newNeighbours(cfg, parts, db, events, b.log).close)
	queue := lobby.NewQueue(lobby.QueueConfig{
		DB: db, Broker: events, BrokerInStore: inStore, Log: b.log,
		ChatTTL: cfg.ChatTTL, ClaimTTL: cfg.ClaimTTL, LeaveGrace: cfg.LeaveGrace,
		OfferTTL: cfg.OfferTTL, Assign: lobby.Assignment(cfg.Assign),
	})
	b.onShutdown("queue", 2500*time.Millisecond, queue.Close)

	figures := newFigures()
	figures.operator.MustRegister(db.Metrics()...)
	figures.operator.MustRegister(events.Metrics()...)
	figures.operator.MustRegister(queue.Metrics()...)
	figures.operator.MustRegister(b.settings)
	figures.operator.MustRegister(spans.made, spans.sent, b.lines.dropped)
	stored, err := b.openFileStore(ctx, cfg)
	if err != nil {
		return err
	}
	followed, err := b.openFollowing(ctx, cfg, db, stored)
	if err != nil {
		return err
	}
	figures.operator.MustRegister(followed.metrics()...)
	// While NATS is unavailable, servers still accept messages; other servers get them late.
	b.readiness.parts = []readyPart{{"store", db.Ready, true}, {"broker", events.Ready, inStore}}
	shown := figures.all()
	if operatorListener != nil {
		shown = figures.public
		b.steps = append(b.steps, step{"operator's port", time.Second, serveOperator(operatorListener, figures, &b.readiness, cfg.KeepAlive, b.log)})
		b.log.Info("operator's port listens", "addr", b.metricsAddr)
	}
	if cfg.MessageRate == 0 { // any number of messages needs any number of frames
		cfg.FrameRate, cfg.ByteRate = 0, 0
	}
	if cfg.Now == nil {
		cfg.Now = db.Now
	}
	agents := b.agentVerifier(cfg)
	maxSockets := b.maxSockets(cfg)
	options := web.Options{
		AllowedOrigins: cfg.AllowedOrigins,
		PingInterval:   cfg.PingInterval,
		IdleTimeout:    cfg.IdleTimeout,
		ParkAfter:      cfg.ParkAfter,
		KeepAlive:      cfg.KeepAlive,
		FrameRate:      cfg.FrameRate,
		ByteRate:       cfg.ByteRate,
		MaxSockets:     maxSockets,
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
			ChatPort:    portOf(b.chatAddr, cfg.ChatAddr),
			LobbyPort:   portOf(b.lobbyAddr, cfg.LobbyAddr),
			ChatTTL:     cfg.ChatTTL,

			TypingPreview:   cfg.TypingPreview,
			AgentsNeedToken: agents != nil,
		},
		Settings:    b.settings,
		Overview:    overview(queue),
		Now:         cfg.Now,
		DrainSpread: cfg.DrainSpread,
		Ready:       b.readiness.check,
		Log:         b.log,
		Metrics:     shown,
	}
	if followed.keeps() {
		options.Archive, options.Messages = followed.archive, true
		options.Living = &chat.Closer{DB: db, Broker: events, Queue: queue, Logs: chatlog.NewStore(db, cfg.ChatTTL, cfg.ArchiveGrace), Appended: followed.appended()}
	}
	serve := func(name string, server *web.Server, l net.Listener) {
		b.servers = append(b.servers, server)
		figures.operator.MustRegister(server.Metrics()...)
		b.ended.Go(func() {
			if err := server.Serve(l); err != nil {
				b.failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
		b.log.Info(name+" listens", "addr", l.Addr().String())
	}
	if parts&Lobby != 0 {
		desk := lobby.New(lobby.Config{
			Queue: queue, Broker: events, Frame: web.TextFrame, Tracer: tracer, Log: b.log,
			HasTeam: func(team string) bool { return b.settings.Current().HasTeam(team) },
		})
		b.lobby = desk
		figures.operator.MustRegister(desk.Metrics()...)
		b.onShutdown("lobby", time.Second, desk.Close)
		serve("lobby", web.NewLobby(desk, options), lobbyListener)
	}
	if parts&Chat != 0 {
		chats := chat.New(chat.Config{
			DB: db, Broker: events, Queue: queue, TTL: cfg.ChatTTL,
			MessageRate: cfg.MessageRate, MessageBurst: cfg.MessageBurst, MaxMessages: cfg.MaxMessages, JoinTimeout: cfg.JoinTimeout,
			TypingPreview: cfg.TypingPreview,
			SupportGrace:  cfg.SupportGrace,
			Team:          func(id string) bool { return b.settings.Current().HasTeam(id) },
			Frame:         web.TextFrame, Tracer: tracer, Log: b.log, Metrics: figures.public,
			AgentsNeedToken: agents != nil,
			Grace:           followed.grace(), Keeper: followed.keeper(), Appended: followed.appended(),
			MaxFiles: cfg.FilesPerChat,
		})
		figures.operator.MustRegister(chats.Metrics()...)
		b.onShutdown("chats", 2500*time.Millisecond, chats.Close) // marks in flight take up to 2 s
		options.Uploads = b.serveFiles(cfg, stored, db, chats, &figures)
		serve("chat server", web.NewChat(chats, options), chatListener)
	}
	b.steps = append(b.steps, step{"sockets", 3*time.Second + cfg.DrainSpread, b.closeSockets})
	return nil
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

// measured is a broker with metrics.
type measured interface {
	broker.Broker
	Metrics() []prometheus.Collector
}

// openBroker opens the broker that the configuration names, and reports whether it is
// the store itself. It is the only place that knows all brokers.
func openBroker(cfg Config, db *redisdb.DB, log *slog.Logger) (events measured, inStore bool, err error) {
	if cfg.Broker != "nats" {
		return broker.NewRedis(db, log), true, nil
	}
	events, err = broker.NewNATS(broker.NATSConfig{
		URLs:        cfg.NATSURL,
		Credentials: cfg.NATSCreds, CA: cfg.NATSCA, Cert: cfg.NATSCert, Key: cfg.NATSKey,
		Prefix:   cfg.Prefix,
		Replicas: cfg.NATSReplicas,
		Memory:   cfg.NATSStorage == "memory",
		Log:      log,
	})
	if err != nil {
		return nil, false, UsageError("BROKER=nats: " + err.Error())
	}
	return events, false, nil
}

// listen opens the listener of a variable. A server closes its own listener; the step
// here is for a start that fails before there is a server.
func (b *Backend) listen(ctx context.Context, variable, addr string) (net.Listener, error) {
	var config net.ListenConfig
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

// ChatAddr returns the host:port of the chat server, empty without one.
func (b *Backend) ChatAddr() string { return b.chatAddr }

// LobbyAddr returns the host:port of the lobby, empty without one.
func (b *Backend) LobbyAddr() string { return b.lobbyAddr }

// MetricsAddr returns the host:port of the operator's port, empty without one.
func (b *Backend) MetricsAddr() string { return b.metricsAddr }

// Shutdown ends what Start has begun. /readyz fails at once, while the servers go on
// serving for DRAIN_DELAY. Then Shutdown closes the parts in reverse order: it stops taking
// connections, closes every socket with 1001 over DRAIN_SPREAD, and then closes everything
// behind the sockets, the store last. Every step runs, and Shutdown joins their errors. It
// returns within 8 s plus these two times, or earlier when ctx ends, and abandons a step
// that hangs until then. A second call waits for the first and returns its result.
func (b *Backend) Shutdown(ctx context.Context) error {
	b.closing.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, b.delay+b.spread+shutdownTimeout)
		defer cancel()
		b.drain(ctx)
		var errs []error
		for len(b.steps) > 0 {
			last := b.steps[len(b.steps)-1]
			b.steps = b.steps[:len(b.steps)-1]
			errs = append(errs, last.run(ctx))
		}
		b.closed = errors.Join(errs...)
	})
	return b.closed
}

// drain gives load balancers time to notice that the server is no longer ready.
func (b *Backend) drain(ctx context.Context) {
	b.readiness.draining.Store(true)
	if b.delay == 0 || len(b.servers) == 0 {
		return
	}
	b.log.Info("draining: no longer ready, still serving", "delay", b.delay)
	select {
	case <-time.After(b.delay):
	case <-ctx.Done():
	}
}

func (b *Backend) onShutdown(name string, limit time.Duration, close func() error) {
	b.steps = append(b.steps, step{name, limit, func(context.Context) error { return close() }})
}

func (s step) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.close(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("close %s: %w", s.name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close %s: not done in time", s.name)
	}
}

// closeSockets shuts all servers down at the same time and joins their goroutines.
func (b *Backend) closeSockets(ctx context.Context) error {
	errs := make([]error, len(b.servers))
	var wg sync.WaitGroup
	for i, server := range b.servers {
		wg.Go(func() { errs[i] = server.Shutdown(ctx) })
	}
	wg.Wait()
	b.ended.Wait()
	return errors.Join(errs...)
}

// ReadSettings reads the settings file again. If the file is bad, it logs the error and
// keeps the previous settings.
func (b *Backend) ReadSettings() {
	if err := b.settings.Read(); err != nil {
		b.log.Error("the new settings are invalid, the previous ones stay in force", "error", b.settingsName+": "+err.Error())
		return
	}
	if b.lobby != nil {
		b.lobby.TeamsChanged()
	}
	b.log.Info("new settings read", "hash", b.settings.Current().Hash)
}

// Run serves until ctx ends or a listener fails, then shuts down. It returns the errors
// of the listener and of the shutdown.
func Run(ctx context.Context, cfg Config, parts Parts) error {
	b, err := Start(ctx, cfg, parts)
	if err != nil {
		return err
	}
	return b.run(ctx, nil)
}

// run is Run after the start. It reads the settings again on each signal from again.
func (b *Backend) run(ctx context.Context, again <-chan os.Signal) error {
	var failure error
	for serving := true; serving; {
		select {
		case <-again:
			b.ReadSettings()
		case <-ctx.Done():
			b.log.Info("shutting down")
			serving = false
		case failure = <-b.failed:
			b.log.Error("shutting down after a failure", "error", failure)
			serving = false
		}
	}
	return errors.Join(failure, b.Shutdown(context.WithoutCancel(ctx)))
}
