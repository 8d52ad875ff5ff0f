package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
	"livesupport/chat/webhook"
	"livesupport/cmd/internal/backend"
	"livesupport/lobby/wire"
)

const webhookHelp = `Usage: livesupport webhook test [flags]
       livesupport webhook replay --from=TIME --to=TIME [--chat=ID] [flags]

test sends an event of the type "test" to every WEBHOOK_URL and prints the outcome.
replay sends the archived events from --from until --to again, one chat after the other,
with their original ids. TIME is a date (UTC) or a time such as 2026-11-28T09:30:00Z.
--chat selects one chat. WEBHOOK_URL, WEBHOOK_SECRET, ARCHIVE_URL and the flags are those
of the servers.
`

const (
	// replayTries is how often replay tries an event before it gives up. It pauses for
	// replayPause between two tries, or for as long as the receiver asks.
	replayTries = 4
	replayPause = 2 * time.Second
	// replayPage is how many chats it reads at once.
	replayPage = 100
)

// webhookCommand tests receivers of events, or sends them archived ones, and returns the
// exit code.
func webhookCommand(args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	return runCommand("webhook", stderr, func(ctx context.Context) error { return runWebhook(ctx, args, lookup, stdout) })
}

func runWebhook(ctx context.Context, args []string, lookup func(string) (string, bool), stdout io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "--help", len(args) > 1 && args[1] == "--help":
		fmt.Fprint(stdout, webhookHelp)
		return nil
	case len(args) == 0 || args[0] != "test" && args[0] != "replay":
		return backend.UsageError("want livesupport webhook test or livesupport webhook replay (see --help)")
	}
	r := replaying{out: stdout}
	rest, err := r.parse(args[0], args[1:])
	if err != nil {
		return err
	}
	cfg, err := backend.Parse("livesupport", rest, lookup)
	if err != nil {
		return err
	}
	if len(cfg.WebhookURLs) == 0 {
		return backend.UsageError("WEBHOOK_URL is not set: want the URLs to send events to")
	}
	if r.receivers, err = cfg.Webhooks(); err != nil {
		return err
	}
	if args[0] == "test" {
		return r.test(ctx)
	}
	a, err := openArchive(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	err = r.replay(ctx, a)
	fmt.Fprintf(stdout, "Events sent: %d, to receivers: %d\n", r.sent, len(r.receivers))
	return err
}

// replaying holds the parameters of a replay and its progress.
type replaying struct {
	from, to  time.Time
	chat      string
	receivers []*webhook.Receiver
	out       io.Writer
	sent      int
}

// parse takes the flags of replay out of the arguments and returns the others.
func (r *replaying) parse(command string, args []string) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		if name != "--from" && name != "--to" && name != "--chat" || command != "replay" {
			rest = append(rest, args[i])
			continue
		}
		if !given && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch name {
		case "--from":
			r.from, err = parseTime(value)
		case "--to":
			r.to, err = parseTime(value)
		default:
			if r.chat = value; !wire.ValidID(value) {
				err = errors.New("want the chatId, 32 hex digits")
			}
		}
		if err != nil {
			return nil, backend.UsageError(fmt.Sprintf("%s=%q: %s", name, value, err))
		}
	}
	if command == "replay" && !r.from.Before(r.to) {
		return nil, backend.UsageError("want --from=TIME and a later --to=TIME")
	}
	return rest, nil
}

func parseTime(value string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errors.New("want a date such as 2026-11-28, or a time such as 2026-11-28T09:30:00Z")
}

func (r *replaying) test(ctx context.Context) error {
	var failed error
	for _, receiver := range r.receivers {
		attempt, cancel := context.WithTimeout(ctx, follow.SendTimeout)
		err := receiver.Send(attempt, webhook.Test(wire.NewID(), time.Now()))
		cancel()
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		fmt.Fprintf(r.out, "%s accepted the event\n", receiver.Host())
	}
	return failed
}

// replay sends the archived events of the period.
func (r *replaying) replay(ctx context.Context, a *archive.Archive) error {
	if r.chat != "" {
		return r.replayChat(ctx, a, r.chat)
	}
	for cursor, more := "", true; more; more = cursor != "" {
		var chats []archive.Chat
		var err error
		// A chat that ended later may have events of the period.
		if chats, cursor, err = a.Search(ctx, "", archive.Filter{From: r.from.UnixMicro()}, cursor, replayPage); err != nil {
			return err
		}
		for _, chat := range chats {
			if err := r.replayChat(ctx, a, chat.ChatID); err != nil {
				return err
			}
		}
	}
	for cursor, more := "", true; more; more = cursor != "" {
		messages, next, err := a.Messages(ctx, archive.MessageFilter{}, cursor, replayPage)
		if err != nil {
			return err
		}
		cursor = next
		for _, m := range messages {
			at, err := time.Parse(time.RFC3339Nano, m.Timestamp)
			if err != nil {
				return err
			}
			if at.Before(r.from) { // and so are all that follow
				return nil
			}
			m.Done = false // as it was then
			message, err := json.Marshal(m)
			if err != nil {
				return err
			}
			if err := r.send(ctx, webhook.OfLeft(m.MessageID, at, message)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replaying) replayChat(ctx context.Context, a *archive.Archive, chatID string) error {
	entries, err := a.Entries(ctx, chatID)
	if errors.Is(err, archive.ErrNotFound) && r.chat == "" {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	for _, e := range webhook.OfLog(chatID, entries) {
		if err := r.send(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// send sends an event to all receivers if it is of the period.
func (r *replaying) send(ctx context.Context, e follow.Event) error {
	if at := time.UnixMicro(e.At); at.Before(r.from) || !at.Before(r.to) {
		return nil
	}
	for _, receiver := range r.receivers {
		if err := r.sendTo(ctx, receiver, e); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	r.sent++
	return nil
}

func (r *replaying) sendTo(ctx context.Context, receiver *webhook.Receiver, e follow.Event) error {
	for try := 1; ; try++ {
		attempt, cancel := context.WithTimeout(ctx, follow.SendTimeout)
		err := receiver.Send(attempt, e)
		cancel()
		if err == nil || try == replayTries || errors.Is(err, follow.ErrStopped) || ctx.Err() != nil {
			return err
		}
		pause := replayPause
		if busy := (*follow.BusyError)(nil); errors.As(err, &busy) {
			pause = min(busy.After, time.Minute)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
