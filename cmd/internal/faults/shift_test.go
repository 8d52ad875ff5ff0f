package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/web"
)

const (
	shiftSecret = "the secret of the team's tokens, of 32 bytes at least"
	// canary stands in every note of the supervisor; no visitor may ever see it.
	canary       = "canary-bird"
	shiftAgents  = 3
	shiftGuests  = 10
	shiftLimit   = 4
	shiftPatient = 60 * time.Second // what every visitor gets served within, once nothing is killed
)

// shift is a team at work: agents, a supervisor, and visitors who come and go, on servers
// that are killed.
type shift struct {
	*world
	working atomic.Bool // people come, write, give chats on and go; else they just stay
	serving atomic.Bool // agents take whomever they can
	guests  []*guest
	workers []*worker
	boss    *boss

	mu      sync.Mutex
	visits  []*visit
	views   []*view
	faults  []string
	longest time.Duration // that a visitor has waited
	sum     shiftCounts
}

// shiftCounts is what happened.
type shiftCounts struct {
	offers, accepted, declined, left, takes, given, closed, vanished, refused int
	overs, noted, ended                                                       int // the supervisor's
	sockets                                                                   int
}

func (s *shift) count(n *int) {
	s.mu.Lock()
	*n++
	s.mu.Unlock()
}

func (s *shift) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < 20 {
		s.faults = append(s.faults, fmt.Sprintf(format, args...))
	}
}

func (s *shift) token(name, role string) string {
	token, err := web.Token{Subject: strings.ToLower(name), Name: name, Role: role}.Sign(shiftSecret, time.Hour)
	if err != nil {
		s.Fatal(err)
	}
	return token
}

// view begins what a socket of a chat shows.
func (s *shift) view(v *visit, who, role string, sends func(id string) int) *view {
	one := &view{visit: v, who: who, role: role, sends: sends, again: map[string]int{}, places: map[string]bool{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = append(s.views, one)
	s.sum.sockets++
	return one
}

// visitOf is a visitor's chat, which all who see it know by its id.
func (s *shift) visitOf(v visitor) *visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.visits {
		if one.ChatID == v.ChatID {
			return one
		}
	}
	one := &visit{visitor: v, shift: s, sends: map[string]int{}, acked: map[string]bool{}}
	s.visits = append(s.visits, one)
	return one
}

func (s *shift) pickLobby() string {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if len(s.lobbies) == 0 {
		return ""
	}
	return s.lobbies[rand.IntN(len(s.lobbies))].addr
}

// view is what one socket of a chat has shown: the history, and what came behind it.
type view struct {
	visit     *visit
	who, role string
	sends     func(id string) int // how often it, or another socket of the same person, has sent a message

	mu     sync.Mutex
	shown  []message
	places map[string]bool
	again  map[string]int
	ended  bool
}

// take takes a frame that shows messages.
func (v *view) take(f told) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fail := func(format string, args ...any) {
		v.visit.shift.fail("%s of %s: %s", v.who, v.visit.ChatID, fmt.Sprintf(format, args...))
	}
	add := func(m message) {
		if m.Content != content(m.MessageID) {
			fail("a changed message: %v", m)
		}
		v.places[m.MessageID] = true
		v.shown = append(v.shown, m)
	}
	switch f.Type {
	case "ChatHistory":
		before := v.shown
		v.shown, v.places = nil, map[string]bool{}
		for _, m := range f.Args.Messages {
			if v.places[m.MessageID] {
				fail("%s is twice in the history", m.MessageID)
			}
			add(m)
		}
		if len(before) > len(v.shown) || !slices.Equal(bare(before), bare(v.shown[:len(before)])) {
			fail("the history does not begin with what was shown")
		}
	case "ChatMessage":
		m := f.Args.message
		if !v.places[m.MessageID] {
			add(m)
			return
		}
		v.again[m.MessageID]++ // who sends a message again gets a copy of the first
		if m.From != v.role || v.again[m.MessageID] >= v.sends(m.MessageID) {
			fail("%s came again", m.MessageID)
		}
	}
}

func (v *view) end() {
	v.mu.Lock()
	v.ended = true
	v.mu.Unlock()
}

// Three agents and a supervisor work with ten visitors, who come again, on two servers of
// either kind that are killed and started again. Chats are offered, taken, given on, lost,
// taken over and closed. Nobody has two voices, nobody is forgotten, nothing is lost, and
// in the end nobody has a chat.
func TestTeamAtWork(t *testing.T) {
	eachBroker(t, func(w *world, sc scale) {
		env := []string{
			"AGENT_SECRET=" + shiftSecret, "ASSIGN=round_robin", "OFFER_TTL=2s", "CLAIM_TTL=4s", "LEAVE_GRACE=4s",
			"SUPPORT_GRACE=3s", "CHAT_TTL=1h", "MESSAGE_RATE=100", "MESSAGE_BURST=200",
		}
		s := &shift{world: w}
		w.token = s.token("Boss", "supervisor")
		for range 2 {
			w.startChat(env...)
			w.startLobby(env...)
		}
		ctx, stop := context.WithCancel(w.Context())
		var people sync.WaitGroup
		defer people.Wait()
		defer stop()
		s.working.Store(true)
		s.boss = newBoss(s)
		people.Go(func() { s.boss.live(ctx) })
		for _, name := range []string{"Vika", "Dodo", "Momo"}[:shiftAgents] {
			one := newWorker(s, name, s.token(name, ""))
			s.workers = append(s.workers, one)
			people.Go(func() { one.live(ctx) })
		}
		for i := range shiftGuests {
			g := &guest{shift: s, name: fmt.Sprintf("Visitor%d", i)}
			s.guests = append(s.guests, g)
			people.Go(func() { g.live(ctx) })
		}

		for i := range 2 * sc.kills {
			wait(ctx, 1500*time.Millisecond+rand.N(2*time.Second))
			if i%2 == 0 {
				w.kill(s.chats[rand.IntN(len(s.chats))])
				wait(ctx, rand.N(1500*time.Millisecond))
				w.startChat(env...)
			} else {
				w.dropLobby(s.lobbies[rand.IntN(len(s.lobbies))])
				wait(ctx, rand.N(1500*time.Millisecond))
				w.startLobby(env...)
			}
		}
		wait(ctx, 3*time.Second)

		s.working.Store(false) // everybody stays where they are
		standing := s.settles("when everybody has stopped", shiftPatient, func(a *account) string { return a.wrong })
		w.Logf("%s: of %d chats %d were closed, %d left by their visitors; of %d visitors %d are served, %d wait in the list, %d have ended; forgotten: 0",
			w.Name(), len(s.all()), standing.closed, standing.left, shiftGuests, standing.served, standing.waiting, standing.ended)
		s.serving.Store(true)
		served := s.settles("when all are served", shiftPatient, func(a *account) string {
			if a.wrong == "" && a.waiting > 0 {
				return fmt.Sprintf("%d still wait", a.waiting)
			}
			return a.wrong
		})
		w.Logf("%s: then %d are served, %d have ended; loads %v; the longest wait was %v", w.Name(), served.served, served.ended, served.loads, s.waited(0).Round(100*time.Millisecond))
		if n := served.served + served.ended; n != shiftGuests {
			w.Errorf("%d of %d visitors are served, or have ended", n, shiftGuests)
		}
		s.completes()
		s.boss.closing.Store(true)
		eventually(w.T, shiftPatient, "all loads are 0, at every lobby", s.idle)
		stop()
		people.Wait()
		s.verdict()
		w.alive(slices.Concat(s.chats, s.lobbies)...)
	})
}

// verdict compares what everybody was shown with the chats' logs, prints the counts, and
// wants the bad ones to be 0.
func (s *shift) verdict() {
	s.Helper()
	var messages, stale, delivered, voices, lost, differing, given, orphans, back, takes, over, notes int
	logs := map[*visit]*passed{}
	for _, v := range s.visits {
		p := passedOn(s.log(v.ChatID))
		logs[v] = p
		for _, agent := range p.agents {
			if agent == s.boss.id() {
				over++
			}
		}
		messages += len(p.messages)
		stale += len(p.stale)
		takes += p.takes
		notes += p.notes
		back += p.takeBack
		for _, n := range p.given {
			given += n
		}
		for _, n := range p.lost {
			orphans += n
		}
		in := map[string]bool{}
		for _, m := range p.messages {
			in[m.From+m.MessageID] = true
			// What an agent has written stands where they had the chat, and nobody else.
			if who, _, _ := strings.Cut(m.MessageID, "-"); m.From == "Support" && who != p.agents[m.SupportID] {
				voices++
				s.fail("%s: %s counts while %s has the chat", v.ChatID, m.MessageID, p.agents[m.SupportID])
			}
		}
		for id := range v.acked {
			if !in["User"+id] {
				lost++
				s.fail("%s: %s was confirmed and is not in the log", v.ChatID, id)
			}
		}
		for i, one := range s.chats {
			history, err := s.history(one, v.visitor)
			if err != nil || !slices.Equal(bare(history), bare(p.messages)) {
				differing++
				s.fail("%s: server %d shows %d messages, the log has %d: %v", v.ChatID, i, len(history), len(p.messages), err)
			}
		}
	}
	for _, one := range s.views {
		p := logs[one.visit]
		n := min(len(one.shown), len(p.messages))
		if got, want := bare(one.shown), bare(p.messages[:n]); !slices.Equal(got, want) {
			differing++
			s.fail("%s of %s was shown %d messages, which are not the first of the log: %s", one.who, one.visit.ChatID, len(got), firstDifference(got, want))
		}
		for _, m := range one.shown {
			if p.stale[m.MessageID] {
				delivered++
				s.fail("%s of %s was shown %s, which is stale", one.who, one.visit.ChatID, m.MessageID)
			}
		}
	}
	c := s.sum
	s.Logf("%s: %d chats of %d visitors, %d sockets, %d messages; two voices %d, confirmed and lost %d, views that differ from the log %d; stale messages in the logs %d, of these delivered %d, others refused as forbidden %d",
		s.Name(), len(s.visits), shiftGuests, c.sockets, messages, voices, lost, differing, stale, delivered, c.refused)
	s.Logf("%s: offers %d, accepted %d, declined %d, ignored %d; takes from the list %d; chats had %d times, given on %d, lost %d, taken back %d; agents closed %d and vanished %d times",
		s.Name(), c.offers, c.accepted, c.declined, c.left, c.takes, takes, given, orphans, back, c.closed, c.vanished)
	s.Logf("%s: the supervisor sent %d notes, of which %d are in the logs, asked for %d chats and got %d, ended %d", s.Name(), c.noted, notes, c.overs, over, c.ended)
	for _, fault := range s.faults {
		s.Error(fault)
	}
	for what, n := range map[string]int{
		"offers": c.offers, "takes": c.takes, "chats given on": given, "chats lost": orphans,
		"closed chats": c.closed, "notes": c.noted, "stale messages": stale,
		"chats that the supervisor has ended": c.ended, "chats that the supervisor has taken over": over,
	} {
		if n == 0 {
			s.Errorf("there were no %s", what)
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("the %d. is %q, not %q", i+1, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d, not %d", len(got), len(want))
}
