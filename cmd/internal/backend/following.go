package backend

import (
	"context"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat"
	"livesupport/chat/archive"
	"livesupport/chat/files"
	"livesupport/chat/follow"
	chatlog "livesupport/chat/log"
	"livesupport/chat/webhook"

	"github.com/prometheus/client_golang/prometheus"
)

// following has the readers of chat logs: the archive and webhooks. It is nil without any.
type following struct {
	archive  *archive.Archive // nil without an archive
	follower *follow.Follower
	lasts    time.Duration
	hooks    bool
}

// follows reports whether anything reads chat logs.
func (c Config) follows() bool { return c.Archives() || len(c.WebhookURLs) > 0 }

// lastChats bounds archiving the chats that end together with an embedded store.
const lastChats = 2 * time.Second

func (b *Backend) openFollowing(ctx context.Context, cfg Config, db *redisdb.DB, stored *files.Store) (*following, error) {
	if !cfg.follows() {
		return nil, nil
	}
	f := &following{lasts: cfg.ArchiveGrace, hooks: len(cfg.WebhookURLs) > 0}
	parts := follow.Config{DB: db, Logs: chatlog.NewStore(db, cfg.ChatTTL, cfg.ArchiveGrace), Log: b.log}
	if cfg.Archives() {
		var tell left
		if f.hooks {
			tell = func(ctx context.Context, messageID string, message []byte, keep func(context.Context) error) error {
				return f.follower.Left(ctx, messageID, message, keep) // set below, before anybody can leave a message
			}
		}
		var err error
		if f.archive, err = b.openArchive(ctx, cfg, db, stored, tell); err != nil {
			return nil, err
		}
		parts.Receivers = append(parts.Receivers, f.archive)
	}
	receivers, err := cfg.Webhooks()
	if err != nil {
		return nil, err
	}
	for _, r := range receivers {
		parts.Listeners = append(parts.Listeners, r)
		b.onShutdown("webhook", time.Second, r.Close)
		b.log.Info("sending events to a webhook", "receiver", r.Name(), "host", r.Host())
	}
	f.follower = follow.New(parts)
	b.onShutdown("followers", 2500*time.Millisecond, func() error {
		if cfg.StoreEnds {
			ctx, cancel := context.WithTimeout(context.Background(), lastChats)
			defer cancel()
			if err := f.follower.EndAll(ctx); err != nil {
				b.log.Warn("some chats were not archived, or their events not sent", "error", err)
			}
		}
		return f.follower.Close()
	})
	return f, nil
}

// Webhooks makes the receivers of events.
func (c Config) Webhooks() ([]*webhook.Receiver, error) {
	if len(c.WebhookURLs) > 0 && len(c.WebhookSecrets) == 0 {
		return nil, UsageError("WEBHOOK_SECRET is not set, but " + c.name("WEBHOOK_URL") + " is: want a secret to sign with, such as whsec_$(openssl rand -base64 32)")
	}
	var all []*webhook.Receiver
	for _, url := range c.WebhookURLs {
		r, err := webhook.New(webhook.Config{
			URL: url, Secrets: c.WebhookSecrets, AllowPrivate: c.WebhookAllowPrivate, Agent: "livesupport/" + version,
		})
		if err != nil {
			return nil, usage(c.name("WEBHOOK_URL"), url, err.Error())
		}
		all = append(all, r)
	}
	return all, nil
}

// keeps reports whether there is an archive.
func (f *following) keeps() bool { return f != nil && f.archive != nil }

func (f *following) metrics() []prometheus.Collector {
	if f == nil {
		return nil
	}
	all := f.follower.Metrics()
	if f.archive != nil {
		all = append(all, f.archive.Metrics()...)
	}
	return all
}

// grace returns how long logs outlive their chats.
func (f *following) grace() time.Duration {
	if f == nil {
		return 0
	}
	return f.lasts
}

func (f *following) keeper() chat.Keeper {
	if f == nil {
		return nil
	}
	return f.follower
}

// appended returns the function to call after an event in a chat, nil without webhooks.
func (f *following) appended() func(chatID string) {
	if f == nil || !f.hooks {
		return nil
	}
	return f.follower.Appended
}
