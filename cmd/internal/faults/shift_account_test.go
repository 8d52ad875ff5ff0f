package faults_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// account is the state at a moment: of chats, by what happened to them, and of visitors, by
// what they have.
type account struct {
	closed, left           int            // chats
	served, waiting, ended int            // visitors
	loads                  map[string]int // chats by agent
	alone                  map[string]int // of these, those with nobody there: they count for a while
	wrong                  string         // the first thing that is not as it must be; "" for none
}

// settles checks that the accounts become right in time, and reports what is wrong.
func (s *shift) settles(when string, within time.Duration, wrong func(*account) string) *account {
	s.Helper()
	var a *account
	for end := time.Now().Add(within); ; wait(s.Context(), 300*time.Millisecond) {
		a = s.account()
		what := wrong(a)
		if what == "" {
			return a
		}
		if time.Now().After(end) {
			s.Fatalf("%s, not within %v: %s", when, within, what)
		}
	}
}

// account reads the logs of all chats, the lists of all lobbies, and the loads that agents
// are told.
func (s *shift) account() *account {
	s.Helper()
	a := &account{loads: map[string]int{}, alone: map[string]int{}}
	fail := func(format string, args ...any) {
		if a.wrong == "" {
			a.wrong = fmt.Sprintf(format, args...)
		}
	}
	var lists []map[string]bool
	for _, lobby := range s.lobbies {
		list, err := s.pendingAt(lobby)
		if err != nil {
			fail("the list of %s: %v", lobby.addr, err)
		}
		lists = append(lists, list)
	}
	waits := map[string]bool{} // user ids of those who must be in the lists
	state := map[*visit]string{}
	for _, v := range s.all() {
		p := s.passed(v)
		v.mu.Lock()
		here, left := v.here > 0, v.left
		v.mu.Unlock()
		switch {
		case p.closedBy != "":
			state[v] = "ended"
			a.closed++
		case p.support != "":
			agent := p.agents[p.support]
			a.loads[agent]++
			who := s.byID(agent)
			there := who != nil && who.has(v.ChatID, p.support)
			switch {
			case here && !there:
				fail("%s is %s's, who is not there", v.ChatID, agent)
			case here:
				state[v] = "served"
			case !there:
				a.alone[agent]++
			}
		case here:
			state[v] = "waiting"
			waits[v.UserID] = true
		}
		if left && state[v] == "" {
			a.left++
			state[v] = "ended"
		}
	}
	for i, list := range lists {
		if !maps.Equal(list, waits) {
			fail("lobby %d shows %d users, and %d wait", i, len(list), len(waits))
		}
	}
	for _, g := range s.guests {
		v := g.latest()
		switch state[v] {
		case "served":
			a.served++
		case "waiting":
			a.waiting++
		case "ended":
			a.ended++
		default:
			fail("%s of %s is on the way", g.name, v.ChatID)
		}
	}
	for _, one := range append(slices.Clone(s.workers), s.boss.worker) {
		for agent, n := range one.told() {
			if n > a.loads[agent] || n < a.loads[agent]-a.alone[agent] {
				fail("%s is told that %s has %d chats, who has %d", one.name, agent, n, a.loads[agent])
			}
		}
	}
	if held := s.boss.shows(); held > sum(a.loads) || held < sum(a.loads)-sum(a.alone) {
		fail("the supervisor is shown %d chats, and %d have a support", held, sum(a.loads))
	}
	return a
}

// all are the visits so far.
func (s *shift) all() []*visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visits)
}

// passed is what a chat's log tells; that of a closed one is not read again.
func (s *shift) passed(v *visit) *passed {
	if v.log == nil || v.log.closedBy == "" {
		v.log = passedOn(s.log(v.ChatID))
	}
	return v.log
}

func sum(of map[string]int) (n int) {
	for _, one := range of {
		n += one
	}
	return n
}

// told are the loads as this agent was told them last.
func (w *worker) told() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.loads)
}

// byID is an agent, by the subject of their token.
func (s *shift) byID(id string) *worker {
	for _, one := range append(slices.Clone(s.workers), s.boss.worker) {
		if one.id() == id {
			return one
		}
	}
	return nil
}

// pendingAt is whom a lobby shows to a supervisor who comes now.
func (s *shift) pendingAt(lobby *server) (map[string]bool, error) {
	conn, err := dialAs(s.Context(), lobby.addr, "/users", s.world.token)
	if err != nil {
		return nil, err
	}
	frames, stop := listen(conn)
	defer stop()
	if err := write(s.Context(), conn, encode("Load", map[string]any{"batch": true})); err != nil {
		return nil, err
	}
	text, err := next(frames, answerWithin)
	if err != nil {
		return nil, err
	}
	var f told
	if err := json.Unmarshal([]byte(text), &f); err != nil || f.Type != "PendingUsers" {
		return nil, fmt.Errorf("instead of the list: %s", text)
	}
	list := map[string]bool{}
	for _, u := range f.Args.Users {
		list[u.UserID] = true
	}
	return list, nil
}

// completes waits until whatever is open shows all messages of its chat.
func (s *shift) completes() {
	s.Helper()
	missing := ""
	complete := poll(20*time.Second, func() bool {
		defer wait(s.Context(), 200*time.Millisecond)
		missing = ""
		s.mu.Lock()
		views := slices.Clone(s.views)
		s.mu.Unlock()
		want := map[*visit]int{}
		for _, one := range views {
			one.mu.Lock()
			ended, n := one.ended, len(one.shown)
			one.mu.Unlock()
			if ended {
				continue
			}
			if _, known := want[one.visit]; !known {
				want[one.visit] = len(s.passed(one.visit).messages)
			}
			if n != want[one.visit] {
				missing = fmt.Sprintf("%s of %s shows %d messages of %d", one.who, one.visit.ChatID, n, want[one.visit])
				return false
			}
		}
		for _, g := range s.guests {
			v := g.latest()
			v.mu.Lock()
			sent, acked, over := v.sent, len(v.acked), v.over || v.left
			v.mu.Unlock()
			if !over && sent != acked {
				missing = fmt.Sprintf("%s has %d of %d messages confirmed", g.name, acked, sent)
				return false
			}
		}
		return true
	})
	if !complete {
		s.Error(missing)
	}
}

// idle reports whether every agent is told, at every lobby, that nobody has a chat, and the
// supervisor is shown none.
func (s *shift) idle() bool {
	for _, lobby := range s.lobbies {
		p, err := openPeerAs(lobby.addr, "/users", "pong:support", encode("Load", map[string]any{"features": []string{"agents"}}), s.world.token)
		if err != nil {
			return false
		}
		come := poll(3*time.Second, func() bool { return shownAgents(p) != nil })
		shown := shownAgents(p)
		p.stop()
		if !come || len(shown) != shiftAgents+1 || sum(shown) != 0 {
			return false
		}
	}
	for _, one := range append(slices.Clone(s.workers), s.boss.worker) {
		if sum(one.told()) != 0 {
			return false
		}
	}
	return s.boss.shows() == 0
}
