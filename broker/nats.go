package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	errNATSURL  = errors.New("broker: malformed NATS URL: want nats://, tls://, ws:// or wss:// with a host, with special characters of the password percent-encoded")
	errCertPair = errors.New("broker: a client certificate and its key go together")
)

// NATSConfig says where the NATS servers are and how to keep events there.
type NATSConfig struct {
	// URLs are the servers, comma-separated. They can contain a user and password, or a token.
	URLs string
	// Credentials, CA, Cert and Key are names of files, all optional: a credentials file, the
	// certificates to trust, and the client's own certificate and key. They are read again
	// for every connection.
	Credentials, CA, Cert, Key string
	// Prefix separates the deployment from others on the same servers: its stream is
	// LIVESUPPORT-prefix, and its subjects begin with "prefix.". It has letters, digits, - and
	// _, but must not be "chat", which would make subjects of the deployment without a prefix.
	// It may be empty.
	Prefix string
	// Replicas is the number of replicas of the stream, 1 to 5; 0 means 1.
	Replicas int
	// Memory keeps the stream in memory instead of in files.
	Memory bool
	// Log may be nil.
	Log *slog.Logger
}

// NATS is the Broker on NATS JetStream. One stream stores every publication, acknowledges it, and
// passes it on to the subscribers.
//
// The stream republishes each stored message with its sequence number and that of the topic's
// previous message. Core subscriptions to these copies, one per topic on a shared channel, deliver
// them live; the numbers show missing messages, wherever they were lost. After a lost connection,
// or when the stream has a new leader, a replay reads the missed messages from the stream.
//
// Signals are core messages on subjects that the stream does not have.
type NATS struct {
	cfg     NATSConfig
	log     *slog.Logger
	prefix  string // of all subjects; empty, or with a dot at the end
	topics  *topics
	signals *topics
	outbox  outbox
	servers []string // as configured, with credentials
	options []nats.Option

	link    atomic.Pointer[link] // nil while disconnected
	pending chan struct{}
	id      string // part of the ids of this process's messages
	count   atomic.Uint64

	// Used only by the goroutine that owns the link:
	discovered []string // servers that the cluster has announced
	checked    bool     // the stream is configured as required
	verified   mark     // everything before it was delivered
	stuck      int      // number of consecutive links in which the stream stored nothing
}

// NewNATS returns a Broker on the servers of cfg. Only a malformed URL or an unreadable file is an
// error, whose text has no secrets. The Broker connects in the background, because a server may
// start before its broker does. See Ready.
func NewNATS(cfg NATSConfig) (*NATS, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Replicas = max(cfg.Replicas, 1)
	servers, err := natsServers(cfg.URLs)
	if err != nil {
		return nil, err
	}
	options, err := natsOptions(cfg)
	if err != nil {
		return nil, err
	}
	b := &NATS{
		cfg:     cfg,
		log:     cfg.Log,
		topics:  newTopics(),
		signals: newTopics(),
		servers: servers,
		options: options,
		pending: make(chan struct{}, maxPending),
		id:      rand.Text(),
	}
	b.signals.metrics = b.topics.metrics.ofSignals()
	b.outbox = outbox{send: b.sendSignals, ctx: b.topics.ctx, wg: &b.topics.wg, metrics: &b.topics.metrics}
	if cfg.Prefix != "" {
		b.prefix = cfg.Prefix + "."
	}
	b.topics.wg.Go(func() { b.topics.keep(b.session) })
	return b, nil
}

func natsServers(urls string) ([]string, error) {
	var servers []string
	for server := range strings.SplitSeq(urls, ",") {
		server = strings.TrimSpace(server)
		u, err := url.Parse(server)
		if err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "" {
			return nil, errNATSURL
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func natsOptions(cfg NATSConfig) ([]nats.Option, error) {
	var options []nats.Option
	if cfg.Credentials != "" {
		if _, err := os.ReadFile(cfg.Credentials); err != nil {
			return nil, fmt.Errorf("broker: credentials: %w", err)
		}
		options = append(options, nats.UserCredentials(cfg.Credentials))
	}
	if cfg.CA != "" {
		options = append(options, nats.RootCAs(cfg.CA))
	}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return nil, errCertPair
	}
	if cfg.Cert != "" {
		options = append(options, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	probe := nats.GetDefaultOptions()
	for _, option := range options {
		if err := option(&probe); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	return options, nil
}

// Subscribe implements Broker.
func (b *NATS) Subscribe(ctx context.Context, topic string, h Handler) (Subscription, error) {
	if len(topic) > maxTopic {
		return nil, errTopic
	}
	return b.topics.subscribe(ctx, topic, h)
}

// Ready implements Broker. It checks that the stream itself answers, once a second.
func (b *NATS) Ready() error { return b.topics.err() }

// Metrics returns the Broker's metrics. Register them once.
func (b *NATS) Metrics() []prometheus.Collector { return b.topics.metrics.collectors() }

// Close implements Broker, and closes the connection.
func (b *NATS) Close() error {
	b.outbox.close()
	b.signals.close()
	b.topics.close()
	return nil
}
