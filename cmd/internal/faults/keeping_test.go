package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/log"
)

const (
	// keptTTL is how long chats live whose servers are killed.
	keptTTL = 20 * time.Second
	// archivedWithin is how soon a chat must be in the archive after its end, or after the
	// end of the fault in which it has ended.
	archivedWithin = 10 * time.Second
)

// keeping is a world that keeps its chats: some talk all the time, others end meanwhile.
type keeping struct {
	*world
	env            []string
	ttl            time.Duration
	chats, lobbies []*server
	traffic        *traffic

	briefs  []brief
	faults  []span
	archive *archive.Archive // as the test sees it

	sightMu sync.Mutex
	sights  map[string]time.Time // by chat, when it was in the archive first
	stop    context.CancelFunc   // of looking
	looking sync.WaitGroup
}

// brief is a chat that ends while others go on: what its user has seen of it, and when
// its time is over at the latest.
type brief struct {
	visitor
	seen []string
	over time.Time
}

type span struct{ from, to time.Time }

// keep prepares for servers that keep their chats.
func (w *world) keep(url string, ttl time.Duration) *keeping {
	w.Helper()
	k := &keeping{world: w, ttl: ttl, env: []string{"ARCHIVE_URL=" + url, "CHAT_TTL=" + ttl.String()}, sights: map[string]time.Time{}}
	var err error
	k.archive, err = archive.New(archive.Config{URL: url, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := k.archive.Close(); err != nil {
			w.Error(err)
		}
	})
	return k
}

// serve starts two servers of each kind.
func (k *keeping) serve() {
	k.Helper()
	for range 2 {
		k.chats = append(k.chats, k.startChat(k.env...))
		k.lobbies = append(k.lobbies, k.startLobby(k.env...))
	}
}

// begin begins the traffic, and the looking into the archive.
func (k *keeping) begin(s scale) {
	k.Helper()
	k.traffic = k.talk(s)
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.looking.Go(func() { k.look(ctx) })
	k.Cleanup(func() {
		stop()
		k.looking.Wait()
	})
}

// look notes when a chat is in the archive first.
func (k *keeping) look(ctx context.Context) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
		found, _, err := k.archive.Search(attempt, "", archive.Filter{}, "", 5000)
		cancel()
		if err == nil {
			k.sightMu.Lock()
			for i := range found {
				if id := found[i].ChatID; k.sights[id].IsZero() {
					k.sights[id] = time.Now()
				}
			}
			k.sightMu.Unlock()
		}
		wait(ctx, 250*time.Millisecond)
	}
}

// say begins chats, in each of which a few things are said. Every other one is closed.
func (k *keeping) say(n int) {
	k.Helper()
	for i := range n {
		b := brief{visitor: k.register(k.pick(""), fmt.Sprintf("Brief%d", i))}
		p := k.open(k.pick(""), "/chat/"+b.ChatID, "pong:user", encode("Join", map[string]any{"userId": b.UserID, "from": "User", "features": []string{"messageId", "close"}}))
		for m := range 3 {
			id := fmt.Sprintf("brief-%d", m)
			k.tell(p, "ChatMessage", map[string]any{"content": strings.Repeat(b.UserID, 60), "from": "User", "messageId": id})
			eventually(k.T, answerWithin, "a message is seen", func() bool { return strings.Contains(strings.Join(p.all(), "\n"), `"messageId":"`+id+`"`) })
			b.seen = append(b.seen, id)
		}
		if i%2 == 0 {
			k.tell(p, "CloseChat", map[string]any{})
			eventually(k.T, answerWithin, "the chat is closed", func() bool { return p.has("ChatClosed") })
		}
		p.stop()
		b.over = time.Now().Add(k.ttl)
		k.briefs = append(k.briefs, b)
	}
}

// fault notes for how long something has been broken.
func (k *keeping) fault(from, to time.Time) { k.faults = append(k.faults, span{from, to}) }

// due is when a chat's ten seconds begin that was over at a time: after a fault that has
// cut them short.
func (k *keeping) due(over time.Time) time.Time {
	for _, f := range k.faults {
		if over.After(f.from.Add(-archivedWithin)) && over.Before(f.to) {
			over = f.to
		}
	}
	return over
}

// waiting is how many ended chats the archive does not have yet, as the servers say.
func (k *keeping) waiting() (n float64) {
	k.Helper()
	for _, s := range append(slices.Clone(k.chats), k.lobbies...) {
		n = max(n, k.metrics(s)["livesupport_archive_waiting"])
	}
	return n
}

// piles begins chats until ended ones wait for the archive.
func (k *keeping) piles() {
	k.Helper()
	eventually(k.T, 5*k.ttl+20*time.Second, "ended chats wait", func() bool {
		k.say(5)
		return poll(k.ttl, func() bool { return k.listed() > 0 })
	})
}

// listed is how many ended chats the store has for the archive.
func (k *keeping) listed() int {
	return int(k.store.ZCard(k.Context(), "chat:{follow}:archive:since").Val())
}

// undisturbed prints how fast messages were in a span, and before. Chats must not wait for
// the archive, whose shortest patience is two and a half seconds; how fast they are
// beside that is the machine's business.
func (k *keeping) undisturbed(what string, from, to time.Time) {
	k.Helper()
	before, during := k.traffic.delays(time.Time{}, from), k.traffic.delays(from, to)
	k.Logf("%s: messages came across with %s before, and %s %s for %v, of %d",
		k.Name(), percentiles(before), percentiles(during), what, to.Sub(from).Round(time.Second), len(during))
	p99 := func(d []time.Duration) time.Duration { return d[(len(d)-1)*99/100] } // they are sorted by now
	if len(during) == 0 || len(before) == 0 || p99(during) > max(2*time.Second, 3*p99(before)) {
		k.Errorf("chats were held up %s", what)
	}
}

// complete ends the traffic and wants every chat in the archive in time, once, and with
// what was seen of it.
func (k *keeping) complete() {
	k.Helper()
	k.traffic.settle(15 * time.Second)
	ended := time.Now().Add(k.ttl)
	want, over := map[string][]string{}, map[string]time.Time{}
	for _, c := range k.traffic.chats {
		want[c.ChatID], over[c.ChatID] = c.user.view, ended
		if !slices.Equal(c.user.view, c.agent.view) {
			k.Errorf("%s: the sides have not seen the same", c.ChatID)
		}
	}
	for _, b := range k.briefs {
		want[b.ChatID], over[b.ChatID] = b.seen, b.over
	}
	poll(time.Until(ended)+2*archivedWithin, func() bool {
		k.sightMu.Lock()
		defer k.sightMu.Unlock()
		return len(k.sights) >= len(want)
	})
	k.stop()
	k.looking.Wait()

	missing, different, messages, slowest := 0, 0, 0, time.Duration(0)
	for id, seen := range want {
		if k.sights[id].IsZero() {
			missing++
			continue
		}
		slowest = max(slowest, k.sights[id].Sub(k.due(over[id])))
		got, err := k.archivedIDs(id)
		if err != nil {
			k.Fatal(err)
		}
		messages += len(got)
		if !slices.Equal(got, seen) {
			different++
			k.Errorf("%s: %d messages are archived, %d were seen", id, len(got), len(seen))
		}
	}
	foreign := len(k.sights) - len(want) + missing
	listed, _, err := k.archive.Search(k.ctx(), "", archive.Filter{}, "", len(want)+10)
	if err != nil {
		k.Fatal(err)
	}
	left := k.store.Keys(k.ctx(), "chat:{*").Val()
	k.Logf("%s: archived chats %d, missing %d, twice %d, different %d, messages %d; the latest %v after its end or the fault's; keys left %q",
		k.Name(), len(want)-missing, missing, len(listed)-len(k.sights), different, messages, slowest.Round(time.Millisecond), left)
	if missing != 0 || foreign != 0 || len(listed) != len(want) || slowest > archivedWithin {
		k.Errorf("%d chats are missing, %d are nobody's, %d are listed of %d, the latest came after %v", missing, foreign, len(listed), len(want), slowest)
	}
	if len(left) > 0 {
		k.Errorf("keys are left: %q", left)
	}
	k.alive(append(k.chats, k.lobbies...)...)
}

// archivedIDs are the messages of an archived chat.
func (k *keeping) archivedIDs(chatID string) ([]string, error) {
	entries, err := k.archive.Entries(k.ctx(), chatID)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return nil, err
	}
	var s log.State
	for _, entry := range entries {
		s.Apply(log.Decode([]byte(entry)))
	}
	ids := []string{}
	for _, m := range s.Messages {
		ids = append(ids, m.MessageID)
	}
	return ids, nil
}

// dropLobby kills a lobby.
func (w *world) dropLobby(s *server) {
	w.Helper()
	w.mu.Lock()
	w.lobbies = slices.DeleteFunc(w.lobbies, func(other *server) bool { return other == s })
	w.mu.Unlock()
	if err := s.cmd.Process.Kill(); err != nil {
		w.Fatalf("kill %s: %v", s.name, err)
	}
	<-s.ended
}

// eachArchive runs a test with a file and Redis as the broker, and with a PostgreSQL of
// its own and NATS, beside other tests.
func eachArchive(t *testing.T, test func(w *world, s scale, database *archivetest.Postgres)) {
	s := begin(t)
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(newWorld(t, "redis"), s, nil)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		database := archivetest.StartPostgres(t)
		test(newWorld(t, "nats"), s, database)
	})
}
