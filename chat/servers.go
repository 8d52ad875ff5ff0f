package chat

import (
	"context"
	"maps"
	"slices"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

const (
	// serverLease is how long a server may go without renewing its lease before it counts as
	// dead. A server takes up to 5 s to notice a silent broker. Together with serverRenewal
	// that makes 13.5 s of the 15 s within which a server's death must be noticed. One renewal
	// may fail, and may take its time to do so.
	serverLease = 7 * time.Second
	// serverRenewal is how often leases are renewed and checked.
	serverRenewal = 1500 * time.Millisecond
)

// servers tracks which chat servers of the deployment are alive. Each has a lease in the
// store. It renews the lease while it also reaches the broker, and while one of its chats
// exchanges signals or has a support. Only one goroutine may use it.
type servers struct {
	db   *redisdb.DB
	id   string              // this one
	live map[string]struct{} // at the last check
	held bool                // this server may have a lease
	// When the last check was, and since when checks have come without a gap.
	looked, since moment
	// silent is the last time that the broker was silent, so that no server could renew.
	silent moment
	// missing are servers in Service.elsewhere that were not alive at the last check.
	missing map[string]struct{}
}

func (s *servers) key() string { return s.db.Key("chat:{servers}") }

// renew renews this server's lease if it may, and checks all leases.
func (s *servers) renew(ctx context.Context, may bool) error {
	at := s.db.Now().UnixMilli()
	if !may {
		s.silent = now()
	}
	var cmds []redis.Cmder
	if may {
		s.held = true
		cmds = append(cmds,
			redis.NewIntCmd(ctx, "zadd", s.key(), at+serverLease.Milliseconds(), s.id),
			redis.NewBoolCmd(ctx, "pexpire", s.key(), (2*serverLease).Milliseconds()))
	}
	list := redis.NewStringSliceCmd(ctx, "zrangebyscore", s.key(), at, "+inf")
	cmds = append(cmds, redis.NewIntCmd(ctx, "zremrangebyscore", s.key(), "-inf", at-serverLease.Milliseconds()), list)
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
	if s.looked.since() > serverLease-serverRenewal {
		s.since = now()
	}
	s.looked = now()
	return nil
}

// end gives this server's lease back.
func (s *servers) end(ctx context.Context) error {
	if !s.held {
		return nil
	}
	s.held = false
	return s.db.Do(ctx, redis.NewIntCmd(ctx, "zrem", s.key(), s.id))
}

// dead reports whether a server that was heard at a time has died since. If this server could
// not check for long, perhaps the others could not renew either, so dead gives them time.
func (s *servers) dead(id string, heard moment) bool {
	return !s.lives(id) && heard.since() > serverLease && s.since.since() > 2*serverRenewal
}

// lost is dead for decisions with lasting effects. If the broker was silent for all servers,
// lost gives each of them a whole lease to come back.
func (s *servers) lost(id string, heard moment) bool {
	return s.dead(id, heard) && s.silent.since() > serverLease
}

func (s *servers) lives(id string) bool {
	_, lives := s.live[id]
	return lives
}

// keepServers renews this server's lease while it is needed, and makes the rooms forget the
// reports of dead servers.
func (s *Service) keepServers(ctx context.Context) {
	all := servers{db: s.db, id: s.id, missing: map[string]struct{}{}}
	for ctx.Err() == nil {
		pause := serverRenewal
		if err := s.lookAtServers(ctx, &all); err != nil {
			s.logger.Debug("cannot check the servers' leases", "error", err)
			pause = serverRenewal / 8 // renew soon after the store is back
		}
		sleep(ctx, pause)
	}
	last, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := all.end(last); err != nil {
		s.logger.Debug("cannot give back the server's lease", "error", err)
	}
}

// lookAtServers renews the lease and checks all leases, once.
func (s *Service) lookAtServers(ctx context.Context, all *servers) error {
	rooms, needed := s.listeningRooms()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if !needed {
		return all.end(ctx)
	}
	if err := all.renew(ctx, s.cfg.Broker.Ready() == nil); err != nil {
		return err
	}
	for _, r := range rooms {
		r.bury(all)
	}
	s.lookElsewhere(all)
	return nil
}

// listeningRooms returns the rooms that exchange signals. The lease is needed while there
// are any, and while other servers rely on a support's socket here.
func (s *Service) listeningRooms() (rooms []*room, leaseNeeded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms = slices.Collect(maps.Keys(s.listening))
	return rooms, len(rooms) > 0 || s.cfg.SupportGrace > 0 && len(s.held) > 0
}

// listens and deaf record whether a room exchanges signals.
func (s *Service) listens(r *room) {
	s.mu.Lock()
	s.listening[r] = struct{}{}
	s.mu.Unlock()
}

func (s *Service) deaf(r *room) {
	s.mu.Lock()
	delete(s.listening, r)
	s.mu.Unlock()
}
