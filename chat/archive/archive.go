// Package archive keeps ended chats in an SQL database. It is a receiver of package follow.
// The archive stores a chat's whole log, and its Summary in columns for searches and reports.
// The database is PostgreSQL, or one SQLite file for the processes of one machine. While it is
// unavailable, chats wait in the store, and requests fail with follow.ErrAway.
package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"livesupport/chat/follow"
)

// Config has the parameters of an Archive.
type Config struct {
	// URL is sqlite:path or postgres://…, see CheckURL.
	URL string
	// Retention is how long chats and left messages are kept. 0 means for ever.
	Retention time.Duration
	// Left, if not nil, is called with each left message as JSON, to announce it. It must
	// call keep, which stores the message.
	Left func(ctx context.Context, messageID string, message []byte, keep func(context.Context) error) error
	// Files has the files of chats. It may be nil.
	Files Files
	// Now is the clock of the store of live chats.
	Now func() time.Time
	Log *slog.Logger
}

// Files is the file store, as far as the archive needs it. Files are kept as long as their
// chats.
type Files interface {
	// Keep keeps the files that the messages of a chat have beyond the chat's end.
	Keep(ctx context.Context, chatID string, carried []string) error
	// Delete deletes all files of a chat. It can be repeated.
	Delete(ctx context.Context, chatID string) error
}

// Archive is the archive of a deployment. It is safe for concurrent use, by any number of
// processes.
type Archive struct {
	cfg    Config
	source source

	mu     sync.Mutex
	conn   *conn // nil while it is unavailable
	closed bool
	users  sync.WaitGroup // of connections that may be closed
	why    error          // why it is unavailable

	metrics messageMetrics
	reports chan struct{} // limits concurrent reports, which take much memory
	opening chan struct{} // capacity 1
	lost    chan struct{} // signals that conn has failed; capacity 1
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

const (
	// openEvery is how often to try to open an unavailable archive.
	openEvery = time.Second
	// cleanEvery is how often expired entries are deleted.
	cleanEvery = 20 * time.Second
	// cleanTimeout bounds one such deletion.
	cleanTimeout = 10 * time.Second
)

// New makes an Archive. The database may be unavailable; Open reports whether it is.
func New(cfg Config) (*Archive, error) {
	source, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &Archive{cfg: cfg, source: source, metrics: newMessageMetrics(), reports: make(chan struct{}, 2), opening: make(chan struct{}, 1), lost: make(chan struct{}, 1), stop: stop}
	a.ended.Go(func() { a.keepOpen(ctx) })
	a.ended.Go(func() { a.keepClean(ctx) })
	return a, nil
}

// Close ends the connections and the goroutines.
func (a *Archive) Close() error {
	a.stop()
	a.ended.Wait()
	a.mu.Lock()
	c := a.conn
	a.conn, a.closed = nil, true
	a.mu.Unlock()
	a.users.Wait()
	if c == nil {
		return nil
	}
	return c.close()
}

// Open opens the database, unless it is open, and brings its schema up to date. A *NewerError
// is permanent.
func (a *Archive) Open(ctx context.Context) error {
	select {
	case a.opening <- struct{}{}:
		defer func() { <-a.opening }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	open, closed := a.conn != nil, a.closed
	a.mu.Unlock()
	switch {
	case open:
		return nil
	case closed:
		return errClosed
	}
	c, err := a.source.open(ctx)
	if err == nil {
		if err = c.migrate(ctx); err != nil {
			err = errors.Join(err, c.close())
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why = err; err != nil {
		return err
	}
	if a.closed {
		return c.close()
	}
	a.conn = c
	return nil
}

var errClosed = errors.New("archive: closed")

// keepOpen opens the database again after failures.
func (a *Archive) keepOpen(ctx context.Context) {
	said := ""
	for {
		attempt, cancel := context.WithTimeout(ctx, connectTimeout)
		err := a.Open(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if said != "" {
				a.cfg.Log.Info("the archive is available again")
			}
			said = ""
			select {
			case <-a.lost:
			case <-ctx.Done():
				return
			}
			continue
		case err.Error() != said:
			said = err.Error()
			a.cfg.Log.Warn("the archive is unavailable", "error", err)
		}
		select {
		case <-time.After(openEvery):
		case <-ctx.Done():
			return
		}
	}
}

// use calls f with the database. Its errors wrap follow.ErrAway unless they are about the
// request.
func (a *Archive) use(ctx context.Context, f func(c *conn) error) error {
	c, err := a.try(f)
	if errors.Is(err, follow.ErrAway) && ctx.Err() != context.Canceled {
		a.drop(c, err)
	}
	return err
}

// useAtLength is use for what may take longer than ctx allows without a fault of the database.
func (a *Archive) useAtLength(ctx context.Context, f func(c *conn) error) error {
	c, err := a.try(f)
	if errors.Is(err, follow.ErrAway) && ctx.Err() == nil {
		a.drop(c, err)
	}
	return err
}

// try calls f with the database, if it is open, and returns the database.
func (a *Archive) try(f func(c *conn) error) (*conn, error) {
	a.mu.Lock()
	c, why := a.conn, a.why
	if c != nil {
		a.users.Add(1)
	}
	a.mu.Unlock()
	if c == nil {
		if why == nil {
			why = errors.New("not open yet")
		}
		return nil, fmt.Errorf("%w: %w", follow.ErrAway, why)
	}
	err := error(nil)
	if !c.present() {
		err = errors.New("its file was deleted or replaced")
	} else {
		err = f(c)
	}
	a.users.Done()
	var own *Error
	if errors.As(err, &own) || errors.Is(err, ErrNotFound) {
		return c, err
	}
	return c, away(err)
}

// drop makes keepOpen open a failed database again, unless c is nil or was dropped before.
func (a *Archive) drop(c *conn, why error) {
	a.mu.Lock()
	if c == nil || a.conn != c {
		a.mu.Unlock()
		return
	}
	a.conn, a.why = nil, why
	a.mu.Unlock()
	a.ended.Go(func() { _ = c.close() }) // waits for its users
	select {
	case a.lost <- struct{}{}:
	default:
	}
}

// An Error refuses a request because of the request itself, not because of the database.
type Error string

func (e *Error) Error() string { return string(*e) }

func badRequest(text string) error {
	e := Error(text)
	return &e
}

// keepClean deletes expired entries, and counts the open messages.
func (a *Archive) keepClean(ctx context.Context) {
	ticker := time.NewTicker(cleanEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		attempt, cancel := context.WithTimeout(ctx, cleanTimeout)
		err := errors.Join(a.Clean(attempt), a.measure(attempt))
		cancel()
		if err != nil && ctx.Err() == nil {
			a.cfg.Log.Debug("cannot delete expired entries or count open messages", "error", err)
		}
	}
}
