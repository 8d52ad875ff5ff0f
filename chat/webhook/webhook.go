// Package webhook sends the events of chats to HTTP receivers (web/api/README.md, "Webhooks"). It
// POSTs each event as JSON, signed according to Standard Webhooks. Package follow supplies the
// events in order, and retries until a receiver accepts them.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"livesupport/chat/follow"
)

// Config has the parameters of a Receiver.
type Config struct {
	URL     string
	Secrets []string // each of them signs; see ParseSecrets
	// AllowPrivate allows the URL to lead to addresses that are not public.
	AllowPrivate bool
	Agent        string // the User-Agent
}

// Receiver is an HTTP receiver of events. It is safe for concurrent use.
type Receiver struct {
	name, url, host string
	agent           string
	signers         []*standardwebhooks.Webhook
	client          *http.Client
}

const (
	// connections is the maximum number of connections to one receiver.
	connections = 64
	// maxAnswer is how many bytes of a response are read, so that the connection can be reused.
	maxAnswer = 64 << 10
)

// New makes a Receiver.
func New(cfg Config) (*Receiver, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("webhook: invalid URL")
	}
	sum := sha256.Sum256([]byte(cfg.URL))
	r := &Receiver{name: "webhook-" + hex.EncodeToString(sum[:6]), url: cfg.URL, host: u.Host, agent: cfg.Agent}
	for _, secret := range cfg.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("webhook: a secret is not valid base64")
		}
		r.signers = append(r.signers, signer)
	}
	dialer := &net.Dialer{Timeout: follow.SendTimeout}
	if !cfg.AllowPrivate {
		dialer.ControlContext = refusePrivate
	}
	r.client = &http.Client{
		Transport: &http.Transport{ // without a proxy, which would connect to any address
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        connections,
			MaxIdleConnsPerHost:    connections,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r, nil
}

// Close ends the connections.
func (r *Receiver) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// Name implements follow.Listener.
func (r *Receiver) Name() string { return r.name }

// Host returns the receiver's host, without parts of the URL that may be secret.
func (r *Receiver) Host() string { return r.host }

// Send implements follow.Listener: it POSTs an event.
func (r *Receiver) Send(ctx context.Context, e follow.Event) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(e.Body))
	if err != nil {
		return err
	}
	now := time.Now()
	signatures := make([]string, len(r.signers))
	for i, signer := range r.signers {
		if signatures[i], err = signer.Sign(e.ID, now, e.Body); err != nil {
			return err
		}
	}
	h := request.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", r.agent)
	h[standardwebhooks.HeaderWebhookID] = []string{e.ID} // in lower case, as in the standard
	h[standardwebhooks.HeaderWebhookTimestamp] = []string{strconv.FormatInt(now.Unix(), 10)}
	h[standardwebhooks.HeaderWebhookSignature] = []string{strings.Join(signatures, " ")}
	answer, err := r.client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // without the URL, which may contain a secret
			err = failed.Err
		}
		return &unreached{r.host, err}
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	if answer.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("%s: answered %d", r.host, answer.StatusCode)
	switch answer.StatusCode {
	case http.StatusGone:
		return fmt.Errorf("%w: %w", follow.ErrStopped, err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after := retryAfter(answer.Header.Get("Retry-After"), now); after > 0 {
			return &follow.BusyError{After: after, Err: err}
		}
	}
	return err
}

// unreached is the error of a request that nobody answered.
type unreached struct {
	host string
	err  error
}

func (u *unreached) Error() string        { return u.host + ": " + u.err.Error() }
func (u *unreached) Unwrap() error        { return u.err }
func (u *unreached) Is(target error) bool { return target == follow.ErrAway }

// retryAfter returns the pause that a response asks for, 0 if it asks for none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}
