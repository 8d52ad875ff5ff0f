package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// chatTest is the test of chats at work.
type chatTest struct {
	*load
	options  chatOptions
	features []string // that both sides list in their Joins
	planned  int      // messages
	chats    []*conversation
	openings openings

	delivery, receipt latencies // at the other side; at the sender
	lag               latencies // of this program: sent after it was due

	open, sent, unsent    atomic.Int64
	heard, refusals       atomic.Int64 // different messages at either side; messages refused
	unexpected, backwards atomic.Int64
	typed                 atomic.Int64 // Typings that came to the other side
	measuredFrom          atomic.Int64 // messages due from then on count for the latencies
	sendingFor            time.Duration

	histories, historiesWrong int       // compared
	inHistories               int       // messages
	rejoin                    latencies // the Joins for them
}

// conversation is a chat with both its sides.
type conversation struct {
	identity
	index     int
	supportID string
	sides     [2]*participant
}

// participant is one side of a chat.
type participant struct {
	test   *chatTest
	chat   *conversation
	role   int
	socket *socket
	sent   uint32 // by the pacing goroutine

	// Of the goroutine that reads, until that has ended:
	from     [2]tally
	order    order
	lastTime string
	refused  int
}

// openings are what opening chats took.
type openings struct {
	register, join, announce, claim, supportJoin latencies
	seconds                                      float64
}

func newOpenings() openings {
	return openings{newLatencies(), newLatencies(), newLatencies(), newLatencies(), newLatencies(), 0}
}

func (l *load) newChatTest(o chatOptions) *chatTest {
	return &chatTest{
		load: l, options: o, openings: newOpenings(),
		delivery: newLatencies(), receipt: newLatencies(), lag: newLatencies(), rejoin: newLatencies(),
	}
}

// chat runs the test of chats.
func (l *load) chat(ctx context.Context, o chatOptions) (*Summary, error) {
	t := l.newChatTest(o)
	t.planned = planned(o.Rate, o.Warmup+l.options.Duration, o.Count)
	l.sources.choose(l.options.Source, 2*o.Chats, append(l.options.ChatURL, l.options.LobbyURL...))
	servers, err := t.openAll(ctx, o.Chats, o.Direct)
	if err != nil {
		return nil, err
	}
	wait(ctx, o.Settle)
	servers.before(ctx)
	start := time.Now()
	t.measuredFrom.Store(l.since(start.Add(o.Warmup)))
	l.progress.show(func() string { return t.line(start) })
	t.send(ctx, start)
	t.sendingFor = time.Since(start)
	servers.after(context.WithoutCancel(ctx))
	t.awaitMessages(context.WithoutCancel(ctx))
	l.close()
	t.compareHistories(ctx)
	return t.summary(ctx, "chat", servers), nil
}

// awaitMessages waits for what is still on its way. What was refused will not come; what
// was lost is waited for in vain.
func (t *chatTest) awaitMessages(ctx context.Context) {
	all := func() bool { return t.heard.Load() >= 2*(t.sent.Load()-t.refusals.Load()) }
	if eventually(ctx, t.load.options.Drain, all) {
		wait(ctx, min(t.load.options.Drain, 200*time.Millisecond)) // for duplicates
	}
}

// openAll opens the chats, and looks at the servers before and after.
func (t *chatTest) openAll(ctx context.Context, n int, direct bool) (*gauges, error) {
	servers := t.gauge(ctx, t.load.options.ChatURL)
	defer func() { servers.settled(ctx) }()
	var desks []*desk
	if !direct {
		for _, url := range t.load.options.LobbyURL {
			d, err := t.openDesk(ctx, url)
			if err != nil {
				return nil, err
			}
			desks = append(desks, d)
		}
	}
	t.chats = make([]*conversation, n)
	start := time.Now()
	t.progress.show(func() string { return fmt.Sprintf("opening chats · %d of %d", t.open.Load(), n) })
	err := t.each(ctx, n, func(ctx context.Context, i int) error {
		c, err := t.openChat(ctx, i, desks)
		if err != nil {
			return fmt.Errorf("opening chat %d: %w", i+1, err)
		}
		t.chats[i] = c
		t.open.Add(1)
		return nil
	})
	t.openings.seconds = time.Since(start).Seconds()
	return servers, err
}

// ready are the chats that have been opened: not all after an interruption.
func (t *chatTest) ready() []*conversation {
	var ready []*conversation
	for _, c := range t.chats {
		if c != nil {
			ready = append(ready, c)
		}
	}
	return ready
}

// openChat goes the way of a user and an agent until both are in the chat.
func (t *chatTest) openChat(ctx context.Context, index int, desks []*desk) (*conversation, error) {
	urls := t.load.options.ChatURL
	userSide, supportSide := urls[index%len(urls)], urls[(index+1)%len(urls)]

	began := time.Now()
	id, err := t.register(ctx, userSide, fmt.Sprintf("loadtest-%d", index+1))
	if err != nil {
		return nil, err
	}
	t.openings.register.record(time.Since(began))
	c := &conversation{identity: id, index: index}
	var agent *desk
	if len(desks) > 0 {
		agent = desks[index%len(desks)]
		agent.expect(id.UserID)
	}

	began = time.Now()
	user, err := t.enter(ctx, c, 0, userSide)
	if err != nil {
		return nil, err
	}
	joined := time.Now()
	if _, err := user.socket.ask(userJoin(id, t.features...), "UserJoined"); err != nil {
		return nil, err
	}
	t.openings.join.record(time.Since(began))
	if agent != nil {
		announced, claimed, err := agent.take(ctx, id)
		if err != nil {
			return nil, err
		}
		t.openings.announce.record(announced.Sub(joined))
		t.openings.claim.record(claimed)
	}

	began = time.Now()
	support, err := t.enter(ctx, c, 1, supportSide)
	if err != nil {
		return nil, err
	}
	m, err := support.socket.ask(t.supportJoin(id, t.features...), "SupportJoinedUser")
	if err != nil {
		return nil, err
	}
	t.openings.supportJoin.record(time.Since(began))
	if c.supportID = m.Args.SupportID; c.supportID == "" {
		return nil, errors.New("SupportJoinedUser without a supportId")
	}
	if err := user.socket.conn.SetReadDeadline(time.Now().Add(setupTimeout)); err != nil {
		return nil, err
	}
	if _, err := user.socket.await("SupportJoinedUser"); err != nil {
		return nil, err
	}
	if err := user.socket.conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	for _, p := range c.sides {
		t.follow(p.socket, p.hear)
	}
	return c, nil
}

// enter connects one side of a chat.
func (t *chatTest) enter(ctx context.Context, c *conversation, role int, base string) (*participant, error) {
	s, err := t.dial(ctx, base, "/chat/"+c.ChatID, [2]*end{userEnd, agentEnd}[role])
	if err != nil {
		return nil, err
	}
	c.sides[role] = &participant{test: t, chat: c, role: role, socket: s}
	return c.sides[role], nil
}

// send sends the messages when they are due: one chat after the other, users in
// one round and supports in the next.
func (t *chatTest) send(ctx context.Context, start time.Time) {
	chats := t.ready()
	if len(chats) == 0 {
		return
	}
	// A server that takes nothing any more must not hold up the end.
	ctx, cancel := context.WithDeadline(ctx, start.Add(t.options.Warmup+t.load.options.Duration+t.load.options.Drain))
	defer cancel()
	pace(ctx, start, t.options.Rate, t.planned, func(i int, due time.Time) {
		p := chats[i%len(chats)].sides[i/len(chats)%2]
		text := content(p.chat.index, p.sent, t.since(due), t.options.Size)
		t.lag.record(time.Since(due))
		if err := p.socket.send(chatMessage(p.chat.identity, p.chat.supportID, roles[p.role], text)); err != nil {
			t.unsent.Add(1) // its reader notes why
			return
		}
		p.sent++
		t.sent.Add(1)
	})
}

// hear looks at one message of the server. The times are the first thing: what
// comes after is this program's own.
func (p *participant) hear(text []byte) {
	t := p.test
	now := t.since(time.Now())
	m, err := decode(text)
	switch {
	case err != nil:
		t.unexpected.Add(1)
		return
	case m.Type == "Error":
		p.refused++
		t.refusals.Add(1)
		t.noteRefusal(m.Args.Code)
		return
	case m.Type == "Typing" && len(t.features) > 0:
		if m.Args.Typing {
			t.typed.Add(1)
		}
		return
	case m.Type != "ChatMessage":
		t.unexpected.Add(1)
		return
	}
	chat, number, due, ok := parseContent(m.Args.Content, t.options.Size)
	sender := 0
	if m.Args.From == roles[1] {
		sender = 1
	}
	if !ok || chat != p.chat.index || int(number) >= t.planned || m.Args.From != roles[sender] ||
		m.Args.UserID != p.chat.UserID || m.Args.SupportID != p.chat.supportID {
		t.unexpected.Add(1)
		return
	}
	if m.Args.Timestamp < p.lastTime {
		t.backwards.Add(1)
	}
	p.lastTime = m.Args.Timestamp
	if !p.from[sender].take(number) {
		return
	}
	p.order.add(sender, number)
	t.heard.Add(1)
	if due < t.measuredFrom.Load() {
		return
	}
	if sender == p.role {
		t.receipt.recordMicros(now - due)
	} else {
		t.delivery.recordMicros(now - due)
	}
}

// compareHistories joins some chats again, as their users, and compares what the
// store has with what came live. All other connections are closed.
func (t *chatTest) compareHistories(ctx context.Context) {
	chats := t.ready()
	n := min(t.options.Histories, len(chats))
	for i := range n {
		c := chats[i*len(chats)/n]
		live := c.sides[0]
		if live.sent == 0 && live.from[0].got+live.from[1].got == 0 || ctx.Err() != nil {
			continue
		}
		count, fingerprint, err := t.history(ctx, c)
		if ctx.Err() != nil {
			return
		}
		t.histories++
		t.inHistories += count
		if err != nil || count != live.from[0].got+live.from[1].got || fingerprint != live.order {
			t.historiesWrong++
		}
	}
}

func (t *chatTest) history(ctx context.Context, c *conversation) (int, order, error) {
	urls := t.load.options.ChatURL
	s, err := t.dial(ctx, urls[(c.index+1)%len(urls)], "/chat/"+c.ChatID, userEnd)
	if err != nil {
		return 0, 0, err
	}
	defer s.conn.Close()
	join := encode("Join", map[string]any{"userId": c.UserID, "supportId": c.supportID, "username": c.Username, "from": roles[0]})
	began := time.Now()
	m, err := s.ask(join, "ChatHistory")
	if err != nil {
		return 0, 0, err
	}
	t.rejoin.record(time.Since(began))
	var all order
	for _, message := range m.Args.Messages {
		_, number, _, ok := parseContent(message.Content, t.options.Size)
		if !ok {
			return 0, 0, fmt.Errorf("a history with a message that was not sent: %.100q", message.Content)
		}
		sender := 0
		if message.From == roles[1] {
			sender = 1
		}
		all.add(sender, number)
	}
	return len(m.Args.Messages), all, nil
}

// line is the progress of the test.
func (t *chatTest) line(start time.Time) string {
	p := t.delivery.percentiles()
	sent, heard, refused := t.sent.Load(), t.heard.Load(), t.refusals.Load()
	return fmt.Sprintf("%s of %s · %d sent · %d on the way · p50 %.2f ms, p99 %.2f ms · %d refused · %d connections cut",
		time.Since(start).Round(time.Second), t.options.Warmup+t.load.options.Duration, sent, 2*(sent-refused)-heard, p.P50, p.P99, refused, t.cuts())
}
