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

// go-redis logs, for the whole process, failures that this package reports itself.
var silence = sync.OnceFunc(logging.Disable)

// newClient makes the client that rawURL asks for. lifetime bounds its dialling.
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
		return nil, errors.New("redis: a socket has no TLS: want rediss://")
	}

	query := u.Query()
	switch {
	case query.Has("master_name"):
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, masked(query, err)
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.MaxRetries, &o.DialerRetries, &o.Protocol)
		base := o.TLSConfig
		o.Dialer = dialer(lifetime, o.DialTimeout, func() (*tls.Config, error) { return files.config(base) })
		o.ContextTimeoutEnabled = true
		o.DisableIdentity = true
		return redis.NewFailoverClient(o), nil // never asks for maintenance notifications
	case query.Has("addr"):
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, masked(query, err)
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.MaxRetries, &o.DialerRetries, &o.Protocol)
		base := o.TLSConfig
		o.Dialer = dialer(lifetime, o.DialTimeout, func() (*tls.Config, error) { return files.config(base) })
		o.ContextTimeoutEnabled = true
		o.DisableIdentity = true
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, masked(query, err)
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

// bound sets what the URL leaves open and what this package's promises need:
// short timeouts, and no retries but our own, which know the caller's deadline.
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
		*protocol = 2 // nothing here needs RESP3, and every Redis speaks 2
	}
}

// suspicious tells that u may hold pieces of an unescaped password outside of its
// user part, where the parsers would quote them.
func suspicious(u *url.URL) bool {
	return u.Fragment != "" || strings.Contains(u.Path+u.RawQuery, "@")
}

// masked passes on what a parser says, unless a secret may be in it.
func masked(query url.Values, err error) error {
	var urlErr *url.Error
	if query.Has("password") || errors.As(err, &urlErr) {
		return fmt.Errorf("redis: malformed URL: %w", errURL)
	}
	return fmt.Errorf("redis: malformed URL: %s", strings.TrimPrefix(err.Error(), "redis: "))
}
