package lobby

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// model is the queue in plain Go, without any thought of speed. Times are in ms.
type model struct {
	how       Assignment
	now       int64
	users     map[int]*modelUser
	agents    map[string]*modelAgent
	servers   map[string]int64 // until when they live
	held      map[int]*modelChat
	over      map[string]int64 // chat and support that are not to come back until then
	lastPlace int64
	turns     int64
	counts    map[string]int // of offers
}

type modelUser struct {
	since, place int64
	team         string
	asked        map[string]bool
	present      int64
	holder       string // of a claim
	until        int64  // of the claim
	offered      bool
}

type modelAgent struct {
	seats  map[string]seat // by server
	status status
	turn   int64
}

type modelChat struct {
	agent, support string
	until          int64
}

const (
	modelLease = 20_000
	modelDesk  = 15_000
)

func newModel(how Assignment) *model {
	return &model{
		how: how, users: map[int]*modelUser{}, agents: map[string]*modelAgent{}, servers: map[string]int64{},
		held: map[int]*modelChat{}, over: map[string]int64{}, turns: 1 << 60, counts: map[string]int{},
	}
}

// order returns the users who wait, in the order of the queue.
func (m *model) order() []int {
	return slices.SortedFunc(maps.Keys(m.users), func(a, b int) int { return cmp.Compare(m.users[a].place, m.users[b].place) })
}

func (m *model) pending() (list []int) {
	for _, n := range m.order() {
		if m.users[n].holder == "" {
			list = append(list, n)
		}
	}
	return list
}

func (m *model) load(agent string) (held, claimed, offered int) {
	for _, c := range m.held {
		if c.agent == agent {
			held++
		}
	}
	for _, u := range m.users {
		switch {
		case u.holder != agent:
		case u.offered:
			offered++
		default:
			claimed++
		}
	}
	return
}

func (m *model) shows(agent string) bool {
	a := m.agents[agent]
	if a == nil {
		return false
	}
	for _, s := range a.seats {
		if s.shows {
			return true
		}
	}
	return false
}

// ready returns the agents who can be offered somebody, the next one first.
func (m *model) ready() []string {
	type place struct {
		agent string
		score int
		busy  int
		turn  int64
	}
	var list []place
	for id, a := range m.agents {
		held, claimed, offered := m.load(id)
		busy := held + claimed + offered
		if !m.shows(id) || a.status.away || a.status.capacity > 0 && busy >= a.status.capacity {
			continue
		}
		p := place{agent: id, turn: a.turn}
		if m.how == AssignLeastBusy {
			p.busy = busy
			if a.status.capacity > 0 {
				p.score = busy * 1_000_000 / a.status.capacity
			}
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.busy, b.busy), cmp.Compare(a.turn, b.turn))
	})
	var ids []string
	for _, p := range list {
		ids = append(ids, p.agent)
	}
	return ids
}

func (m *model) sees(agent, team string) bool {
	for _, s := range m.agents[agent].seats { // all alike here
		return s.teams.sees(team)
	}
	return false
}

func (m *model) offer(n int, agent string, ttl int64) {
	u := m.users[n]
	u.holder, u.until, u.offered = agent, m.now+ttl, true
	u.asked[agent] = true
	m.counts["made"]++
	m.turns++
	m.agents[agent].turn = m.turns
}

const modelOffer = 12_000

// settle offers whom it can, the longest waiting first.
func (m *model) settle() {
	if m.how == AssignOff {
		return
	}
	for _, n := range m.pending() {
		u := m.users[n]
		for _, agent := range m.ready() {
			if !u.asked[agent] && m.sees(agent, u.team) {
				m.offer(n, agent, modelOffer)
				break
			}
		}
	}
}

// gone removes a user from the queue.
func (m *model) gone(n int) {
	if u := m.users[n]; u != nil && u.offered {
		m.counts["gone"]++
	}
	delete(m.users, n)
}

// free ends a claim or an offer; the argument says how it ended.
func (m *model) free(n int, what string) {
	u := m.users[n]
	if u.offered {
		m.counts[what]++
	}
	u.holder, u.until, u.offered = "", 0, false
}

func (m *model) unhold(n int, over bool) {
	c := m.held[n]
	if c == nil {
		return
	}
	delete(m.held, n)
	if over {
		m.over[fmt.Sprint(n, c.support)] = m.now + modelLease
	}
}

func (m *model) vacate(server, agent string) {
	a := m.agents[agent]
	if a == nil {
		return
	}
	if delete(a.seats, server); len(a.seats) > 0 {
		return
	}
	delete(m.agents, agent)
	for n, u := range m.users {
		if u.holder == agent && u.offered {
			m.free(n, "gone")
		}
	}
}

func (m *model) closeDesk(server string) {
	delete(m.servers, server)
	for agent := range m.agents {
		m.vacate(server, agent)
	}
}

func (m *model) sweep() {
	for n, u := range m.users {
		if u.present <= m.now {
			m.gone(n)
		}
	}
	for n, u := range m.users {
		if u.holder != "" && u.until <= m.now {
			m.free(n, "expired")
		}
	}
	for server, until := range m.servers {
		if until <= m.now {
			m.closeDesk(server)
		}
	}
	for n, c := range m.held {
		if c.until <= m.now {
			m.unhold(n, false)
		}
	}
	for what, until := range m.over {
		if until <= m.now {
			delete(m.over, what)
		}
	}
	m.settle()
}

func (m *model) put(n int, since int64, team string, place int64) {
	m.users[n] = &modelUser{since: since, place: place, team: team, asked: map[string]bool{}}
	m.lastPlace = max(m.lastPlace, place)
}

func (m *model) add(n int, since int64, team string) {
	m.sweep()
	if m.users[n] == nil {
		m.put(n, since, team, max(since, m.lastPlace+1))
	}
	m.users[n].present = m.now + modelLease
	m.settle()
}

func (m *model) release(n int, since int64, team, agent, taker string) {
	m.sweep()
	if m.users[n] == nil {
		m.unhold(n, true)
		place := since
		for slices.ContainsFunc(slices.Collect(maps.Values(m.users)), func(u *modelUser) bool { return u.place == place }) {
			place++
		}
		m.put(n, since, team, place)
		if m.shows(agent) {
			m.offer(n, agent, modelOffer)
		} else if taker != "" && m.how != AssignOff {
			m.users[n].holder, m.users[n].until = taker, m.now+takeOver.Milliseconds()
		}
	}
	m.users[n].present = m.now + modelLease
	m.settle()
}

func (m *model) claim(n int, agent, teams string, ttl int64) string {
	m.sweep()
	u := m.users[n]
	switch {
	case u == nil:
		return "absent"
	case u.holder != "" && u.holder != agent:
		return "lost"
	case u.holder != "" && u.offered:
		u.offered, u.until = false, m.now+ttl
		m.counts["accepted"]++
		m.settle()
		return "accepted"
	case u.holder != "":
		return "again"
	case !teamSet(teams).sees(u.team):
		return "absent"
	}
	u.holder, u.until = agent, m.now+ttl
	m.settle()
	return "won"
}

func (m *model) decline(n int, agent string) {
	m.sweep()
	if u := m.users[n]; u != nil && u.offered && u.holder == agent {
		m.free(n, "declined")
	}
	m.settle()
}

func (m *model) remove(n int) {
	m.gone(n)
	m.settle()
}

func (m *model) taken(n int, agent, support string) {
	if u := m.users[n]; u != nil {
		if agent == "" && !u.offered {
			agent = u.holder
		}
		m.gone(n)
	}
	delete(m.over, fmt.Sprint(n, support))
	m.hold1(n, agent, support)
	m.settle()
}

func (m *model) hold1(n int, agent, support string) {
	c := m.held[n]
	if c == nil && m.over[fmt.Sprint(n, support)] > 0 {
		return
	}
	if c != nil && agent == "" && c.support == support {
		agent = c.agent
	}
	m.held[n] = &modelChat{agent, support, m.now + modelLease}
}

func (m *model) hold(n int, agent, support string) {
	m.sweep()
	m.hold1(n, agent, support)
	m.settle()
}

func (m *model) takeBack(n int, support string) bool {
	m.sweep()
	if u := m.users[n]; u != nil && u.holder != "" {
		return false
	}
	delete(m.users, n)
	delete(m.over, fmt.Sprint(n, support))
	m.settle()
	return true
}

func (m *model) desk(server string, seats ...seat) {
	m.sweep()
	m.servers[server] = m.now + modelDesk
	for _, s := range seats {
		if s.gone {
			m.vacate(server, s.agent)
			continue
		}
		a := m.agents[s.agent]
		if a == nil {
			a = &modelAgent{seats: map[string]seat{}, turn: s.since}
			m.agents[s.agent] = a
		}
		a.seats[server] = s
		if s.status.at > a.status.at {
			a.status = s.status
		}
	}
	m.settle()
}

// text is everything that can be seen of the model, for comparison.
func (m *model) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, "pending", m.pending())
	for _, n := range slices.Sorted(maps.Keys(m.users)) {
		if u := m.users[n]; u.offered {
			fmt.Fprintf(&b, "offer %d %s\n", n, u.holder)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(m.held)) {
		fmt.Fprintf(&b, "held %d %q %s\n", n, m.held[n].agent, m.held[n].support)
	}
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[id]
		held, claimed, offered := m.load(id)
		fmt.Fprintf(&b, "agent %s away=%v capacity=%d seats=%d load=%d,%d,%d\n", id, a.status.away, a.status.capacity, len(a.seats), held, claimed, offered)
	}
	return b.String()
}
