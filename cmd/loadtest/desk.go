package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// desk is an agent on the lobby who takes the test's own users, and nobody
// else's.
type desk struct {
	socket *socket
	mu     sync.Mutex
	awaits map[string]*arrival // by user id
}

// arrival is a user whom a desk will take.
type arrival struct {
	announced, removed chan struct{} // closed when that has happened
	announcedAt        time.Time
}

// openDesk connects an agent to a lobby, who sees all that happens from then on.
func (l *load) openDesk(ctx context.Context, base string) (*desk, error) {
	s, err := l.dial(ctx, base, "/users", agentEnd)
	if err != nil {
		return nil, err
	}
	if _, err := s.ask(loadBatch, "PendingUsers"); err != nil {
		return nil, err
	}
	d := &desk{socket: s, awaits: map[string]*arrival{}}
	l.follow(s, func(text []byte) {
		kind, userID, code := lobbyEvent(text)
		if kind == "Error" {
			l.noteRefusal(code)
		}
		d.hear(kind, userID)
	})
	return d, nil
}

var (
	loadEach  = encode("Load", nil)
	loadBatch = encode("Load", map[string]any{"batch": true})
)

// expect must be called before the user joins.
func (d *desk) expect(userID string) {
	d.mu.Lock()
	d.awaits[userID] = &arrival{announced: make(chan struct{}), removed: make(chan struct{})}
	d.mu.Unlock()
}

func (d *desk) hear(kind, userID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.awaits[userID]
	if a == nil {
		return
	}
	switch {
	case kind == "UserJoined" && a.announcedAt.IsZero():
		a.announcedAt = time.Now()
		close(a.announced)
	case kind == "RemoveUser":
		close(a.removed)
		delete(d.awaits, userID)
	}
}

// take waits until the lobby shows the user, and claims them. It returns when
// the user was announced and what the claim took.
func (d *desk) take(ctx context.Context, id identity) (announced time.Time, claimed time.Duration, err error) {
	d.mu.Lock()
	a := d.awaits[id.UserID]
	d.mu.Unlock()
	if a == nil {
		return time.Time{}, 0, fmt.Errorf("the lobby has removed the user before the claim")
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	select {
	case <-a.announced:
	case <-ctx.Done():
		return time.Time{}, 0, fmt.Errorf("waiting for the lobby to announce the user: %w", ctx.Err())
	}
	began := time.Now()
	if err := d.socket.send(claim(id)); err != nil {
		return time.Time{}, 0, err
	}
	select {
	case <-a.removed:
		return a.announcedAt, time.Since(began), nil
	case <-ctx.Done():
		return time.Time{}, 0, fmt.Errorf("waiting for RemoveUser after the claim: %w", ctx.Err())
	}
}

var (
	userJoinedPrefix = []byte(`{"type":"UserJoined","args":{`)
	userIDField      = []byte(`"userId":"`)
)

// lobbyEvent takes a message of the lobby apart: its type, "" for a pending
// user, and the user's id; or the code of a refusal. Thousands of agents get the
// same UserJoined, so that is looked at without decoding all of it.
func lobbyEvent(text []byte) (kind, userID, code string) {
	if bytes.HasPrefix(text, userJoinedPrefix) {
		// A name cannot hold this: its quotes would be escaped.
		if _, rest, ok := bytes.Cut(text, userIDField); ok {
			if id, _, ok := bytes.Cut(rest, []byte{'"'}); ok {
				return "UserJoined", string(id), ""
			}
		}
	}
	m, err := decode(text)
	if err != nil {
		return "malformed", "", ""
	}
	if m.Type == "" {
		return "", m.UserID, ""
	}
	return m.Type, m.Args.UserID, m.Args.Code
}
