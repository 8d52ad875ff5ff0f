package chat

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
)

func (p *peer) joinAsking(u lobby.User) *peer {
	p.send(`{"type":"Join","args":{"userId":%q,"from":"User","features":["queue"]}}`, u.UserID)
	return p
}

func (p *peer) standings() []string { return p.frames(`{"type":"Queue"`) }

func (p *peer) awaitStanding(t *testing.T, want string) {
	t.Helper()
	want = `{"type":"Queue","args":{` + want + `}}`
	eventually(t, want, func() bool {
		got := p.standings()
		return len(got) > 0 && got[len(got)-1] == want
	})
}

// TestStanding: users who have asked are told their positions, on each server, as long as they
// wait. Others are not.
func TestStanding(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	users := []lobby.User{d.register(), d.register(), d.register()}
	silent := d.services[0].connect(users[0].ChatID).joinUser(users[0])
	a := d.services[0].connect(users[1].ChatID).joinAsking(users[1])
	b := d.services[1].connect(users[2].ChatID).joinAsking(users[2])
	a.awaitStanding(t, `"position":2,"waiting":3,"estimate":null`)
	b.awaitStanding(t, `"position":3,"waiting":3,"estimate":null`)

	d.services[1].connect(users[0].ChatID).joinSupport(users[0], "")
	a.awaitStanding(t, `"position":1,"waiting":2,"estimate":null`)
	b.awaitStanding(t, `"position":2,"waiting":2,"estimate":null`)
	d.services[1].connect(users[1].ChatID).joinSupport(users[1], "")
	b.awaitStanding(t, `"position":1,"waiting":1,"estimate":null`)
	eventually(t, "the support is told of", func() bool { return len(a.frames(`{"type":"SupportJoinedUser"`)) == 1 })
	told := len(a.standings())

	last := d.register()
	d.services[0].connect(last.ChatID).joinAsking(last).awaitStanding(t, `"position":2,"waiting":2,"estimate":null`)
	b.awaitStanding(t, `"position":1,"waiting":2,"estimate":null`)
	if got := a.standings(); len(got) != told {
		t.Errorf("who has a support was told %q", got[told:])
	}
	if got := silent.standings(); len(got) > 0 {
		t.Errorf("who has not asked was told %q", got)
	}
	for _, p := range []*peer{a, b} {
		if got := slices.Compact(p.standings()); len(got) != len(p.standings()) {
			t.Errorf("told the same twice: %q", p.standings())
		}
	}
}

// TestStandingCostsNothing: while nobody asks, the queue is not looked at.
func TestStandingCostsNothing(t *testing.T) {
	d := deploy(t, 1, time.Minute, 1)
	s := d.services[0]
	u := d.register()
	asking := s.connect(u.ChatID).joinAsking(u)
	asking.awaitStanding(t, `"position":1,"waiting":1,"estimate":null`)
	asking.session.Closed()
	if n := s.standing.asking.Load(); n != 0 {
		t.Fatalf("%d are asking", n)
	}
	for range 20 {
		u := d.register()
		s.connect(u.ChatID).joinUser(u)
	}
	if fresh := s.standing.takeFresh(); len(fresh) > 0 {
		t.Errorf("%d rooms are to be told", len(fresh))
	}
	if n := s.standing.look(t.Context(), slices.Collect(func(yield func(*room) bool) {
		for _, r := range s.waitingRooms() {
			if !yield(r) {
				return
			}
		}
	}), false); n != 0 {
		t.Errorf("%d rooms were looked up", n)
	}
}

// TestWritten: the queue is told what a waiting user writes, the last message in the end, and
// nothing of what is said once a support is there.
func TestWritten(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	l := lobby.New(lobby.Config{
		Queue: d.services[0].queue, Broker: d.broker, Frame: func(b []byte) []byte { return append(b, '\n') }, Log: d.services[0].logger,
	})
	t.Cleanup(func() { l.Close() })
	agent := &peer{}
	l.Connect(agent, nil).Receive([]byte(`{"type":"Load","args":{"features":["details"]}}`), time.Now())
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	d.services[1].connect(u.ChatID).joinUser(u)
	last := func() string {
		all := agent.frames(`{"type":"User`)
		if len(all) == 0 {
			return ""
		}
		return all[len(all)-1]
	}
	for i := range 30 {
		user.say(log.RoleUser, fmt.Sprint("line ", i))
	}
	eventually(t, "the last line is told", func() bool { return strings.Contains(last(), `"message":"line 29"`) })
	if changes := agent.frames(`{"type":"UserChanged"`); len(changes) > 4 {
		t.Errorf("told %d times: %q", len(changes), changes)
	}
	long := strings.Repeat("é", 300)
	user.say(log.RoleUser, long)
	eventually(t, "the beginning is told", func() bool { return strings.Contains(last(), `"message":"`+long[:400]+`"`) })
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	support.say(log.RoleSupport, "Hello")
	before := last()
	user.say(log.RoleUser, "to Vika")
	time.Sleep(1200 * time.Millisecond)
	if after := last(); after != before {
		t.Errorf("told %s", after)
	}
}

func TestBeginning(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "ab": "ab", "abc": "abc", "abcd": "abc", "äöü": "äöü", "äöüß": "äöü", "😀😀😀😀": "😀😀😀",
	} {
		if got := beginning(in, 3); got != want {
			t.Errorf("of %q: %q", in, got)
		}
	}
}

// socket writes what it is flushed to a connection, as a client's socket does.
type socket struct {
	conn   net.Conn
	frames []byte
}

func (s *socket) Queue(frames []byte)     { s.frames = append(s.frames, frames...) }
func (s *socket) Heartbeat(time.Duration) {}
func (s *socket) Close(int, string)       {}
func (s *socket) Flush() {
	_, _ = s.conn.Write(s.frames)
	s.frames = s.frames[:0]
}

// BenchmarkStanding is a look at the queue for 10,000 users who wait on this server
// and whose places have all changed: the processor time of this process, with what
// is written over TCP and read again, and which part of a core that is when it
// happens as often as it can.
func BenchmarkStanding(b *testing.B) {
	const users = 10_000
	s := benchService(b)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		if c, err := listener.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	var rooms []*room
	for range users {
		u, err := s.Register(b.Context(), Registration{Name: "Nika"})
		if err != nil {
			b.Fatal(err)
		}
		session := s.Connect(u.ChatID, &socket{conn: conn}, nil)
		session.Receive(fmt.Appendf(nil, `{"type":"Join","args":{"userId":%q,"from":"User","features":["queue"]}}`, u.UserID), time.Now())
		if session.room == nil {
			b.Fatal("not joined")
		}
		rooms = append(rooms, session.room)
	}
	s.standing.look(b.Context(), rooms, false)
	var used time.Duration
	rounds := 0
	for b.Loop() {
		if err := s.queue.Taken(b.Context(), lobby.Held{User: lobby.User{ChatID: rooms[rounds].chatID}}); err != nil {
			b.Fatal(err)
		}
		rounds++
		before := processorTime(b)
		if n := s.standing.look(b.Context(), slices.Clone(rooms), false); n != users {
			b.Fatal(n)
		}
		used += processorTime(b) - before
	}
	b.ReportMetric(float64(used.Microseconds())/float64(rounds)/users, "µs-cpu/user")
	b.ReportMetric(100*used.Seconds()/float64(rounds)/standManyEvery.Seconds(), "%core")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
