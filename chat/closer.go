package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/broker"
	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

// Closer closes chats from a process that need not have sockets of them. It is safe for
// concurrent use.
type Closer struct {
	DB     *redisdb.DB
	Broker broker.Broker
	Queue  *lobby.Queue
	Logs   log.Store
	// Appended is the same as in a Service's Config.
	Appended func(chatID string)
}

// Close ends a chat for both sides, as an observer's CloseChat does. It leaves a closed or
// expired chat as it is. It fails while servers with an older fold have the chat.
func (c *Closer) Close(ctx context.Context, chatID string) error {
	if err := c.DB.AwaitTime(ctx); err != nil {
		return err
	}
	entries, over, err := c.Logs.Load(ctx, chatID)
	switch {
	case errors.Is(err, log.ErrGone), over:
		return nil
	case err != nil:
		return err
	}
	var state log.State
	for _, entry := range entries {
		state.Apply(log.Decode([]byte(entry)))
	}
	seq := int64(len(entries))
	if state.ChatID != chatID {
		return nil
	}
	if state.Closed.From == "" {
		if !state.Knows(log.Closed) {
			return wire.ErrUnavailable
		}
		e := log.Event{Kind: log.Closed, ID: "closer-" + wire.NewID(), At: c.DB.Now().UnixMicro(), From: log.RoleObserver}
		if seq, err = c.append(ctx, chatID, &e, state.Registration(e.Kind)); err != nil || seq == 0 {
			return err
		}
	}
	if c.Appended != nil {
		c.Appended(chatID)
	}
	// Also if the chat was closed before: the server that did so may have died before it
	// published the news.
	if err := c.Broker.Publish(ctx, topic(chatID), encodeNews(seq, nil, "")); err != nil {
		return err
	}
	if err := c.Queue.Remove(ctx, chatID); err != nil {
		return err
	}
	return c.Queue.Drop(ctx, chatID)
}

func (c *Closer) append(ctx context.Context, chatID string, e, registration *log.Event) (int64, error) {
	type result struct {
		seq int64
		err error
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(storeTimeout)
	}
	done := make(chan result, 1)
	c.Logs.Append(deadline, chatID, e.Kind, e.Encode(), registration, func(seq int64, err error) { done <- result{seq, err} })
	select {
	case r := <-done:
		return r.seq, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Of returns the live chats of the user with the given token subject.
func (c *Closer) Of(ctx context.Context, subject string) (chatIDs []string, err error) {
	if err := c.DB.AwaitTime(ctx); err != nil {
		return nil, err
	}
	err = c.Logs.Living(ctx, func(some []string) error {
		if len(some) == 0 {
			return nil
		}
		registrations, err := c.Logs.First(ctx, some)
		for i := range registrations {
			if registrations[i].Agent == subject {
				chatIDs = append(chatIDs, some[i])
			}
		}
		return err
	})
	return chatIDs, err
}

// Sub returns the token subject of a live chat's user, empty without a token. living is
// false if there is no such chat.
func (c *Closer) Sub(ctx context.Context, chatID string) (sub string, living bool, err error) {
	registrations, err := c.Logs.First(ctx, []string{chatID})
	if err != nil {
		return "", false, err
	}
	e := registrations[0]
	return e.Agent, e.ChatID == chatID, nil
}
