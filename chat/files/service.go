package files

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"livesupport/broker/redisdb"
)

const (
	// CarryTime is how long an uploaded file waits for a message that has it.
	CarryTime = 10 * time.Minute
	// MinRate is how many bytes per second an upload or download must transfer at least,
	// after SlowGrace.
	MinRate   = 16 << 10
	SlowGrace = 10 * time.Second

	redisTimeout = 3 * time.Second
	// withdrawTimeout bounds how long a client waits for the cleanup after a refusal.
	withdrawTimeout = time.Second
	// sweepEvery is how often due leases are checked, at most sweepSize at a time. Each is
	// checked by one process within claimTime.
	sweepEvery = time.Second
	sweepSize  = 64
	claimTime  = 30 * time.Second
	// tidyEvery is how often the whole store is checked. Files younger than tidyAge are left
	// alone.
	tidyEvery = 6 * time.Hour
	tidyAge   = time.Hour
)

// Chats gives a Service access to chats.
type Chats interface {
	// Rest returns how long chats still live, 0 for one that is gone.
	Rest(ctx context.Context, chatIDs []string) ([]time.Duration, error)
	// Discard removes a file from a chat unless a message has it, and reports whether the
	// chat is without it now.
	Discard(ctx context.Context, chatID, fileID string) (bool, error)
}

// Config has the parameters of a Service.
type Config struct {
	Store *Store
	DB    *redisdb.DB
	Chats Chats
	Size  int64    // maximum size of a file, in bytes
	Types []string // media types that are accepted
	Log   *slog.Logger
	// CarryTime is for tests; 0 means the constant CarryTime.
	CarryTime time.Duration
}

// Service stores files of chats, serves them as long as their chat lives or is archived, and
// then deletes them. It is safe for concurrent use.
type Service struct {
	cfg     Config
	metrics metrics
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// NewService starts a Service. The store may be unavailable at the start.
func NewService(cfg Config) *Service {
	if cfg.CarryTime == 0 {
		cfg.CarryTime = CarryTime
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{cfg: cfg, metrics: newMetrics(), stop: stop}
	s.ended.Go(func() { s.sweepLoop(ctx) })
	s.ended.Go(func() { s.tidyLoop(ctx) })
	return s
}

// Close ends and joins the Service's goroutines. It does not close the Store.
func (s *Service) Close() error {
	s.stop()
	s.ended.Wait()
	return nil
}

// Size returns the maximum size of a file, in bytes.
func (s *Service) Size() int64 { return s.cfg.Size }

// Types returns the media types that are accepted.
func (s *Service) Types() []string { return s.cfg.Types }

// Takes reports whether files of a media type are accepted.
func (s *Service) Takes(kind string) bool { return slices.Contains(s.cfg.Types, kind) }

// leaseLife returns how long the leases outlive the last written one.
func (s *Service) leaseLife() time.Duration {
	return 2*(s.cfg.CarryTime+s.slowest()) + claimTime
}

// slowest returns how long an upload can take.
func (s *Service) slowest() time.Duration {
	return SlowGrace + time.Duration(s.cfg.Size/MinRate+1)*time.Second
}

// Receive stores a file, see Store.Write. After CarryTime the file is deleted again, unless it
// is in its chat and a message has it.
func (s *Service) Receive(ctx context.Context, f *File, head Head, body io.Reader) error {
	file := lease{f.ChatID, f.ID}
	if err := s.hold(ctx, s.cfg.CarryTime+s.slowest(), file); err != nil {
		return err
	}
	err := s.cfg.Store.Write(ctx, f, head, body, s.cfg.Size)
	if err == nil {
		return s.hold(ctx, s.cfg.CarryTime, file)
	}
	if errors.Is(err, errStore) { // do not make the client wait for more failures
		s.metrics.failed.Inc()
		_ = s.hold(ctx, claimTime, file) // otherwise the sweep deletes it later
	} else {
		s.Withdraw(ctx, f)
	}
	return err
}

// Received counts a file that was added to its chat.
func (s *Service) Received(f *File) {
	s.metrics.received.Inc()
	s.metrics.bytes.Add(float64(f.Size))
}

// Withdraw deletes a file that was not added to its chat. If it cannot, the sweep deletes the
// file later.
func (s *Service) Withdraw(ctx context.Context, f *File) {
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	if s.cfg.Store.DeleteFile(ctx, f.ChatID, f.ID) == nil {
		_ = s.drop(ctx, lease{f.ChatID, f.ID}) // otherwise the sweep does
	}
}

// Find returns a file whose chat lives or is archived, or else ErrNotFound.
func (s *Service) Find(ctx context.Context, fileID string) (*File, error) {
	f, err := s.cfg.Store.Find(ctx, fileID)
	if err != nil {
		return nil, s.counted(err)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	rest, err := s.cfg.Chats.Rest(ctx, []string{f.ChatID})
	if err != nil {
		return nil, err
	}
	if rest[0] > 0 {
		return f, nil
	}
	is, err := s.cfg.Store.Kept(ctx, f.ChatID)
	if err == nil && !is {
		err = ErrNotFound
	}
	return f, s.counted(err)
}

// Read opens a part of a file, see Store.Read.
func (s *Service) Read(ctx context.Context, f *File, offset, length int64) (io.ReadCloser, error) {
	r, err := s.cfg.Store.Read(ctx, f, offset, length)
	return r, s.counted(err)
}

func (s *Service) counted(err error) error {
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.metrics.failed.Inc()
	}
	return err
}

func (s *Service) sweepLoop(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if s.cfg.DB.Ready() == nil {
			s.sweep(ctx)
		}
	}
}

// tidyLoop calls Tidy soon after the start and then regularly. A random pause spreads the
// processes, although they may run at the same time.
func (s *Service) tidyLoop(ctx context.Context) {
	pause := 30*time.Second + rand.N(time.Minute)
	for {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if err := s.Tidy(ctx, time.Now().Add(-tidyAge)); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("cannot check the file store for leftovers", "error", err)
		}
		pause = tidyEvery + rand.N(time.Hour)
	}
}

// metrics are a Service's metrics.
type metrics struct {
	received, bytes, deleted, failed prometheus.Counter
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return metrics{
		received: counter("livesupport_files_received_total", "Files that were uploaded to chats."),
		bytes:    counter("livesupport_file_bytes_received_total", "Bytes of the files that were uploaded to chats."),
		deleted:  counter("livesupport_files_deleted_total", "Times that files were deleted: all files of an ended chat, or a file that no message has."),
		failed:   counter("livesupport_file_store_errors_total", "Failed requests to the file store."),
	}
}

// Metrics returns the Service's metrics. Register them once.
func (s *Service) Metrics() []prometheus.Collector {
	m := &s.metrics
	return []prometheus.Collector{m.received, m.bytes, m.deleted, m.failed}
}
