package main

import (
	"context"
	"fmt"
	"time"
)

// typingOptions has the flags of the typing test.
type typingOptions struct {
	Chats int `default:"1000" help:"Number of chats, each with a user and a support who type all the time."`
	// A server passes on at most one a second from one socket: at 1 s those that come
	// a little early would be dropped.
	Every  time.Duration `default:"1050ms" help:"Time between two Typings of one side. A server drops what comes within a second of the last one."`
	Settle time.Duration `default:"5s" help:"Pause between opening the chats and the load, to measure the servers' CPU time at rest."`
}

func (o *typingOptions) check() error {
	return first(
		within("chats", o.Chats, 1, maxConnections/2),
		within("every", o.Every, time.Millisecond, time.Minute),
		within("settle", o.Settle, 0, time.Hour),
	)
}

// Typing is the part of a summary about typing.
type Typing struct {
	Chats    int   `json:"chats"`
	Sent     int64 `json:"sent"`
	PassedOn int64 `json:"passedOn"` // what came to the other side
	// CPU time of the chat servers for one that was sent, in microseconds; Net is less
	// what the connections cost at rest.
	CPUMicros    float64 `json:"cpuMicrosEach"`
	CPUMicrosNet float64 `json:"cpuMicrosEachNet"`
}

var typingFrame = encode("Typing", map[string]any{"typing": true})

// typing runs the test of people who type.
func (l *load) typing(ctx context.Context, o typingOptions) (*Summary, error) {
	t := l.newChatTest(chatOptions{Chats: o.Chats, Settle: o.Settle})
	t.features = []string{"typing"}
	l.sources.choose(l.options.Source, 2*o.Chats, append(l.options.ChatURL, l.options.LobbyURL...))
	servers, err := t.openAll(ctx, o.Chats, true)
	if err != nil {
		return nil, err
	}
	wait(ctx, o.Settle)
	servers.before(ctx)
	chats, start := t.ready(), time.Now()
	rate := float64(2*len(chats)) / o.Every.Seconds()
	l.progress.show(func() string {
		return fmt.Sprintf("typing · %d sent · %d passed on", t.sent.Load(), t.typed.Load())
	})
	t.planned = planned(rate, l.options.Duration, 0)
	pace(ctx, start, rate, t.planned, func(i int, _ time.Time) {
		if err := chats[i%len(chats)].sides[i/len(chats)%2].socket.send(typingFrame); err != nil {
			t.unsent.Add(1) // its reader notes why
			return
		}
		t.sent.Add(1)
	})
	t.sendingFor = time.Since(start)
	after := context.WithoutCancel(ctx)
	servers.after(after)
	// Nobody knows how many the server has dropped: until nothing comes any more.
	eventually(after, l.options.Drain, func() bool {
		before := t.typed.Load()
		wait(after, min(l.options.Drain, 100*time.Millisecond))
		return t.typed.Load() == before
	})
	l.close()
	return t.typingSummary(ctx, servers), nil
}

func (t *chatTest) typingSummary(ctx context.Context, servers *gauges) *Summary {
	s := t.newSummary(ctx, "typing", t.start, t.sendingFor.Seconds())
	v := &Typing{Chats: len(t.ready()), Sent: t.sent.Load(), PassedOn: t.typed.Load()}
	s.Typing, s.Connections = v, 2*len(t.ready())
	s.Servers = servers.servers(s.Connections, func(g *gauge) reading { return g.begin })
	if v.Sent > 0 {
		gross, net := costs(s.Servers)
		v.CPUMicros, v.CPUMicrosNet = gross*1e6/float64(v.Sent), net*1e6/float64(v.Sent)
	}
	s.fault(t.unsent.Load(), "could not be sent")
	s.fault(t.unexpected.Load(), "messages came that no client should get")
	s.fault(v.PassedOn-v.Sent, "more came than were sent")
	if v.Sent > 0 && v.PassedOn == 0 {
		s.fault(v.Sent, "were sent, and none was passed on")
	}
	return s
}
