package lobby

// groupKey is what loaded agents have in common who get the same frames.
type groupKey struct {
	audience audience
	teams    teamSet
}

// group has the loaded agents with the same key.
type group struct {
	agents  int
	notices []byte // the next frames for them
}

// groups only has groups with agents, so no frames are made for nobody.
type groups map[groupKey]*group

func (g groups) enter(key groupKey) {
	if g[key] == nil {
		g[key] = &group{}
	}
	g[key].agents++
}

func (g groups) leave(key groupKey) {
	if g[key].agents--; g[key].agents == 0 {
		delete(g, key)
	}
}

// TeamsChanged checks the teams in agents' tokens again, because Config.HasTeam may have
// changed. It sends the difference to agents who see other users than before.
func (l *Lobby) TeamsChanged() {
	l.mu.Lock()
	var told []*Agent
	for a := range l.agents {
		if teams := a.teams(); teams != a.group.teams {
			a.regroup(groupKey{a.group.audience, teams})
			told = append(told, a)
		}
	}
	l.mu.Unlock()
	for _, a := range told {
		a.peer.Flush()
	}
}

// regroup puts a loaded socket into another group. The caller holds Lobby.mu.
func (a *Agent) regroup(key groupKey) {
	l, before := a.lobby, a.group
	l.groups.leave(before)
	l.groups.enter(key)
	a.group = key
	l.staff.tell(a.id)
	for _, u := range l.pending.order {
		switch was, is := before.teams.sees(u.Team), key.teams.sees(u.Team); {
		case was && !is:
			a.tell(u.UserID)
		case is && !was:
			delete(a.told, u.UserID)
			a.queue(event{kindUserJoined, u.User}.payload(u.shownAs(key.audience)))
		}
	}
}

// shownAs returns the audience whose form of the user an audience gets.
func (u *User) shownAs(to audience) audience {
	if to == verified && !u.Verified {
		return plain
	}
	return to
}

// broadcast adds an event to the notices of all loaded agents who may see its user. The
// caller holds mu.
func (l *Lobby) broadcast(e event) {
	l.step++
	var frames [audiences][]byte // made when first needed
	for to, g := range l.groups {
		if !to.teams.sees(e.Team) {
			continue
		}
		as := e.shownAs(to.audience)
		if e.Kind != kindUserJoined {
			as = plain
		}
		if frames[as] == nil {
			frames[as] = l.cfg.Frame(e.payload(as))
		}
		g.notices = append(g.notices, frames[as]...)
	}
}

// deliver queues the notices to the loaded agents, all in one piece, and then the late
// frames. It returns the agents to flush. The caller holds mu.
func (l *Lobby) deliver() []*Agent {
	some := false
	for _, g := range l.groups {
		some = some || len(g.notices) > 0
	}
	if some {
		for a := range l.agents {
			if frames := l.groups[a.group].notices; len(frames) > 0 {
				a.peer.Queue(frames)
				l.staff.told = append(l.staff.told, a)
			}
		}
		for _, g := range l.groups {
			g.notices = nil
		}
	}
	l.deliverLate()
	told := l.staff.told
	l.staff.told = nil
	return told
}

// deliverLate queues the frames that follow the notices. The caller holds mu.
func (l *Lobby) deliverLate() {
	s := &l.staff
	for _, late := range s.late {
		late.to.peer.Queue(late.frames)
		s.told = append(s.told, late.to)
	}
	clear(s.late)
	s.late = s.late[:0]
}
