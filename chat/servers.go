package chat

import (
	"context"
	"slices"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

const (
	// A server that has not renewed its lease for so long counts as dead. That a broker
	// is silent takes it up to 5 s to notice: with the look 13.5 s in all, of the 15 in
	// which the death of a server must show. One renewal may fail, and take its time
	// for that.
	serverLease = 7 * time.Second
	// serverRenewal is how often leases are renewed and looked at.
	serverRenewal = 1500 * time.Millisecond
)

// servers is which chat servers of the deployment live: each has a lease in the
// store, which it renews while it reaches the broker, too, and while one of its
// chats has servers that tell each other who is there. For one goroutine.
type servers struct {
	db   *redisdb.DB
	id   string              // this one
	live map[string]struct{} // at the last look
	held bool                // there may be a lease of this one
	// When the last look was, and since when there has been one all the time.
	looked, since time.Time
}

func (s *servers) key() string { return s.db.Key("chat:{servers}") }

// renew renews the own lease if it may, and looks at all.
func (s *servers) renew(ctx context.Context, may bool) error {
	now := s.db.Now().UnixMilli()
	var cmds []redis.Cmder
	if may {
		s.held = true
		cmds = append(cmds,
			redis.NewIntCmd(ctx, "zadd", s.key(), now+serverLease.Milliseconds(), s.id),
			redis.NewBoolCmd(ctx, "pexpire", s.key(), (2*serverLease).Milliseconds()))
	}
	list := redis.NewStringSliceCmd(ctx, "zrangebyscore", s.key(), now, "+inf")
	cmds = append(cmds, redis.NewIntCmd(ctx, "zremrangebyscore", s.key(), "-inf", now-serverLease.Milliseconds()), list)
	if err := s.db.Do(ctx, cmds...); err != nil {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	s.live = make(map[string]struct{}, len(list.Val()))
	for _, id := range list.Val() {
		s.live[id] = struct{}{}
	}
	if time.Since(s.looked) > serverLease-serverRenewal {
		s.since = time.Now()
	}
	s.looked = time.Now()
	return nil
}

// end gives the own lease back.
func (s *servers) end(ctx context.Context) error {
	if !s.held {
		return nil
	}
	s.held = false
	return s.db.Do(ctx, redis.NewIntCmd(ctx, "zrem", s.key(), s.id))
}

// dead reports whether a server that was heard at a time has died since. Where this
// one could not look for long, the others may not have been able to renew, either:
// they have time to.
func (s *servers) dead(id string, heard time.Time) bool {
	return !s.lives(id) && time.Since(heard) > serverLease && time.Since(s.since) > 2*serverRenewal
}

func (s *servers) lives(id string) bool {
	_, lives := s.live[id]
	return lives
}

// keepServers holds this server's lease while it is needed, and has the rooms forget
// what servers have told that have died.
func (s *Service) keepServers(ctx context.Context) {
	all := servers{db: s.db, id: s.id}
	for ctx.Err() == nil {
		pause := serverRenewal
		if err := s.lookAtServers(ctx, &all); err != nil {
			s.logger.Debug("the servers' leases", "error", err)
			pause = serverRenewal / 8 // there is no time to lose once the store is back
		}
		sleep(ctx, pause)
	}
	last, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := all.end(last); err != nil {
		s.logger.Debug("giving back the server's lease", "error", err)
	}
}

// lookAtServers renews the lease and looks, once.
func (s *Service) lookAtServers(ctx context.Context, all *servers) error {
	rooms := s.listeningRooms()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if len(rooms) == 0 {
		return all.end(ctx)
	}
	if err := all.renew(ctx, s.cfg.Broker.Ready() == nil); err != nil {
		return err
	}
	for _, r := range rooms {
		r.bury(all)
	}
	return nil
}

// listeningRooms are those that take part in their chats' signals.
func (s *Service) listeningRooms() []*room {
	s.mu.Lock()
	rooms := make([]*room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	return slices.DeleteFunc(rooms, func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.signals.subscription == nil
	})
}
