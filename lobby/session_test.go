package lobby

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/broker"
)

// tape is all that a socket or the topic got, byte for byte.
type tape struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *tape) Queue(frames []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(frames)
}
func (p *tape) Flush()                  {}
func (p *tape) Close(int, string)       {}
func (p *tape) Heartbeat(time.Duration) {}

func (p *tape) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// radio is a broker that keeps what is published, and by which others can publish.
type radio struct {
	silent
	tape
	handlers []broker.Handler
}

func (r *radio) Publish(_ context.Context, _ string, payload []byte) error {
	r.Queue(append(payload, '\n'))
	return nil
}

func (r *radio) Close() error { return nil }

func (r *radio) Subscribe(_ context.Context, _ string, h broker.Handler) (broker.Subscription, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handlers = append(r.handlers, h)
	return nothing{}, nil
}

func (r *radio) foreign(payload string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.handlers {
		h.Message([]byte(payload))
	}
}

// TestSession: without assignment, what sockets get that list nothing, and the topic, is
// byte for byte what it was before there were agents, teams and offers: the file was
// made with the program of that time, but for sentences of refusals. Those who list everything change nothing of it.
func TestSession(t *testing.T) {
	for _, beside := range []string{"nobody", "agents who list everything"} {
		t.Run(beside, func(t *testing.T) {
			t.Parallel()
			topic := &radio{}
			d := deploy(t, topic, 2, QueueConfig{ChatTTL: time.Minute, ClaimTTL: 3 * time.Second, LeaveGrace: 400 * time.Millisecond})
			if beside != "nobody" {
				for i, name := range []string{"Vika", "Dodo"} {
					page := d.lobbies[i].sitDown(t, identity(name), `{"features":["agents","offers","chats","details","verified"],"heartbeat":30}`)
					page.send("Status", `{"status":"online","capacity":4}`)
					page.await("Agents", 1)
				}
			}
			s := &session{deployment: d, topic: topic}
			for i, name := range []string{"first", "second", "late"} {
				s.names = append(s.names, name)
				s.tapes = append(s.tapes, &tape{})
				s.agents = append(s.agents, d.lobbies[i%2].Connect(s.tapes[i], nil))
			}
			s.names, s.tapes = append(s.names, "topic"), append(s.tapes, &topic.tape)
			s.play(t)
		})
	}
}

// session is what happens, and what has been told of it so far.
type session struct {
	*deployment
	topic  *radio
	names  []string
	tapes  []*tape
	agents []*Agent
	read   []int // of the tapes
}

func (s *session) send(agent int, frame string) {
	s.agents[agent].Receive([]byte(frame), time.Now())
}

func (s *session) add(n int, name string, verified bool) error {
	u := user(n)
	u.Username, u.Verified = name, verified
	return s.queue.Add(context.Background(), u)
}

func claimOf(n int) string {
	return `{"type":"JoinUser","args":{"userId":"` + user(n).UserID + `","chatId":"` + user(n).ChatID + `","username":"x"}}`
}

func (s *session) play(t *testing.T) {
	ctx := t.Context()
	s.read = make([]int, len(s.tapes))
	var played strings.Builder
	const file = "session.txt"
	want := ""
	if !*update {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		want = string(b)
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"two agents come", func() error {
			s.send(0, `{"type":"Load"}`)
			s.send(1, `{"type":"Load","args":{"batch":true}}`)
			return nil
		}},
		{"Nika waits", func() error { return s.add(1, "Nika", false) }},
		{"Ana waits, with signs in her name", func() error { return s.add(2, `Ana "<&>" María`, false) }},
		{"Dodo waits, who has a token", func() error { return s.add(3, "Dodo", true) }},
		{"Kiku waits", func() error { return s.add(4, "Kiku", false) }},
		{"Kiku comes again", func() error { return s.add(4, "Kiku", false) }},
		{"the agents look again, and another comes", func() error {
			s.send(0, `{"type":"Load"}`)
			s.send(1, `{"type":"Load","args":{"batch":true,"features":[]}}`)
			s.send(2, `{"type":"Load","args":{}}`)
			return nil
		}},
		{"the first agent takes Nika, twice, the second is too late", func() error {
			s.send(0, claimOf(1))
			s.send(0, claimOf(1))
			s.send(1, claimOf(1))
			return s.taken(ctx, 1)
		}},
		{"the second agent takes Ana, and does not come", func() error {
			s.send(1, claimOf(2))
			eventually(t, "Ana waits again", func() bool { return strings.Count(s.tapes[2].all(), "María") == 2 })
			return nil
		}},
		{"an agent comes to Dodo without a word", func() error { return s.taken(ctx, 3) }},
		{"Kiku leaves", func() error { return s.queue.Leave(ctx, user(4).ChatID) }},
		{"Kiku is not to be had any more, nor is somebody unknown", func() error {
			s.send(0, claimOf(4))
			s.send(2, claimOf(9))
			return nil
		}},
		{"frames that are wrong", func() error {
			for _, frame := range []string{
				`pong:support`, `{"type":"Pong","args":{"from":"Support"}}`, `hello`, `{"type":"Hello"}`, `{"type":5}`, `{}`,
				`{"type":"JoinUser","args":{"userId":"x"}}`, `{"type":"JoinUser"}`, `{"type":"Load","args":{"batch":5}}`, `{"type":"Load","args":{"features":{}}}`,
			} {
				s.send(2, frame)
			}
			return nil
		}},
		{"somebody else publishes", func() error {
			s.topic.foreign(`{"type":"UserJoined","args":{"username":"Else","userId":"u","chatId":"c","more":1}}`)
			s.topic.foreign(`{"type":"RemoveUser","args":{"userId":"u"}}`)
			s.topic.foreign(`{"type":"Offer","args":{"username":"Else","userId":"u","chatId":"c"}}`)
			s.topic.foreign(`rubbish`)
			return nil
		}},
		{"Ana has found another page", func() error { return s.queue.Remove(ctx, user(2).ChatID) }},
		{"nobody waits", func() error {
			s.send(0, `{"type":"Load"}`)
			s.send(1, `{"type":"Load","args":{"batch":true}}`)
			return nil
		}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		heading := "== " + step.what + "\n"
		section, rest := strings.TrimPrefix(want, heading), ""
		if end := strings.Index("\n"+section, "\n== "); end >= 0 {
			section, rest = section[:end], section[end:]
		}
		got := ""
		patience := 10 * time.Second
		if *update { // nothing tells when all has come; within their lease users stay
			patience = 700 * time.Millisecond
		}
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if got = s.since(); !*update && got == section {
				break
			}
		}
		if !*update && got != section {
			t.Fatalf("%s: got\n%s\nwant\n%s", step.what, got, section)
		}
		played.WriteString(heading + got)
		want = rest
		for i, p := range s.tapes {
			s.read[i] = len(p.all())
		}
	}
	time.Sleep(100 * time.Millisecond) // for what must not come
	if more := s.since(); more != "" || want != "" {
		t.Errorf("got more: %s, want %s", more, want)
	}
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", file), []byte(played.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// since is what has come in this step, by who got it.
func (s *session) since() string {
	var b strings.Builder
	for i, p := range s.tapes {
		if text := p.all()[s.read[i]:]; text != "" {
			b.WriteString("-- " + s.names[i] + "\n" + text)
		}
	}
	return b.String()
}

// taken says that a support has joined.
func (s *session) taken(ctx context.Context, n int) error {
	return s.queue.Taken(ctx, Held{User: user(n), SupportID: "s", SupportUserName: "Vika", Since: time.Now().UnixMicro()})
}
