package chat

import (
	"context"
	"errors"
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// A user whose support is gone must not stay without one (web/api/README.md, "transfer").
// The log says which servers have sockets of the support: each server logs when its first
// socket comes and when its last one goes. So no signal can be missed, and a chat costs
// nothing while nobody comes or goes. A server's lease tells whether it has died. Every
// server with a socket of the user watches the clock; if several release the chat, the
// first release in the log wins.

// supportAbsence is a room's knowledge of its support's absence. room.mu guards it.
type supportAbsence struct {
	here      bool                // a socket of the support is here
	left      moment              // when the last one closed
	user      moment              // since when the user has a socket here; zero without one
	since     moment              // since when the support has no socket anywhere; zero if it has
	servers   []string            // the other servers that have sockets of the support
	heard     moment              // since when servers has this value
	dead      map[string]struct{} // those of them that have died
	telling   bool                // an append of what is here is pending
	scheduled bool                // a timer is set, or the release is under way
}

const (
	// disconnectedAfter is how long the support must have no socket here before that is
	// logged. A reload of the page is shorter.
	disconnectedAfter = 3 * time.Second
	// orphanTimeout bounds one try of an append here. Close waits for it.
	orphanTimeout = time.Second
	// orphanRetry is the pause before the next try.
	orphanRetry = time.Second
)

// supportMoved updates where the support has sockets. since is when that may have changed.
// The caller holds mu.
func (r *room) supportMoved(since moment) {
	a, grace := &r.absence, r.service.cfg.SupportGrace
	if grace == 0 {
		return
	}
	here := r.presentHere(log.RoleSupport) != unknown
	if a.here && !here {
		a.left = now()
	}
	a.here = here
	switch user := r.presentHere(log.RoleUser) != unknown; {
	case !user:
		a.user = 0
	case a.user.isNone():
		a.user = now()
	}
	if r.state.Support.ID == "" || r.closed() || r.gone {
		a.since = 0
		r.watchServers(nil)
		return
	}
	if here != slices.Contains(r.state.SupportAt, r.service.id) {
		r.tellConnected()
	}
	if here || a.user.isNone() {
		r.watchServers(nil)
	} else {
		r.watchServers(r.state.SupportAt)
	}
	if here || len(a.dead) < len(a.servers) || a.user.isNone() {
		a.since = 0
		return
	}
	if a.since.isNone() {
		a.since = max(since, a.left, a.user)
	}
	if !a.scheduled {
		a.scheduled = true
		r.service.timers.after(a.since.add(grace).until(), r.orphaned)
	}
}

// local converts a time of the store to the local clock.
func (s *Service) local(at int64) moment {
	return now().add(-max(0, time.Duration(s.now()-at)*time.Microsecond))
}

// watchServers makes lookElsewhere inform the room when one of these servers dies or comes
// back. The caller holds mu.
func (r *room) watchServers(ids []string) {
	a, s := &r.absence, r.service
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == s.id })
	if slices.Equal(a.servers, ids) {
		return
	}
	s.mu.Lock()
	for _, id := range a.servers {
		delete(s.elsewhere[id], r)
		if len(s.elsewhere[id]) == 0 {
			delete(s.elsewhere, id)
		}
	}
	for _, id := range ids {
		if s.elsewhere[id] == nil {
			s.elsewhere[id] = map[*room]struct{}{}
		}
		s.elsewhere[id][r] = struct{}{}
	}
	s.mu.Unlock()
	a.servers, a.heard, a.dead = ids, now(), nil
}

// lookElsewhere informs the rooms whose support is on a server that has died or come back.
func (s *Service) lookElsewhere(all *servers) {
	var rooms []*room
	s.mu.Lock()
	for id := range all.missing {
		if s.elsewhere[id] == nil {
			delete(all.missing, id)
		}
	}
	for id, of := range s.elsewhere {
		_, missing := all.missing[id]
		switch lives := all.lives(id); {
		case lives && !missing:
			continue
		case lives:
			delete(all.missing, id)
		default:
			all.missing[id] = struct{}{}
		}
		for r := range of {
			rooms = append(rooms, r)
		}
	}
	s.mu.Unlock()
	for _, r := range rooms {
		r.mu.Lock()
		r.lookAtServers(all)
		r.mu.Unlock()
	}
}

func (r *room) lookAtServers(all *servers) {
	a := &r.absence
	before := len(a.dead)
	for _, id := range a.servers {
		switch {
		case all.lives(id):
			delete(a.dead, id)
		case all.lost(id, a.heard):
			if a.dead == nil {
				a.dead = map[string]struct{}{}
			}
			a.dead[id] = struct{}{}
		}
	}
	if len(a.dead) != before {
		r.supportMoved(now())
	}
}

// tellConnected starts logging whether the support has sockets here. The room stays open
// until that is done. The caller holds mu.
func (r *room) tellConnected() {
	a, s := &r.absence, r.service
	if a.telling {
		return
	}
	a.telling = true
	s.errand(r)
	var wait time.Duration
	if !a.here {
		wait = min(disconnectedAfter, s.cfg.SupportGrace/2)
	}
	s.timers.after(wait, func() {
		if !s.start(r.keepConnected) {
			s.releaseErrand(r)
		}
	})
}

// keepConnected appends until the log matches the state here.
func (r *room) keepConnected(ctx context.Context) {
	defer r.service.releaseErrand(r)
	for ctx.Err() == nil {
		r.mu.Lock()
		e := r.connectedEvent()
		if e == nil {
			r.absence.telling = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if result := r.append(ctx, time.Now().Add(orphanTimeout), e, nil); result.outcome != log.Applied {
			sleep(ctx, orphanRetry)
		}
	}
}

// connectedEvent returns the event to append, nil if there is none. The caller holds mu.
func (r *room) connectedEvent() *log.Event {
	here := r.absence.here
	if r.gone || r.closed() || r.state.Support.ID == "" || here == slices.Contains(r.state.SupportAt, r.service.id) {
		return nil
	}
	e := &log.Event{
		Kind: log.Connected, ID: r.service.eventID(), At: r.service.now(),
		Server: r.service.id, SupportID: r.state.Support.ID,
	}
	if !here {
		e.Kind = log.Disconnected
		e.At -= max(0, r.absence.left.since().Microseconds())
	}
	return e
}

// overdue reports whether the support was gone for too long. The caller holds mu.
func (r *room) overdue() bool {
	since := r.absence.since
	return !r.gone && !since.isNone() && since.since() >= r.service.cfg.SupportGrace
}

// orphaned releases the chat if its support was gone for too long, and otherwise checks
// again later.
func (r *room) orphaned() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.overdue() {
		r.service.start(r.releaseLost) // it does not start if the service ends
		return
	}
	r.absence.scheduled = false
	r.supportMoved(now())
}

// releaseLost releases a chat whose support is gone, unless the support is back according to
// the log. If it fails, it retries later.
func (r *room) releaseLost(ctx context.Context) {
	err := r.tryReleaseLost(ctx)
	r.flush()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.gone, errors.Is(err, errOldServer): // the old server stays in the log
	case err == nil:
		r.absence.scheduled = false
		r.supportMoved(now())
	default:
		r.service.logger.Debug("cannot release a chat whose support is gone", "chat", wire.ShortID(r.chatID), "error", err)
		r.service.timers.after(orphanRetry, r.orphaned)
	}
}

var errOldServer = errors.New("chat: a server of this chat does not know of releases")

func (r *room) tryReleaseLost(ctx context.Context) error {
	if err := r.service.cfg.Broker.Ready(); err != nil {
		return err // perhaps this server is the one that is cut off
	}
	r.mu.Lock()
	after := r.last
	r.mu.Unlock()
	read, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	entries, err := r.fetch(read, after)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.take(after, entries)
	overdue, known := r.overdue(), r.state.Knows(log.Released)
	e := &log.Event{
		Kind: log.Released, ID: r.service.eventID(), At: r.service.now(),
		SupportID: r.state.Support.ID, Lost: true, Seq: r.state.Moves,
	}
	r.mu.Unlock()
	switch {
	case !overdue:
		return nil
	case !known:
		return errOldServer
	}
	r.service.logger.Info("released a chat because its support was gone for too long", "chat", wire.ShortID(r.chatID))
	return r.append(ctx, time.Now().Add(orphanTimeout), e, nil).err
}
