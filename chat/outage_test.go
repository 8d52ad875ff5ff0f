package chat

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"livesupport/chat/log"
	"livesupport/chat/log/logtest"
)

// TestLogThatLostItsEnd: if a store comes back without its latest entries, servers do not overlook
// what is written from then on.
func TestLogThatLostItsEnd(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	for i := range 5 {
		user.say(log.RoleUser, fmt.Sprint("before ", i))
	}
	d.broker.gap()
	eventually(t, "the support has them", func() bool { return len(support.messages()) == 5 })
	if err := d.client.LTrim(t.Context(), d.services[0].logs.Key(u.ChatID), 0, -4).Err(); err != nil {
		t.Fatal(err)
	}
	d.broker.set(func(l *lossy) { l.held = nil }) // it does not outlive what it tells of
	support.say(log.RoleSupport, "after")
	user.say(log.RoleUser, "after too")
	d.broker.gap()
	for _, p := range []*peer{user, support} {
		eventually(t, "what was written after", func() bool { return len(p.messages()) == 7 })
	}
	late := d.services[0].connect(u.ChatID).joinUser(u)
	if history := late.frames(`{"type":"ChatHistory"`); len(history) != 1 || strings.Count(history[0], `"content":`) != 4 || !strings.Contains(history[0], "after too") {
		t.Errorf("history: %q", history)
	}
}

// TestBrokerAway: while nothing can be published, messages are stored. The side on the other server
// gets them afterwards.
func TestBrokerAway(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	d.broker.set(func(l *lossy) { l.down = true })
	user.say(log.RoleUser, "hello")
	if got := user.messages(); len(got) != 1 {
		t.Fatalf("the sender's receipt: %q", got)
	}
	d.broker.set(func(l *lossy) { l.down = false })
	eventually(t, "the other side has it", func() bool {
		d.broker.gap() // this broker may lose the making up, too
		return len(support.messages()) == 1
	})
}

// TestMakingUp: for what could not be published, its position alone is published later, without a
// Gap.
func TestMakingUp(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	user.say(log.RoleUser, "first")
	d.broker.gap()
	eventually(t, "the support has the first", func() bool { return len(support.messages()) == 1 })
	d.broker.set(func(l *lossy) { l.down = true })
	user.say(log.RoleUser, "second")
	d.broker.set(func(l *lossy) { l.down = false })
	eventually(t, "the support has the second", func() bool { return len(support.messages()) == 2 })
}

// TestNewsDuringAGap: the log is read because of a Gap. An entry whose news comes meanwhile, and
// that the reading was too early for, is not forgotten.
func TestNewsDuringAGap(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	for i := range 200 {
		d.broker.gap()
		// As another server would that could not publish the entry itself.
		e := log.Event{ID: fmt.Sprint("elsewhere ", i), Kind: log.Messaged, From: log.RoleUser, Content: fmt.Sprint(i)}
		seq, err := d.client.RPush(t.Context(), d.services[0].logs.Key(u.ChatID), e.Encode()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.broker.Publish(t.Context(), topic(u.ChatID), encodeNews(seq, nil, "")); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprint("the support has message ", i), func() bool { return len(support.messages()) == i+1 })
	}
}

// TestStoredButNotReadable: a message is in the log, behind entries that cannot be read. Its sender
// waits no longer than usual, and it is applied in its turn.
func TestStoredButNotReadable(t *testing.T) {
	service := &Service{metrics: newMetrics(), closed: true, logger: slog.New(slog.DiscardHandler), frame: bytes.Clone, logs: log.NewStore(nil, time.Minute, 0)}
	r := &room{service: service, chatID: "c"}
	r.take(0, []string{string(logtest.Registered.Encode())})
	hidden, e := logtest.UserSays("1", "a"), logtest.UserSays("2", "b")
	a := &appending{id: e.ID, late: time.Now().Add(50 * time.Millisecond), done: make(chan appended, 1)}
	r.pending = append(r.pending, a)
	r.appended(a, &e, 3, nil)
	if result := <-a.done; !result.late || result.err != nil {
		t.Errorf("%+v", result)
	}
	r.take(1, []string{string(hidden.Encode()), string(e.Encode())})
	if len(r.state.Messages) != 2 || len(r.pending) != 0 {
		t.Errorf("%+v, pending %v", r.state.Messages, r.pending)
	}
}

// TestJoiningWhileTheBrokerIsAway: a client who joins then is let in. It gets what the side on the
// other server has written as soon as the broker is back.
func TestJoiningWhileTheBrokerIsAway(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	d.broker.set(func(l *lossy) { l.down = true })
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	user.say(log.RoleUser, "hello")
	support.say(log.RoleSupport, "welcome")
	if len(user.messages()) == 0 || len(support.messages()) == 0 {
		t.Fatalf("no receipts: %q, %q", user.got, support.got)
	}
	d.broker.set(func(l *lossy) { l.down, l.reliable = false, true })
	for _, p := range []*peer{user, support} {
		eventually(t, "both messages", func() bool { return len(p.messages()) == 2 })
	}
	eventually(t, "the user learns of the support", func() bool { return len(user.frames(`{"type":"SupportJoinedUser"`)) == 1 })
}

// TestStallWithinFiveSeconds: whenever broker and store stop answering, a client that goes on
// writing has every answer within five seconds.
func TestStallWithinFiveSeconds(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	d.broker.set(func(l *lossy) { l.reliable = true })
	user.say(log.RoleUser, "known to both")
	eventually(t, "the support has it", func() bool { d.broker.gap(); return len(support.messages()) == 1 })

	d.broker.set(func(l *lossy) { l.stalled = true })
	sent := time.Now() // all of the following
	user.say(log.RoleUser, "has its receipt; its news must wait")
	d.store.Stall()
	for range 3 {
		user.say(log.RoleUser, "in vain")
	}
	waited := time.Since(sent)
	if got := user.frames(`{"type":"Error","args":{"code":"unavailable"`); len(got) != 3 || waited > storeTimeout+lastTry {
		t.Errorf("%d answers after %v", len(got), waited)
	}
	d.broker.set(func(l *lossy) { l.stalled = false })
	d.store.Heal()
	eventually(t, "messages are taken again", func() bool {
		user.say(log.RoleUser, "back")
		return strings.Contains(strings.Join(user.messages(), ""), "back")
	})
}

// TestWaitedBehindOthers: the time of a message counts from the moment when it could be read. A
// message that has used up its time is refused alone.
func TestWaitedBehindOthers(t *testing.T) {
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	refused := func() int { return len(user.frames(`{"type":"Error","args":{"code":"unavailable"`)) }
	say := func(waited time.Duration) {
		user.session.Receive([]byte(`{"type":"ChatMessage","args":{"from":"User","content":"x"}}`), time.Now().Add(-waited))
	}
	say(storeTimeout + 100*time.Millisecond)
	if refused() != 1 || len(user.messages()) != 0 {
		t.Fatalf("after all its time: %q", user.got)
	}
	say(storeTimeout / 2)
	say(0)
	if refused() != 1 || len(user.messages()) != 2 {
		t.Fatalf("the ones after it: %q", user.got)
	}

	d.store.Stall()
	began := time.Now()
	say(storeTimeout - 100*time.Millisecond)
	if waited := time.Since(began); refused() != 2 || waited > lastTry+500*time.Millisecond {
		t.Errorf("the store stalls, and the time is nearly over: %d refusals, the last after %v", refused(), waited)
	}
	if d.services[0].outages.count.Load() > 0 {
		t.Error("who has so little time is no sign of an outage")
	}
	say(0)
	if d.services[0].outages.count.Load() == 0 {
		t.Error("who has waited in vain for all their time is one")
	}
	d.store.Heal()
	eventually(t, "the outage is over", func() bool { return d.services[0].outages.count.Load() == 0 })
}

// TestFarBroker: a sender does not wait for the broker. What is not published yet stays in order,
// and is bounded.
func TestFarBroker(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	user.say(log.RoleUser, "known to both")
	eventually(t, "the support has it", func() bool { d.broker.gap(); return len(support.messages()) == 1 })

	d.broker.set(func(l *lossy) { l.stalled = true })
	began := time.Now()
	const more = 3 * maxNews
	for n := range more {
		user.say(log.RoleUser, fmt.Sprint(n))
	}
	if waited := time.Since(began); len(user.messages()) != 1+more || waited > publishTimeout {
		t.Errorf("%d receipts after %v", len(user.messages()), waited)
	}
	r := user.session.room
	r.mu.Lock()
	if len(r.news) > maxNews {
		t.Errorf("%d news wait", len(r.news))
	}
	r.mu.Unlock()
	d.broker.set(func(l *lossy) { l.stalled = false })
	eventually(t, "the support has all", func() bool { return len(support.messages()) == 1+more })
}
