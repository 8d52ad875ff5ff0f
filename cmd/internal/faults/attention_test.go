package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coder/websocket"
)

const (
	// truthWithin is how soon after a fault everybody knows who is there.
	truthWithin = 15 * time.Second
	// keptAfter is how long a mark is told before no fault can take it back.
	keptAfter = time.Second
)

// attention is the part of a participant that uses receipts and presence. It reads the
// messages that it is shown, sends marks, and follows the presence of the other side. The
// participant's mu guards it.
type attention struct {
	paying   bool
	presence string              // of the other side, as told on this socket
	states   []string            // all that it was told of that, and when
	marks    map[string]readMark // by role, as told on this socket
	reads    []readAt            // what the other side has read, as told on any socket
	newest   int                 // number of the other side's last message shown
	said     int                 // how far it has said to have read, on this socket
	saidAt   time.Time
}

type readMark struct{ Delivered, Read int }

type readAt struct {
	at   time.Time
	read int
}

// features returns the features that the participant lists.
func (p *participant) features() []string {
	if p.attention.paying {
		return []string{"messageId", "receipts", "presence"}
	}
	return []string{"messageId"}
}

// readOut sends how far the participant has read, twice a second at most.
func (p *participant) readOut(ctx context.Context, conn *websocket.Conn, now time.Time) error {
	p.mu.Lock()
	a := &p.attention
	read := a.newest
	if !a.paying || !p.joined || read <= a.said || now.Sub(a.saidAt) < max(500*time.Millisecond, p.chat.interval) {
		p.mu.Unlock()
		return nil
	}
	a.said, a.saidAt = read, now
	p.mu.Unlock()
	return write(ctx, conn, encode("Receipt", map[string]any{"delivered": read, "read": read}))
}

// begin forgets what was told on the last socket. The caller holds mu.
func (a *attention) begin() {
	a.presence, a.states, a.marks, a.said = "", nil, map[string]readMark{}, 0
}

// told takes a Presence or a Receipt. The caller holds mu.
func (p *participant) told(kind, from, state string, m readMark) {
	a := &p.attention
	if kind == "Presence" {
		p.presences++
		switch {
		case from == p.role:
			p.fail("told of its own presence")
		case state == a.presence:
			p.presenceTwice++
			p.fail("told twice in a row that the other side is %s", state)
		case state == "offline":
			p.offlines++
		}
		a.presence = state
		a.states = append(a.states, time.Now().Format("05.000 ")+state)
		return
	}
	p.receipts++
	if last := a.marks[from]; !p.chat.world.mayLose && (m.Read < last.Read || m.Delivered < last.Delivered || m.Read > m.Delivered || m == last) {
		p.marksBack++
		p.fail("the marks of %s go from %v to %v", from, last, m)
	}
	a.marks[from] = m
	if from != p.role {
		a.reads = append(a.reads, readAt{time.Now(), m.Read})
	}
}

// ignorance returns what the participant believes instead of knowing that the other side is
// online. It returns "" if the participant knows it, or need not know.
func (p *participant) ignorance() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := &p.attention; !a.paying || p.joined && a.presence == "online" {
		return ""
	}
	return fmt.Sprintf("%s of %s on %s: joined %v, told %v", p.role, p.chat.ChatID[:8], p.addr, p.joined, p.attention.states)
}

// toldRead returns the furthest read mark of the other side that was told before a time.
func (p *participant) toldRead(before time.Time) (read int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.attention.reads {
		if r.at.Before(before) {
			read = max(read, r.read)
		}
	}
	return read
}

// converges checks that everybody knows soon after a fault that the other side is there,
// and that anybody who joins then is told what was read before the fault.
func (tr *traffic) converges(when string, fault, end time.Time) {
	tr.world.Helper()
	type floor map[string]int
	floors := make([]floor, len(tr.chats))
	for i, c := range tr.chats {
		floors[i] = floor{}
		if !tr.world.mayLose { // else only what the log has kept is kept
			floors[i] = floor{"Support": c.user.toldRead(fault.Add(-keptAfter)), "User": c.agent.toldRead(fault.Add(-keptAfter))}
		}
		for role, read := range tr.world.logged(c.ChatID) {
			floors[i][role] = max(floors[i][role], read)
		}
	}
	if !poll(truthWithin-time.Since(end), func() bool { return len(tr.ignorant()) == 0 }) {
		tr.world.Errorf("%s, not within %v: some do not know that the other side is there: %q", when, truthWithin, tr.ignorant())
	}
	took := time.Since(end)
	tr.healed = end
	looked := 0
	for i, c := range tr.chats {
		if floors[i]["User"]+floors[i]["Support"] == 0 {
			continue
		}
		marks, err := c.readMarks()
		if err != nil {
			tr.world.Errorf("%s, the marks of %s: %v", when, c.ChatID, err)
			continue
		}
		for role, read := range floors[i] {
			if read > 0 {
				looked++
			}
			if marks[role].Read < read {
				tr.world.Errorf("%s: %s of %s had read %d, and now it is told to have read %d", when, role, c.ChatID, read, marks[role].Read)
			}
		}
	}
	tr.world.Logf("%s: everybody knows who is there after %v; %d read marks are still told", when, took.Round(time.Millisecond), looked)
}

// steady checks that everybody still knows it after the time allowed for that.
func (tr *traffic) steady(when string) {
	tr.world.Helper()
	wait(tr.ctx, truthWithin-time.Since(tr.healed))
	if ignorant := tr.ignorant(); len(ignorant) > 0 {
		tr.world.Errorf("%s, %v after the fault: some do not know that the other side is there: %q", when, time.Since(tr.healed).Round(time.Second), ignorant)
	}
}

// ignorant returns the participants who do not know that the other side is there.
func (tr *traffic) ignorant() (who []string) {
	for _, c := range tr.chats {
		for _, p := range []*participant{c.user, c.agent} {
			if state := p.ignorance(); state != "" {
				who = append(who, state)
			}
		}
	}
	return who
}

// logged returns what each role has read, according to the log.
func (w *world) logged(chatID string) map[string]int {
	w.Helper()
	read := map[string]int{}
	messages := 0
	for _, e := range w.log(chatID) {
		switch {
		case e.Kind == "message":
			messages++
		case e.Kind == "read" && e.Seq <= messages: // others are of messages that were lost
			read[e.From] = max(read[e.From], e.Seq)
		}
	}
	return read
}

// entry is an entry of a chat's log, with the fields that the tests check.
type entry struct {
	Kind, From, SupportID, MessageID, Server, Agent string
	Seq                                             int
	Lost                                            bool
}

// log reads a chat's log from the store.
func (w *world) log(chatID string) []entry {
	w.Helper()
	entries, err := w.readLog(chatID)
	if err != nil {
		w.Fatal(err)
	}
	return entries
}

// readLog is log for goroutines other than that of the test.
func (w *world) readLog(chatID string) ([]entry, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lines, err := w.store.LRange(ctx, "chat:{"+chatID+"}", 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("the log of %s: %w", chatID, err)
	}
	entries := make([]entry, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &entries[i]); err != nil {
			return nil, fmt.Errorf("the log of %s: %w", chatID, err)
		}
	}
	return entries, nil
}

// readMarks joins with a new socket and returns the marks that follow the answers.
func (c *conversation) readMarks() (map[string]readMark, error) {
	conn, err := dial(context.Background(), c.world.pick(""), "/chat/"+c.ChatID)
	if err != nil {
		return nil, err
	}
	frames, stop := listen(conn)
	defer stop()
	join := encode("Join", map[string]any{"userId": c.UserID, "supportId": c.support(), "from": "Support", "features": []string{"receipts"}})
	if err := write(context.Background(), conn, join); err != nil {
		return nil, err
	}
	marks := map[string]readMark{}
	for len(marks) < 2 {
		text, err := next(frames, 3*time.Second)
		if err == errQuiet {
			return marks, nil
		}
		if err != nil {
			return nil, err
		}
		var f struct {
			Type string
			Args struct {
				From string
				readMark
			}
		}
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return nil, err
		}
		switch f.Type {
		case "Receipt":
			if _, again := marks[f.Args.From]; !again {
				marks[f.Args.From] = f.Args.readMark
			}
		case "ChatHistory":
		case "ChatMessage": // the answers to the Join are over
			return marks, nil
		default:
			return nil, fmt.Errorf("unexpected: %s", text)
		}
	}
	return marks, nil
}
