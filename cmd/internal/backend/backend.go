// Package backend assembles servers from the project's packages: it has the
// configuration, the start and the orderly shutdown that the commands share. It links no
// embedded server, to keep chatserver and subscriber free of them.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"livesupport/lobby"
	"livesupport/lobby/settings"
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
	if err := (&assembly{Backend: b, cfg: cfg, parts: parts, figures: newFigures()}).start(ctx); err != nil {
		return nil, errors.Join(err, b.Shutdown(context.WithoutCancel(ctx)))
	}
	return b, nil
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
