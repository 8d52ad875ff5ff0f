package lobby

import "time"

// changeEvery is the minimum time between two UserChanged for the same user.
const changeEvery = time.Second

// dueChanges are the changes of users that agents who ask for details have not got yet.
type dueChanges struct {
	pending map[string]struct{}  // by user id: users in the picture
	offered map[string]struct{}  // by chat: users who are offered to an agent
	told    map[string]time.Time // by user id: time of the last UserChanged
	swept   time.Time            // when old entries were last removed from told
}

func newDueChanges() dueChanges {
	return dueChanges{pending: map[string]struct{}{}, offered: map[string]struct{}{}, told: map[string]time.Time{}}
}

// early reports whether the last UserChanged of this user is too recent.
func (c *dueChanges) early(userID string, now time.Time) bool {
	at, ok := c.told[userID]
	return ok && now.Sub(at) < changeEvery
}

// sweep removes old entries.
func (c *dueChanges) sweep(now time.Time) {
	if len(c.told) == 0 || now.Sub(c.swept) < changeEvery {
		return
	}
	c.swept = now
	for userID := range c.told {
		if !c.early(userID, now) {
			delete(c.told, userID)
		}
	}
}

// change takes over the new record of a user. The caller holds mu.
func (l *Lobby) change(u User) {
	if l.pending.change(u) != nil {
		l.changes.pending[u.UserID] = struct{}{}
	}
}

// tellChanges sends UserChanged, not too often for each user, to all agents who see the user
// or to the agent with the offer. The caller holds mu.
func (l *Lobby) tellChanges(now time.Time) {
	c := &l.changes
	c.sweep(now)
	for id := range c.pending {
		if c.early(id, now) {
			continue // when the queue is read next or later
		}
		delete(c.pending, id)
		u := l.pending.get(id)
		if u == nil {
			continue
		}
		var frame []byte
		for to, g := range l.groups {
			if to.audience != detailed || !to.teams.sees(u.Team) {
				continue
			}
			if frame == nil {
				c.told[id] = now
				frame = l.cfg.Frame(event{kindUserChanged, u.User}.payload(detailed))
			}
			g.notices = append(g.notices, frame...)
		}
	}
	for chatID := range c.offered {
		o, open := l.staff.offers[chatID]
		if c.early(o.user.UserID, now) {
			continue
		}
		delete(c.offered, chatID)
		if open && l.tellOffered(o) {
			c.told[o.user.UserID] = now
		}
	}
}

// tellOffered sends UserChanged to the sockets that show an offer, and reports whether
// there are any. The caller holds mu.
func (l *Lobby) tellOffered(o offerNews) bool {
	p := l.staff.people[o.agent]
	if p == nil {
		return false
	}
	var frame []byte
	for _, a := range p.sockets {
		if _, shown := a.offered[o.chatID]; !shown || a.group.audience != detailed {
			continue
		}
		if frame == nil {
			frame = l.cfg.Frame(event{kindUserChanged, o.user}.payload(detailed))
		}
		l.staff.late = append(l.staff.late, lateFrames{a, frame})
	}
	return frame != nil
}
