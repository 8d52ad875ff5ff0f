package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// answerWithin is how soon a message must be answered, one way or the other;
	// the rest is for a machine that is busy with tests.
	answerWithin = 5*time.Second + 700*time.Millisecond
	// silentServer is how long a client waits for any frame, heartbeats included.
	silentServer = 10 * time.Second
	maxOutbox    = 30 // below the servers' burst
)

// message is a ChatMessage as clients receive it.
type message struct {
	UserID, SupportID, Content, Timestamp, From, MessageID string
	Seq                                                    int // 0 for whoever has not asked for receipts
}

// outgoing is a message that has not been acknowledged.
type outgoing struct {
	id      string
	sentAt  time.Time // on this socket; zero if it is to be sent
	after   time.Time // not to be sent before
	silence bool      // counted as unanswered
}

// participant is one side of a chat with a well-behaved client. It answers the heartbeat,
// connects to another server when its own is gone, joins again, and repeats messages that
// were not acknowledged.
type participant struct {
	chat *conversation
	role string

	mu       sync.Mutex
	addr     string // of the server that it is connected to
	joined   bool   // on this socket
	outbox   []*outgoing
	sends    map[string]int // how often each of its messages was sent
	view     []string       // message ids in the order in which they were shown
	latest   string         // the other side's last message shown
	shown    map[string]int // how often, beyond the first, its own came again
	number   int
	lastTime string
	attention
	counts
}

// run is the life of the client: one socket after the other, until ctx ends.
func (p *participant) run(ctx context.Context) {
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		start := time.Now()
		err := p.session(ctx, p.chat.world.pick(p.server()))
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.joined = false
		for _, o := range p.outbox {
			o.sentAt, o.after = time.Time{}, time.Time{}
		}
		var fatal fatalError
		if errors.As(err, &fatal) {
			p.fail("%v", err)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if time.Since(start) > 2*time.Second {
			pause = 50 * time.Millisecond
		}
		wait(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, time.Second)
	}
}

// fatalError is an answer that must never come. It ends the participant.
type fatalError string

func (e fatalError) Error() string { return string(e) }

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *participant) server() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// session is one socket, from the connection to its end.
func (p *participant) session(ctx context.Context, addr string) error {
	p.mu.Lock()
	p.addr = addr
	p.mu.Unlock()
	conn, err := dial(ctx, addr, "/chat/"+p.chat.ChatID)
	if err != nil {
		return err
	}
	frames, stop := listen(conn)
	defer stop()
	p.mu.Lock()
	p.sockets++
	p.attention.begin()
	p.mu.Unlock()

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	heard, joinAt := time.Now(), time.Now()
	next := time.Now().Add(rand.N(p.chat.interval))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-frames:
			if f.err != nil {
				p.mu.Lock()
				p.closed[int(websocket.CloseStatus(f.err))]++
				p.mu.Unlock()
				return f.err
			}
			heard = time.Now()
			if f.text == "ping" {
				err = write(ctx, conn, "pong:"+map[string]string{"User": "user", "Support": "support"}[p.role])
			} else {
				var again bool
				if again, err = p.receive(f.text); again {
					joinAt = time.Now().Add(300 * time.Millisecond)
				}
			}
		case now := <-tick.C:
			if now.Sub(heard) > silentServer {
				return errors.New("the server is silent")
			}
			if !joinAt.IsZero() && now.After(joinAt) {
				joinAt = time.Time{}
				err = write(ctx, conn, p.join())
				break
			}
			if now.After(next) {
				next = next.Add(p.chat.interval)
				p.say()
			}
			if err = p.sendDue(ctx, conn, now); err == nil {
				err = p.readOut(ctx, conn, now)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (p *participant) join() string {
	args := map[string]any{"userId": p.chat.UserID, "from": p.role, "username": p.chat.Username, "features": p.features()}
	if id := p.chat.support(); id != "" {
		args["supportId"] = id
	} else if p.role == "Support" {
		args["supportUserName"] = "Vika"
	}
	return encode("Join", args)
}

// say puts a new message into the outbox, at the steady rate of the traffic.
func (p *participant) say() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.joined || !p.chat.talking.Load() || len(p.outbox) >= maxOutbox {
		return
	}
	p.number++
	id := fmt.Sprintf("%s-%d", p.role, p.number)
	p.outbox = append(p.outbox, &outgoing{id: id})
	p.sent++
	p.chat.note(id, time.Now())
}

func (p *participant) sendDue(ctx context.Context, conn *websocket.Conn, now time.Time) error {
	p.mu.Lock()
	var due []string
	for _, o := range p.outbox {
		switch {
		case !p.joined:
		case !o.sentAt.IsZero():
			if now.Sub(o.sentAt) > answerWithin && !o.silence {
				o.silence = true
				p.unanswered++
			}
		case now.After(o.after):
			o.sentAt = now
			if p.sends[o.id]++; p.sends[o.id] > 1 {
				p.chat.noteAgain(o.id)
			}
			due = append(due, o.id)
		}
	}
	p.mu.Unlock()
	for _, id := range due {
		if err := write(ctx, conn, encode("ChatMessage", map[string]any{
			"userId": p.chat.UserID, "supportId": p.chat.support(), "content": content(id), "from": p.role, "messageId": id,
		})); err != nil {
			return err
		}
	}
	return nil
}

// content returns the content of a message, by which a changed one can be noticed.
func content(id string) string { return "This is " + id + ", né? \U0001F600" }

// receive handles a frame. again means that the Join must be repeated.
func (p *participant) receive(text string) (again bool, err error) {
	var frame struct {
		Type string
		Args struct {
			message
			Messages []message
			readMark
			Code, State             string
			SupportUserName, ChatID string
		}
	}
	if err := json.Unmarshal([]byte(text), &frame); err != nil {
		return false, fatalError("no JSON: " + text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &frame.Args
	if p.attention.paying && (frame.Type == "Presence" || frame.Type == "Receipt") {
		p.told(frame.Type, a.From, a.State, a.readMark)
		return false, nil
	}
	switch frame.Type {
	case "UserJoined":
		p.joined = true
	case "SupportJoinedUser":
		p.joined = true
		p.chat.setSupport(a.SupportID)
	case "ChatHistory":
		p.joined = true
		p.history(a.Messages)
	case "ChatMessage":
		p.live(a.message)
	case "Error":
		switch {
		case a.Code != "unavailable" && a.Code != "rate_limited":
			return false, fatalError("refused: " + text)
		case a.MessageID == "" && !p.joined:
			p.refusedJoins++
			return true, nil
		case a.MessageID == "":
			return false, fatalError("a refusal without its messageId: " + text)
		}
		p.refuse(a.MessageID)
	default:
		return false, fatalError("unexpected: " + text)
	}
	return false, nil
}

// refuse handles the refusal of a message, which is repeated a little later.
func (p *participant) refuse(id string) {
	p.refusals++
	for _, o := range p.outbox {
		if o.id == id {
			p.answered(o)
			o.sentAt, o.after = time.Time{}, time.Now().Add(400*time.Millisecond)
		}
	}
}

func (p *participant) answered(o *outgoing) {
	if !o.sentAt.IsZero() {
		p.slowest = max(p.slowest, time.Since(o.sentAt))
	}
}

// live handles a message that is not part of a history.
func (p *participant) live(m message) {
	if !p.joined {
		p.fail("a message before the answer to the Join: %v", m)
	}
	now := time.Now()
	p.acknowledge(m)
	if p.seen[m.MessageID] {
		// The sender of a repetition gets a copy of the first, nobody else.
		p.shown[m.MessageID]++
		if m.From != p.role || p.shown[m.MessageID] >= p.sends[m.MessageID] {
			p.doubled++
			p.fail("%s came again", m.MessageID)
		}
		return
	}
	p.check(m)
	p.append(m)
	if m.From != p.role {
		p.chat.delivered(m.MessageID, now)
	}
}

func (p *participant) append(m message) {
	p.seen[m.MessageID] = true
	if m.From != p.role {
		p.latest = m.MessageID
		p.newest = max(p.newest, m.Seq)
	}
	p.view = append(p.view, m.MessageID)
}

func (p *participant) check(m message) {
	if m.Content != content(m.MessageID) || m.UserID != p.chat.UserID || m.SupportID != "" && m.SupportID != p.chat.support() {
		p.fail("a changed message: %v", m)
	}
	if p.chat.world.mayLose { // then numbers and times have begun again somewhere
		return
	}
	if m.Timestamp < p.lastTime {
		p.fail("%s: the time runs backwards, from %s to %s", m.MessageID, p.lastTime, m.Timestamp)
	}
	p.lastTime = m.Timestamp
	if number := len(p.view) + 1; p.attention.paying && m.Seq != number || !p.attention.paying && m.Seq != 0 {
		p.fail("%s has the number %d, and is the %d. shown", m.MessageID, m.Seq, number)
	}
}

// acknowledge handles the copy of an own message, which is its receipt.
func (p *participant) acknowledge(m message) {
	if m.From != p.role {
		return
	}
	p.outbox = slices.DeleteFunc(p.outbox, func(o *outgoing) bool {
		if o.id != m.MessageID {
			return false
		}
		p.answered(o)
		p.acked++
		return true
	})
}

// history handles the messages so far. What was shown before must be its beginning.
func (p *participant) history(messages []message) {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.MessageID
		p.acknowledge(m)
	}
	p.compare(ids)
	p.view, p.seen, p.lastTime = nil, map[string]bool{}, ""
	for _, m := range messages {
		if p.seen[m.MessageID] {
			p.doubled++
			p.fail("%s is twice in the history", m.MessageID)
			continue
		}
		p.check(m)
		p.append(m)
	}
}

// compare counts the ways in which the view differs from the beginning of a history.
func (p *participant) compare(history []string) {
	view := slices.DeleteFunc(slices.Clone(p.view), func(id string) bool {
		// One that was shown, lost, and sent again has another place in the history now.
		return slices.Contains(history, id) && p.chat.mayHaveMoved(id)
	})
	history = slices.DeleteFunc(slices.Clone(history), p.chat.mayHaveMoved)
	place := map[string]int{}
	for i, id := range history {
		place[id] = i
	}
	last := -1
	for i, id := range view {
		at, ok := place[id]
		switch {
		case !ok:
			p.lose("%s was seen and is not in the history", id)
			continue
		case at < last:
			p.disordered++
			p.fail("%s stands before %s in the history, and came behind it", id, view[i-1])
		case at > last+1:
			p.skipped += at - last - 1
			p.fail("%s came without what stands before it in the history", id)
		}
		last = max(last, at)
	}
}

// lose counts a message that is gone. The caller holds mu.
func (p *participant) lose(format string, args ...any) {
	p.lost++
	if !p.chat.world.mayLose {
		p.fail(format, args...)
	}
}

// fail records a fault; a few are enough. The caller holds mu.
func (p *participant) fail(format string, args ...any) {
	if len(p.faults) < 3 {
		p.faults = append(p.faults, fmt.Sprintf("%s of %s: ", p.role, p.chat.ChatID)+fmt.Sprintf(format, args...))
	}
}
