package redisdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

var errURL = errors.New("want redis://, rediss:// or unix://, with special characters of the password percent-encoded")

// silence disables go-redis's log, for the whole process, because this package reports failures itself.
var silence = sync.OnceFunc(logging.Disable)

// newClient makes the client for rawURL. It stops dialling when lifetime ends.
func newClient(lifetime context.Context, rawURL string, files TLS) (redis.UniversalClient, error) {
	silence()
	u, err := url.Parse(rawURL)
	if err != nil || suspicious(u) {
		return nil, fmt.Errorf("redis: malformed URL: %w", errURL)
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return nil, fmt.Errorf("redis: unknown URL scheme: %w", errURL)
	}

	if _, err := files.config(nil); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if u.Scheme == "unix" && files != (TLS{}) {
		return nil, errors.New("redis: TLS is not possible on a Unix socket: want rediss://")
	}

	query := u.Query()
	switch {
	case query.Has("master_name"):
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, masked(rawURL, err)
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.MaxRetries, &o.DialerRetries, &o.Protocol)
		base := o.TLSConfig
		o.Dialer = dialer(lifetime, o.DialTimeout, func() (*tls.Config, error) { return files.config(base) })
		o.ContextTimeoutEnabled = true
		o.DisableIdentity = true
		return redis.NewFailoverClient(o), nil // does not use maintenance notifications
	case query.Has("addr"):
		return newClusterClient(lifetime, rawURL, files)
	default:
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, masked(rawURL, err)
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.MaxRetries, &o.DialerRetries, &o.Protocol)
		base := o.TLSConfig
		o.Dialer = dialer(lifetime, o.DialTimeout, func() (*tls.Config, error) { return files.config(base) })
		o.ContextTimeoutEnabled = true
		o.DisableIdentity = true
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		return redis.NewClient(o), nil
	}
}

// isSentinel reports whether a valid URL names a Sentinel group.
func isSentinel(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && u.Query().Has("master_name")
}

// newClusterClient makes the client of a Cluster.
func newClusterClient(lifetime context.Context, rawURL string, files TLS) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(rawURL)
	if err != nil {
		return nil, masked(rawURL, err)
	}
	bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.MaxRetries, &o.DialerRetries, &o.Protocol)
	base := o.TLSConfig
	o.Dialer = dialer(lifetime, o.DialTimeout, func() (*tls.Config, error) { return files.config(base) })
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClusterClient(o), nil
}

// isSingle reports whether a valid URL names one server, which may be a node of a Cluster.
func isSingle(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && u.Scheme != "unix" && !u.Query().Has("master_name") && !u.Query().Has("addr")
}

// bound sets short timeouts where the URL sets none, and disables go-redis's retries, because this
// package's own retries know the caller's deadline.
func bound(dial, read, write *time.Duration, retries, dials, protocol *int) {
	for _, d := range []struct {
		set *time.Duration
		to  time.Duration
	}{{dial, dialTimeout}, {read, replyTimeout}, {write, replyTimeout}} {
		if *d.set <= 0 {
			*d.set = d.to
		}
	}
	*retries, *dials = -1, 1
	if *protocol == 0 {
		*protocol = 2 // RESP3 is not needed, and every Redis speaks RESP2
	}
}

// suspicious reports whether u may have parts of an unescaped password outside of its user part, which
// the parsers would quote in errors.
func suspicious(u *url.URL) bool {
	return u.Fragment != "" || strings.Contains(u.Path+u.RawQuery, "@")
}

// masked returns a parser's error, unless it may contain a secret.
func masked(rawURL string, err error) error {
	var urlErr *url.Error
	if strings.Contains(rawURL, "password=") || errors.As(err, &urlErr) {
		return fmt.Errorf("redis: malformed URL: %w", errURL)
	}
	return fmt.Errorf("redis: malformed URL: %s", strings.TrimPrefix(err.Error(), "redis: "))
}
