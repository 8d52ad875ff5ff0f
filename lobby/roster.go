package lobby

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"livesupport/lobby/wire"
)

// agentsEvery is the minimum time between two Agents messages to a socket. It is a little
// more than the second of the protocol, because frames take different times to arrive.
const agentsEvery = 1100 * time.Millisecond

// roster is the list of all agents, for sockets that list "agents".
type roster struct {
	agents  map[string]agentNews
	stale   bool   // the payload is out of date
	payload []byte // as last sent
	version int64  // of the payload
}

func newRoster() roster { return roster{agents: map[string]agentNews{}} }

func (r *roster) set(a agentNews) {
	r.stale = true
	if len(a.seats) == 0 {
		delete(r.agents, a.id)
	} else {
		r.agents[a.id] = a
	}
}

// keepOnly forgets all other agents.
func (r *roster) keepOnly(agents []agentNews) {
	still := make(map[string]agentNews, len(agents))
	for _, a := range agents {
		if known, ok := r.agents[a.id]; ok {
			still[a.id] = known
		}
	}
	r.agents, r.stale = still, true
}

// shownAgent is an agent in the list.
type shownAgent struct {
	Agent           string   `json:"agent"`
	SupportUserName string   `json:"supportUserName"`
	Status          string   `json:"status"`
	Chats           int64    `json:"chats"`
	Capacity        int64    `json:"capacity"`
	Teams           []string `json:"teams,omitempty"`
}

func (a *agentNews) shown() shownAgent {
	newest := a.seats[0]
	for _, s := range a.seats {
		if s.since > newest.since {
			newest = s
		}
	}
	shown := shownAgent{
		Agent: a.id, SupportUserName: newest.Name, Status: statusOnline,
		Chats: a.held, Capacity: a.capacity, Teams: a.teams().list(),
	}
	if a.away {
		shown.Status = statusAway
	}
	if !newest.Known {
		shown.Chats += a.claimed // without tokens, the holder of a claim has the chat
	}
	return shown
}

// encode makes the payload again if it may have changed.
func (r *roster) encode() {
	if !r.stale {
		return
	}
	r.stale = false
	list := make([]shownAgent, 0, len(r.agents))
	for _, a := range r.agents {
		list = append(list, a.shown())
	}
	slices.SortFunc(list, func(a, b shownAgent) int {
		return cmp.Or(cmp.Compare(a.SupportUserName, b.SupportUserName), cmp.Compare(a.Agent, b.Agent))
	})
	payload := wire.Encode("Agents", struct {
		Agents []shownAgent `json:"agents"`
	}{list})
	if !bytes.Equal(payload, r.payload) {
		r.payload = payload
		r.version++
	}
}

// tellAgents sends Agents to the sockets that are due. An agent who has just loaded must be
// in the list they get. The caller holds mu.
func (l *Lobby) tellAgents(now time.Time) {
	r := &l.staff.roster
	var frame []byte
	for a := range l.staff.lists {
		if !a.lists.has(listsAgents) || now.Sub(a.rosterAt) < agentsEvery && !a.rosterDue {
			continue
		}
		if _, there := r.agents[a.id]; a.rosterDue && !there {
			continue
		}
		r.encode()
		if a.rosterSeen == r.version && !a.rosterDue {
			continue
		}
		if frame == nil {
			frame = l.cfg.Frame(r.payload)
		}
		a.rosterAt, a.rosterSeen, a.rosterDue = now, r.version, false
		a.peer.Queue(frame)
		l.staff.told = append(l.staff.told, a)
	}
}
