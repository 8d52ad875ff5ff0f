package chat

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

// shorten makes a chat's log lose everything behind the first entries, as if a replica that was
// behind had taken over. Broker and servers know nothing of it.
func (d *deployment) shorten(u lobby.User, to int) {
	d.t.Helper()
	if err := d.client.LTrim(d.t.Context(), d.services[0].logs.Key(u.ChatID), 0, int64(to)-1).Err(); err != nil {
		d.t.Fatal(err)
	}
}

// replaced does what the servers do when the store says that it may have lost something.
func (d *deployment) replaced() {
	for _, s := range d.services {
		s.verify(d.t.Context())
	}
}

// twoSides are a user and a support on different servers, and a broker that does what it should.
func twoSides(t *testing.T) (d *deployment, u lobby.User, user, support *peer) {
	d = deploy(t, 2, time.Minute, 1)
	d.broker.set(func(l *lossy) { l.reliable = true })
	u = d.register()
	user = d.services[0].connect(u.ChatID).joinUserWith(u, allFeatures)
	support = d.services[1].connect(u.ChatID).joinSupportWith(u, "", allFeatures)
	eventually(t, "the user learns of the support", func() bool { return len(user.frames(`{"type":"SupportJoinedUser"`)) == 1 })
	return d, u, user, support
}

// place is the number of entries up to the first of a kind by a server.
func (d *deployment) place(u lobby.User, kind log.Kind, server string) int {
	for i, e := range d.logOf(u) {
		if e.Kind == kind && e.Server == server {
			return i + 1
		}
	}
	return 0
}

// A log that has lost who attends and who has taken the chat says so again, once, and messages flow in
// both directions. Nobody is told anything twice.
func TestLogThatLostTheJoins(t *testing.T) {
	d, u, user, support := twoSides(t)
	second := d.services[1].id
	d.shorten(u, d.place(u, log.Attended, second)-1)
	d.replaced()
	eventually(t, "the log says again who is there", func() bool {
		return d.place(u, log.Attended, second) > 0 && d.place(u, log.SupportJoined, second) > 0
	})
	user.say(log.RoleUser, "to the support")
	support.say(log.RoleSupport, "to the user")
	for _, p := range []*peer{user, support} {
		eventually(t, "both messages", func() bool { return len(p.messages()) == 2 })
	}
	for name, p := range map[string]*peer{"user": user, "support": support} {
		if told := p.frames(`{"type":"SupportJoinedUser"`); len(told) != 1 {
			t.Errorf("the %s was told of the support %d times", name, len(told))
		}
		if refused := p.frames(`{"type":"Error"`); len(refused) > 0 {
			t.Errorf("the %s was refused: %q", name, refused)
		}
	}
	if d.queued(u) {
		t.Error("the user waits")
	}
}

// If another agent takes the chat before the first one's server knows of the loss, that one has it.
func TestLogThatLostTheSupport(t *testing.T) {
	d, u, user, support := twoSides(t)
	d.shorten(u, d.place(u, log.SupportJoined, d.services[1].id)-1)
	d.write(u, log.Event{Kind: log.SupportJoined, ID: "other", At: d.services[0].now(), SupportID: "other", SupportName: "Boris", Server: "elsewhere"})
	d.replaced()
	eventually(t, "the user is told of the other one", func() bool { return strings.Contains(user.last(`{"type":"SupportJoinedUser"`), "Boris") })
	eventually(t, "the first one's socket ends", func() bool { return support.closedWith() == wire.CloseTryLater })
}

// A log that has lost its end and is as long again, or longer, by the time that a server looks at it
// has lost nothing of what was written since.
func TestLogThatGrewAgain(t *testing.T) {
	for _, more := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(more, " instead of 3"), func(t *testing.T) {
			d, u, user, support := twoSides(t)
			before := len(d.logOf(u))
			for i := range 3 {
				user.say(log.RoleUser, fmt.Sprint("lost ", i))
			}
			eventually(t, "the support has them", func() bool { return len(support.messages()) == 3 })
			d.shorten(u, before)
			for i := range more {
				d.write(u, log.Event{Kind: log.Messaged, ID: fmt.Sprint("since ", i), At: d.services[0].now(), From: log.RoleUser, Content: fmt.Sprint("since ", i)})
			}
			d.replaced()
			for _, p := range []*peer{user, support} {
				eventually(t, "what was written since", func() bool { return len(p.messages()) == 3+more })
			}
			d.replaced() // finds nothing new
			if n := len(user.messages()); n != 3+more {
				t.Errorf("%d messages after another look", n)
			}
		})
	}
}

// A message that was lost and is logged again, by a server that did not know whether it had been, is
// shown to nobody twice, and to those who have come since.
func TestLostMessageThatIsLoggedAgain(t *testing.T) {
	d, u, user, support := twoSides(t)
	before := len(d.logOf(u))
	user.say(log.RoleUser, "lost")
	eventually(t, "the support has it", func() bool { return len(support.messages()) == 1 })
	eventually(t, "the user has it", func() bool { return len(user.messages()) == 1 })
	lost := d.logOf(u)[before]
	d.shorten(u, before)
	d.replaced()
	late := d.services[0].connect(u.ChatID).joinUserWith(u, allFeatures)
	d.write(u, lost)
	d.write(u, log.Event{Kind: log.Messaged, ID: "since", At: d.services[0].now(), From: log.RoleUser, Content: "since"})
	d.replaced()
	eventually(t, "who has come since has both", func() bool { return len(late.messages()) == 2 })
	for name, p := range map[string]*peer{"user": user, "support": support} {
		eventually(t, "the "+name+" has the new one", func() bool { return len(p.messages()) >= 2 })
		if n := len(p.messages()); n != 2 {
			t.Errorf("the %s has %d messages", name, n)
		}
	}
}

// Whoever has seen messages that the store has lost since may say so; the marks are those of the log. A number that
// nobody can have seen is refused as ever.
func TestReceiptOfWhatWasLost(t *testing.T) {
	d, u, user, support := twoSides(t)
	user.say(log.RoleUser, "kept")
	before := len(d.logOf(u))
	for i := range 3 {
		user.say(log.RoleUser, fmt.Sprint("lost ", i))
	}
	eventually(t, "the support has them", func() bool { return len(support.messages()) == 4 })
	d.shorten(u, before)
	d.replaced()
	support.send(`{"type":"Receipt","args":{"read":4}}`)
	eventually(t, "the user is told", func() bool { return strings.Contains(user.last(`{"type":"Receipt"`), `"read":1}`) })
	if refused := support.frames(`{"type":"Error"`); len(refused) > 0 {
		t.Errorf("refused: %q", refused)
	}
	support.send(`{"type":"Receipt","args":{"read":5}}`)
	if refused := support.frames(`{"type":"Error"`); len(refused) != 1 {
		t.Errorf("a number that never was: %q", refused)
	}
}

// lamenting counts the chats of which a server says that the store has lost something.
type lamenting struct {
	slog.Handler
	count *atomic.Int32
}

func (l lamenting) Enabled(context.Context, slog.Level) bool { return true }

func (l lamenting) Handle(_ context.Context, record slog.Record) error {
	if strings.Contains(record.Message, "has lost the end") {
		l.count.Add(1)
	}
	return nil
}

// Where nothing was lost, nothing is read as a loss, whatever has happened in the chat.
func TestLogThatLostNothing(t *testing.T) {
	laments := lamenting{slog.DiscardHandler, new(atomic.Int32)}
	d := deploy(t, 2, time.Minute, 1, func(c *Config) { c.Log = slog.New(laments) })
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUserWith(u, allFeatures)
	user.say(log.RoleUser, "while the user waits")
	support := d.services[1].connect(u.ChatID).joinSupportWith(u, "", allFeatures)
	support.say(log.RoleSupport, "hello")
	eventually(t, "both messages", func() bool { return len(user.messages()) == 2 })
	user.send(`{"type":"Receipt","args":{"read":2}}`)
	user.send(`{"type":"Rate","args":{"score":4}}`)
	support.send(transfers)
	eventually(t, "the support is released", func() bool { return support.closedWith() != 0 })
	next := d.services[0].connect(u.ChatID).joinSupportWith(u, "", allFeatures)
	next.say(log.RoleSupport, "it is me now")
	next.send(`{"type":"CloseChat","args":{}}`)
	late := d.services[1].connect(u.ChatID).joinUserWith(u, allFeatures)
	eventually(t, "the chat is closed", func() bool { return len(late.frames(`{"type":"ChatClosed"`)) == 1 })
	d.replaced()
	if n := laments.count.Load(); n > 0 {
		t.Errorf("%d losses of a log like %+v", n, d.logOf(u))
	}
	d.shorten(u, 5)
	d.replaced()
	eventually(t, "a loss is noticed in both rooms", func() bool { return laments.count.Load() == 2 })
}

// A read mark whose entry the log has lost is logged again.
func TestLogThatLostAMark(t *testing.T) {
	d, u, user, support := twoSides(t)
	user.say(log.RoleUser, "hello")
	eventually(t, "the support has it", func() bool { return len(support.messages()) == 1 })
	before := len(d.logOf(u))
	marked := func() bool { return len(d.logOf(u)) > before && d.logOf(u)[before].Kind == log.Read }
	support.send(`{"type":"Receipt","args":{"read":1}}`)
	eventually(t, "the mark is logged", marked)
	d.shorten(u, before)
	d.replaced()
	eventually(t, "the mark is logged again", marked)
}

// What sessions were shown before a loss is kept no longer than they are.
func TestLossesOfSessionsThatEnd(t *testing.T) {
	d, u, user, support := twoSides(t)
	before := len(d.logOf(u))
	user.say(log.RoleUser, "lost")
	eventually(t, "the support has it", func() bool { return len(support.messages()) == 1 })
	eventually(t, "the user has it", func() bool { return len(user.messages()) == 1 })
	d.shorten(u, before)
	d.replaced()
	remembered := func() (losses, sessions int) {
		s := d.services[0]
		s.mu.Lock()
		r := s.rooms[u.ChatID]
		s.mu.Unlock()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, l := range r.losses {
			sessions += len(l.sessions)
		}
		return len(r.losses), sessions
	}
	second := d.services[0].connect(u.ChatID).joinUserWith(u, allFeatures)
	if losses, sessions := remembered(); losses != 1 || sessions != 1 {
		t.Fatalf("%d losses, seen by %d sessions", losses, sessions)
	}
	user.session.Closed()
	eventually(t, "nothing is kept", func() bool { losses, _ := remembered(); return losses == 0 })
	if second.closedWith() != 0 {
		t.Error("the other session has ended")
	}
}

// What was on its way to the former server may be written after a first look, so there is a second one.
func TestSecondLookAfterALoss(t *testing.T) {
	for range 5 {
		if looksTwice(t) {
			return
		}
	}
	t.Fatal("this machine is too slow")
}

// looksTwice reports whether there was time to tell the first look from the second.
func looksTwice(t *testing.T) bool {
	t.Helper()
	laments := lamenting{slog.DiscardHandler, new(atomic.Int32)}
	d := deploy(t, 1, time.Minute, 1, func(c *Config) { c.Log = slog.New(laments) })
	s := d.services[0]
	u := d.register()
	s.connect(u.ChatID).joinUserWith(u, allFeatures)
	d.shorten(u, 1)
	d.store.Cut()
	eventually(t, "the server notices that the store is away", func() bool { return s.db.Ready() != nil })
	d.store.Heal()
	eventually(t, "a first look", func() bool { return laments.count.Load() == 1 })
	first := time.Now()
	eventually(t, "the log says again that the server attends", func() bool { return d.place(u, log.Attended, s.id) > 0 })
	time.Sleep(100 * time.Millisecond) // it has the answer by now
	d.shorten(u, 1)
	if time.Since(first) > storeTimeout-500*time.Millisecond {
		return false
	}
	eventually(t, "a second look", func() bool { return laments.count.Load() == 2 })
	return true
}
