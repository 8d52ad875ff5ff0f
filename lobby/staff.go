package lobby

import (
	"context"
	"errors"
	"slices"
	"time"

	"livesupport/broker"
	"livesupport/lobby/wire"
)

// listing is a set of features of the lobby, other than those that make an audience.
type listing uint8

const (
	listsAgents listing = 1 << iota
	listsOffers
	listsChats
)

var listings = map[string]listing{"agents": listsAgents, "offers": listsOffers, "chats": listsChats}

// has reports whether all of these features are listed.
func (l listing) has(these listing) bool { return l&these == these }

// staff is a Lobby's knowledge of agents: its own and, if somebody here wants to know them,
// all agents of the deployment with their offers and chats. Lobby.mu guards it, except for
// fields that say otherwise.
type staff struct {
	server string               // this lobby's name in the queue; never changes
	people map[string]*person   // by agent: those with a loaded socket here
	dirty  map[string]struct{}  // agents whose state the queue does not know yet
	wake   chan struct{}        // wakes the desk; capacity 1
	lists  map[*Agent]struct{}  // loaded sockets that list anything
	count  map[listing]int      // number of sockets by feature
	said   int                  // people who have sent a Status
	open   bool                 // the queue knows all people here except the dirty ones
	seen   newsWanted           // state of the queue's news
	others bool                 // somebody wants news of agents, here or elsewhere
	roster roster               // all agents
	offers map[string]offerNews // all open offers, by chat
	chats  map[string]chatNews  // all chats with a support
	told   []*Agent             // sockets with new frames since the last deliver
	late   []lateFrames         // frames to send after the notices
}

func newStaff() staff {
	return staff{
		server: wire.NewID()[:16],
		people: map[string]*person{},
		dirty:  map[string]struct{}{},
		wake:   make(chan struct{}, 1),
		lists:  map[*Agent]struct{}{},
		count:  map[listing]int{},
		roster: newRoster(),
		offers: map[string]offerNews{},
		chats:  map[string]chatNews{},
	}
}

// lateFrames go to a socket after the notices, so that RemoveUser comes before the Offer or
// Chat of the same user.
type lateFrames struct {
	to     *Agent
	frames []byte
}

// person is an agent with loaded sockets here.
type person struct {
	sockets []*Agent // in the order of their first Loads
	since   int64    // when the first of them was loaded
	status  status
}

// seat returns the report about a person for the queue.
func (p *person) seat(id string) seat {
	newest := p.sockets[len(p.sockets)-1]
	s := seat{agent: id, status: p.status, seatNews: seatNews{
		since: p.since, teams: newest.group.teams, about: about{Name: newest.name, Known: newest.who != nil},
	}}
	for _, a := range p.sockets {
		s.shows = s.shows || a.lists.has(listsOffers)
	}
	return s
}

// sit adds a loaded socket with what it lists now. The caller holds Lobby.mu.
func (s *staff) sit(a *Agent, w wish) {
	p := s.people[a.id]
	if p == nil {
		p = &person{since: w.at}
		s.people[a.id] = p
	}
	if !a.seated {
		a.seated = true
		p.sockets = append(p.sockets, a)
	}
	s.list(a, w.lists)
	s.say(a)
	s.tell(a.id)
}

// rise removes a loaded socket. The caller holds Lobby.mu.
func (s *staff) rise(a *Agent) {
	s.list(a, 0)
	p := s.people[a.id]
	for i, other := range p.sockets {
		if other == a {
			p.sockets = append(p.sockets[:i], p.sockets[i+1:]...)
			break
		}
	}
	if len(p.sockets) == 0 {
		if p.status.at > 0 {
			s.said--
		}
		delete(s.people, a.id)
	}
	s.tell(a.id)
}

// list records what a socket lists. The caller holds Lobby.mu.
func (s *staff) list(a *Agent, lists listing) {
	for _, one := range listings {
		if a.lists.has(one) {
			s.count[one]--
		}
		if lists.has(one) {
			s.count[one]++
		}
	}
	a.lists = lists
	if lists == 0 {
		delete(s.lists, a)
	} else {
		s.lists[a] = struct{}{}
	}
}

// say takes over a socket's Status, if its agent is there. The caller holds Lobby.mu.
func (s *staff) say(a *Agent) {
	p := s.people[a.id]
	if p == nil || a.status.at <= p.status.at {
		return
	}
	if p.status.at == 0 {
		s.said++
	}
	p.status = a.status
	s.tell(a.id)
}

// tell makes the desk report an agent to the queue soon. The caller holds Lobby.mu.
func (s *staff) tell(agent string) {
	s.dirty[agent] = struct{}{}
	s.rouse()
}

func (s *staff) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// wanted returns which news this lobby wants. The caller holds Lobby.mu.
func (s *staff) wanted() newsWanted {
	w := s.seen
	w.kinds = ""
	for _, k := range []struct {
		of    listing
		kinds string
	}{{listsAgents, newsAgents}, {listsOffers, newsOffers}, {listsChats, newsChats}} {
		if s.count[k.of] > 0 {
			w.kinds += k.kinds
		}
	}
	if w.kinds != s.seen.kinds {
		w.born, w.stirs = "", 0 // all of it
	}
	return w
}

const (
	// deskEvery is how often a lobby tells the queue that it lives, while that matters: five
	// times within the lease that queue.lua gives it.
	deskEvery = 3 * time.Second
	// deskGather is how long changes of agents are collected.
	deskGather = 20 * time.Millisecond
)

var errNotReady = errors.New("lobby: the broker is unavailable")

// keepDesk reports this lobby's agents to the queue while somebody wants news of agents,
// here or, according to the queue, elsewhere. A lobby that cannot reach the broker reports
// nothing, because it could not send its agents anything.
func (l *Lobby) keepDesk(ctx context.Context) {
	var hears broker.Subscription
	for ctx.Err() == nil {
		wants, err := l.visitDesk(ctx)
		wait := deskEvery
		if err != nil && ctx.Err() == nil {
			l.cfg.Log.Debug("cannot report agents to the queue", "error", err)
			wait = deskEvery / 12
		}
		if wants && hears == nil {
			hears = l.cfg.Broker.Listen(Topic, func([]byte) { (*topicHandler)(l).Gap() }, nil)
		}
		if err != nil {
			pause(ctx, wait)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.staff.wake:
			pause(ctx, deskGather)
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	if hears != nil {
		hears.Close()
	}
	l.mu.Lock()
	open := l.staff.open
	l.mu.Unlock()
	if !open {
		return
	}
	last, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := l.cfg.Queue.closeDesk(last, l.staff.server); err != nil {
		l.cfg.Log.Debug("cannot report to the queue that agents are gone", "error", err)
	}
}

// visitDesk reports to the queue once what it does not know. It returns whether somebody
// here wants news.
func (l *Lobby) visitDesk(ctx context.Context) (wants bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	l.mu.Lock()
	s := &l.staff
	wants = len(s.lists) > 0 || s.said > 0 || l.cfg.Queue.cfg.Assign != AssignOff
	if !wants && !s.others {
		opened := s.open
		s.open = false
		clear(s.dirty)
		l.mu.Unlock()
		if opened {
			err = l.cfg.Queue.closeDesk(ctx, s.server)
		}
		return false, err
	}
	if err := l.cfg.Broker.Ready(); err != nil {
		l.mu.Unlock()
		return wants, errors.Join(errNotReady, err)
	}
	was := s.open
	seats := s.changedSeats(!was)
	s.open = true
	l.mu.Unlock()
	known, err := l.cfg.Queue.desk(ctx, s.server, wants, seats)
	if err != nil || !known && was { // the store has lost the reports, or they have expired
		l.mu.Lock()
		for _, one := range seats {
			s.dirty[one.agent] = struct{}{}
		}
		s.open = s.open && was && err != nil
		l.mu.Unlock()
		s.rouse()
		return wants, err
	}
	if wants && len(seats) > 0 {
		(*topicHandler)(l).Gap()
	}
	return wants, nil
}

// seatAtOnce reports a socket to the queue before it is loaded as w says, if it wants offers
// or news of others. Once the client has the answer, the queue knows the agent.
func (l *Lobby) seatAtOnce(ctx context.Context, a *Agent, w wish) error {
	l.mu.Lock()
	s := &l.staff
	one := seat{agent: a.id, status: a.status, seatNews: seatNews{
		since: w.at, shows: w.lists.has(listsOffers), teams: w.group.teams, about: about{Name: w.name, Known: a.who != nil},
	}}
	if p := s.people[a.id]; p != nil {
		one.since = p.since
		for _, other := range p.sockets {
			one.shows = one.shows || other != a && other.lists.has(listsOffers)
		}
	}
	l.mu.Unlock()
	known, err := l.cfg.Queue.desk(ctx, s.server, true, []seat{one})
	if err == nil && !known {
		l.mu.Lock()
		s.open = false
		l.mu.Unlock()
	}
	return err
}

// changedSeats takes the agents to report to the queue. The caller holds Lobby.mu.
func (s *staff) changedSeats(all bool) []seat {
	var seats []seat
	if all {
		for id := range s.people {
			s.dirty[id] = struct{}{}
		}
	}
	for id := range s.dirty {
		if p := s.people[id]; p != nil {
			seats = append(seats, p.seat(id))
		} else {
			seats = append(seats, seat{agent: id, gone: true})
		}
	}
	clear(s.dirty)
	return seats
}

// applyNews applies changes of agents, offers and chats, and sends them to the sockets that
// want them. The caller holds Lobby.mu.
func (l *Lobby) applyNews(n news, asked newsWanted, now time.Time) {
	s := &l.staff
	if n.watched != s.others {
		s.others = n.watched
		s.rouse()
	}
	s.seen = newsWanted{n.born, n.stirs, asked.kinds}
	if asked.kinds == "" {
		return
	}
	for _, a := range n.agents {
		s.roster.set(a)
	}
	slices.SortFunc(n.offers, longestWait)
	for _, o := range n.offers {
		l.setOffer(o)
	}
	var frames []byte
	for _, c := range n.chats {
		frames = append(frames, l.setChat(c)...)
	}
	if n.all {
		s.roster.keepOnly(n.agents)
		l.keepOffers(n.offers)
		frames = append(frames, l.keepChats(n.chats)...)
	}
	if len(frames) > 0 {
		for a := range s.lists {
			if a.lists.has(listsChats) {
				s.late = append(s.late, lateFrames{a, frames})
			}
		}
	}
	l.tellAgents(now)
}
