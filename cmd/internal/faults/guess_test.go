package faults_test

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/lobby/wire"
)

// guesses counts the answers to guessed ids.
type guesses struct {
	mu      sync.Mutex
	answers map[string]int
	wrong   []string // answers that no guess should get
}

func (g *guesses) add(answer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[answer]++
}

func (g *guesses) hit(what, answer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong = append(g.wrong, what+": "+answer)
}

// TestGuessedIDs has many clients guess ids at full speed while chats go on. Some know
// nothing, some know the id of a chat, and some know all but one digit of its user's id.
// None of them gets in, all messages of the chats arrive, and neither the store nor the
// servers keep anything of the guesses. The test reports the latency of the others.
func TestGuessedIDs(t *testing.T) {
	s := begin(t)
	w := newWorld(t, "redis")
	chat, lobby := w.startChat("GOGC=20"), w.startLobby("GOGC=20")
	s.chats = 5
	tr := w.talk(s)
	waiting := w.waiters(1, chat)[0]
	wait(t.Context(), 2*time.Second)
	usual := percentiles(tr.delays(time.Time{}, time.Now()))
	before, keys := w.held(chat, lobby), w.chatKeys()
	var logs [][]string
	for _, c := range tr.chats {
		logs = append(logs, w.store.LRange(w.ctx(), "chat:{"+c.ChatID+"}", 0, 0).Val())
	}

	g := &guesses{answers: map[string]int{}}
	start := time.Now()
	var all errgroup
	for i := range 24 {
		known := tr.chats[i%len(tr.chats)].visitor
		guess := func() (chatID, userID string) { return wire.NewID(), wire.NewID() }
		switch i % 3 {
		case 1: // whoever reads logs knows a chat's id
			guess = func() (string, string) { return known.ChatID, wire.NewID() }
		case 2: // and somebody all but one digit
			n := 0
			guess = func() (string, string) { n++; return known.ChatID, nearly(known.UserID, n) }
		}
		role := []string{"User", "Support"}[i/3%2]
		all.Go(func() error {
			for time.Since(start) < s.guessing {
				chatID, userID := guess()
				if err := g.join(chat.addr, chatID, userID, role); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all.Go(func() error { return g.claim(lobby.addr, waiting.visitor, start.Add(s.guessing)) })
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	took := time.Since(start)

	for _, hit := range g.wrong[:min(len(g.wrong), 10)] {
		t.Errorf("a guess was answered: %s", hit)
	}
	total := 0
	for _, answer := range slices.Sorted(maps.Keys(g.answers)) {
		total += g.answers[answer]
		t.Logf("%s: %s %d times", t.Name(), answer, g.answers[answer])
	}
	if total == 0 || g.answers["ChatExpired"] == 0 || g.answers["forbidden"] == 0 || g.answers["already_taken"] == 0 {
		t.Errorf("not everything was tried: %v", g.answers)
	}
	delays := tr.delays(start, time.Now())
	t.Logf("%s: guesses %d in %v; others' delivery before: %s; meanwhile: %s", t.Name(), total, took.Round(100*time.Millisecond), usual, percentiles(delays))
	if len(delays) == 0 {
		t.Error("nothing is delivered to others")
	}
	if got := w.chatKeys(); got != keys {
		t.Errorf("chats in the store: %d, before %d", got, keys)
	}
	for i, c := range tr.chats {
		if first := w.store.LRange(w.ctx(), "chat:{"+c.ChatID+"}", 0, 0).Val(); !slices.Equal(first, logs[i]) {
			t.Errorf("a chat is another: %v", first)
		}
	}
	var after held
	if !poll(15*time.Second, func() bool {
		after = w.held(chat, lobby)
		return after.goroutines < before.goroutines+20 && after.heap < before.heap+8<<20
	}) {
		t.Errorf("the servers keep something: %+v, before %+v", after, before)
	}
	t.Logf("%s: goroutines %v→%v, heap %.1f→%.1f MB, resident at most %d MB; chats in the store %d→%d", t.Name(),
		before.goroutines, after.goroutines, before.heap/(1<<20), after.heap/(1<<20), w.peak(chat)>>20, keys, w.chatKeys())
	if peak := w.peak(chat); peak > maxResident {
		t.Errorf("the chat server took %d MB", peak>>20)
	}
	w.alive(chat, lobby)
	if got := waiting.all(); len(got) != 1 {
		t.Errorf("the waiting user was told: %q", got)
	}
	if sum := tr.settle(15 * time.Second); sum.sockets != 2*len(tr.chats) {
		t.Errorf("%d sockets for %d participants: others were cut", sum.sockets, 2*len(tr.chats))
	}
}

// nearly returns an id with one digit changed.
func nearly(id string, n int) string {
	const digits = "0123456789abcdef"
	b := []byte(id)
	at := n % len(b)
	b[at] = digits[(strings.IndexByte(digits, b[at])+1+n/len(b)%15)%16]
	return string(b)
}

// join tries ids. Any answer but a refusal would reveal something.
func (g *guesses) join(addr, chatID, userID, role string) error {
	s, err := dialRaw(addr, "/chat/"+chatID)
	if err != nil {
		return err
	}
	defer s.Close()
	_ = s.Conn.(*net.TCPConn).SetLinger(0) // or ports run out
	s.SetDeadline(time.Now().Add(10 * time.Second))
	join := encode("Join", map[string]any{"userId": userID, "from": role, "supportUserName": "Vika"})
	if _, err := s.Write(rawText(join)); err != nil {
		return err
	}
	for {
		op, text, err := s.frame()
		switch {
		case err != nil:
			return fmt.Errorf("no answer to a guess: %w", err)
		case op == 1 && text == "ping":
		case op == 1 && strings.HasPrefix(text, `{"type":"ChatExpired","args":{"chatId":"`+chatID):
			g.add("ChatExpired")
			return nil
		case op == 1 && strings.HasPrefix(text, `{"type":"Error","args":{"code":"forbidden"`):
			g.add("forbidden")
			return nil
		default:
			g.hit(join+" at "+chatID, text)
			return nil
		}
	}
}

// claim makes an agent claim guessed users on one socket until end, as fast as the answers
// and the limit on frames allow.
func (g *guesses) claim(addr string, known visitor, end time.Time) error {
	s, err := dialRaw(addr, "/users")
	if err != nil {
		return err
	}
	defer s.Close()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; time.Now().Before(end); n++ {
		<-ticker.C
		ids := map[string]any{"userId": nearly(known.UserID, n), "chatId": known.ChatID, "username": known.Username}
		if n%2 == 0 {
			ids = map[string]any{"userId": known.UserID, "chatId": nearly(known.ChatID, n), "username": known.Username}
		}
		s.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := s.Write(rawText(encode("JoinUser", ids))); err != nil {
			return err
		}
		for answered := false; !answered; {
			switch _, text, err := s.frame(); {
			case err != nil:
				return fmt.Errorf("no answer to a claim: %w", err)
			case text == "ping":
				if _, err := s.Write(rawText("pong:support")); err != nil {
					return err
				}
			case strings.Contains(text, `"RemoveUser"`): // to this socket alone
			case strings.Contains(text, `"already_taken"`):
				g.add("already_taken")
				answered = true
			default:
				g.hit(fmt.Sprint(ids), text)
				answered = true
			}
		}
	}
	return nil
}

// chatKeys returns the number of chats in the store.
func (w *world) chatKeys() int {
	w.Helper()
	keys, err := w.store.Keys(w.ctx(), "chat:*").Result()
	if err != nil {
		w.Fatal(err)
	}
	return len(keys)
}

// held returns how much the servers hold.
type held struct{ goroutines, heap float64 }

func (w *world) held(servers ...*server) (h held) {
	w.Helper()
	for _, s := range servers {
		m := w.metrics(s)
		h.goroutines += m["go_goroutines"]
		h.heap += m["go_memstats_heap_alloc_bytes"]
	}
	return h
}
