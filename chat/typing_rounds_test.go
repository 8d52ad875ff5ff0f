package chat

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"livesupport/broker/brokertest"
)

// monitor is what a redis-server executes, whoever asks for it.
type monitor struct {
	t     *testing.T
	lines *bufio.Scanner
	other net.Conn // for marks
	marks int
}

func newMonitor(t *testing.T, addr string) *monitor {
	t.Helper()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	watching := dial()
	watching.SetReadDeadline(time.Now().Add(time.Minute))
	m := &monitor{t: t, lines: bufio.NewScanner(watching), other: dial()}
	m.lines.Buffer(nil, 1<<20)
	fmt.Fprint(watching, "MONITOR\r\n")
	if !m.lines.Scan() || m.lines.Text() != "+OK" {
		t.Fatalf("%q, %v", m.lines.Text(), m.lines.Err())
	}
	return m
}

// about returns what was executed about a chat since the last call.
func (m *monitor) about(chatIDs ...string) (commands []string) {
	m.t.Helper()
	m.marks++
	mark := fmt.Sprintf("mark-%d", m.marks)
	fmt.Fprintf(m.other, "ECHO %s\r\n", mark)
	for m.lines.Scan() {
		line := m.lines.Text()
		if strings.Contains(line, mark) {
			return commands
		}
		for _, id := range chatIDs {
			if strings.Contains(line, id) {
				commands = append(commands, line)
			}
		}
	}
	m.t.Fatal(m.lines.Err())
	return nil
}

// TestTypingAsksTheStoreNothing: while both sides of chats type on one server, Redis is asked
// nothing about them, neither as the store nor as the broker.
func TestTypingAsksTheStoreNothing(t *testing.T) {
	redis := brokertest.StartRedisServer(t)
	service, _ := tallyServer(t, redis.URL(), func(*Config) {})
	m := newMonitor(t, strings.TrimPrefix(redis.URL(), "redis://"))
	const features = `["typing","preview","presence","receipts"]`
	var ids []string
	var sides [][2]*peer
	for range 5 {
		u, err := service.Register(t.Context(), Registration{Name: "Nika"})
		if err != nil {
			t.Fatal(err)
		}
		user := service.connect(u.ChatID).joinUserWith(u, features)
		support := service.connect(u.ChatID).joinSupportWith(u, "", features)
		if user.session.room == nil || support.session.room == nil {
			t.Fatalf("not joined: %q, %q", user.got, support.got)
		}
		t.Cleanup(user.session.Closed)
		t.Cleanup(support.session.Closed)
		ids, sides = append(ids, u.ChatID), append(sides, [2]*peer{user, support})
	}
	quiet(t, service)
	eventually(t, "the Joins are over", func() bool { return waiting(service) == 0 && len(m.about(ids...)) == 0 })

	told := func(p *peer) int { return len(p.frames(`{"type":"Typing"`)) }
	for round := range 10 {
		for _, chat := range sides {
			for i, from := range chat {
				for _, frame := range []string{`{"type":"Typing","args":{"typing":true}}`, `{"args":{"typing":true,"text":"Hel"},"type":"Typing"}`, `{"type":"Typing","args":{"typing":false}}`} {
					from.session.typing.passed = 0 // as if a second had passed
					// As from a parked socket, and as from one with a goroutine of its own.
					if round%2 == 0 {
						if !from.session.ReceiveNow([]byte(frame)) {
							t.Fatalf("not received at once: %s", frame)
						}
					} else {
						from.session.Receive([]byte(frame), time.Now())
					}
				}
				if got, want := told(chat[1-i]), 3*(round+1); got != want {
					t.Fatalf("the other side was told %d times, want %d", got, want)
				}
			}
		}
	}
	if got := m.about(ids...); len(got) > 0 {
		t.Errorf("Redis was asked:\n%s", strings.Join(got, "\n"))
	}
	sides[0][0].send(`{"type":"ChatMessage","args":{"content":"Hello","from":"User"}}`)
	if got := m.about(ids...); len(got) == 0 {
		t.Error("a message was not noticed")
	}
}

// waiting is how many users a server has in the queue.
func waiting(s *Service) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}
