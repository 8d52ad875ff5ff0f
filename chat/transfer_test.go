package chat

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/chat/log"
	"livesupport/chat/log/logtest"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

func graceOf(d time.Duration) func(*Config) { return func(cfg *Config) { cfg.SupportGrace = d } }

const transfers = `{"type":"Transfer","args":{"to":"queue"}}`

// lastOf is the last frame that a peer got, by what it begins with.
func (p *peer) last(prefix string) string {
	if frames := p.frames(prefix); len(frames) > 0 {
		return frames[len(frames)-1]
	}
	return ""
}

func (p *peer) closedWith() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code
}

// logOf reads a chat's log from the store.
func (d *deployment) logOf(u lobby.User) (entries []log.Event) {
	d.t.Helper()
	list, err := d.client.LRange(d.t.Context(), "chat:{"+u.ChatID+"}", 0, -1).Result()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, entry := range list {
		entries = append(entries, log.Decode([]byte(entry)))
	}
	return entries
}

// write appends an entry to a chat's log as another server would that tells nobody.
func (d *deployment) write(u lobby.User, e log.Event) {
	d.t.Helper()
	if err := d.client.RPush(d.t.Context(), "chat:{"+u.ChatID+"}", e.Encode()).Err(); err != nil {
		d.t.Fatal(err)
	}
}

// queued reports whether a user is in the queue.
func (d *deployment) queued(u lobby.User) bool {
	d.t.Helper()
	s, err := d.services[0].queue.Stand(d.t.Context(), []string{u.ChatID})
	if err != nil {
		d.t.Fatal(err)
	}
	return s.Positions[0] >= 0
}

// TestHandingOver lets users and supports come and go on three servers. Supports give the chat
// away, lose it and take it back, whatever they have been told, through a broker that loses,
// doubles and reorders. Nobody gets a message of a support who did not have the chat at that place
// in the log; every server arrives at the log's state; and the user is in the queue exactly while
// they are there and nobody has the chat.
func TestHandingOver(t *testing.T) {
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			d := deploy(t, 3, time.Minute, seed, graceOf(100*time.Millisecond))
			random := rand.New(rand.NewSource(seed))
			u := d.register()
			server := func() *Service { return d.services[random.Intn(3)] }
			const listed = `["transfer","close"]`
			watcher := server().connect(u.ChatID).joinUserWith(u, listed)
			peers, users := []*peer{watcher}, []*peer{watcher}
			var supports []*peer // some of them have the chat, or had it
			leave := func(from *[]*peer) {
				if i := len(*from) - 1; i >= 0 {
					(*from)[i].session.Closed()
					*from = (*from)[:i]
				}
			}
			for step := range 150 {
				switch choice := random.Intn(12); {
				case choice == 0 && len(users) < 4:
					users = append(users, server().connect(u.ChatID).joinUserWith(u, `[]`))
					peers = append(peers, users[len(users)-1])
				case choice == 1:
					leave(&users)
				case choice == 2 && len(supports) < 5:
					supports = append(supports, server().connect(u.ChatID).joinSupportWith(u, "", listed))
					peers = append(peers, supports[len(supports)-1])
				case choice == 3:
					leave(&supports)
				case choice == 4 && len(supports) > 0: // maybe of one who has lost the chat
					id := supports[random.Intn(len(supports))].session.supportID
					supports = append(supports, server().connect(u.ChatID).joinSupportWith(u, id, listed))
					peers = append(peers, supports[len(supports)-1])
				case choice == 5 && len(supports) > 0:
					supports[random.Intn(len(supports))].send(transfers)
				case choice == 6:
					time.Sleep(time.Duration(random.Intn(200)) * time.Millisecond)
				default:
					var senders sync.WaitGroup
					for i, p := range slices.Concat(users, supports) {
						from := log.RoleSupport
						if i < len(users) {
							from = log.RoleUser
						}
						senders.Go(func() { p.say(from, fmt.Sprint("step ", step, " of ", i)) })
					}
					senders.Wait()
				}
			}
			for len(users) > 0 {
				leave(&users)
			}
			users = append(users, d.services[0].connect(u.ChatID).joinUserWith(u, listed))
			d.broker.gap()

			var want log.State
			stale := map[string]bool{}
			releases, late := 0, 0
			settled := func() bool { // and nobody is about to lose the chat
				entries := d.logOf(u)
				want, stale, releases, late = log.State{}, map[string]bool{}, 0, 0
				for _, e := range entries {
					support := want.Support.ID
					switch outcome := want.Apply(e); {
					case outcome == log.Refused && e.Kind == log.Messaged:
						stale[e.Content] = true
						late++
					case outcome == log.Applied && e.Kind == log.Released:
						releases++
					case outcome == log.Applied && e.Kind == log.Messaged && e.From == log.RoleSupport && e.SupportID != support:
						t.Fatalf("support %q wrote in the chat of %q", e.SupportID, support)
					}
				}
				return d.queued(u) == (want.Support.ID == "")
			}
			for range 3 { // beyond the grace
				eventually(t, "the queue has the user unless somebody has the chat", settled)
				time.Sleep(100 * time.Millisecond)
			}
			d.broker.gap()
			for i, s := range d.services {
				s.mu.Lock()
				r := s.rooms[u.ChatID]
				s.mu.Unlock()
				if r == nil {
					continue
				}
				eventually(t, fmt.Sprint("server ", i, " agrees"), func() bool {
					settled()
					r.mu.Lock()
					defer r.mu.Unlock()
					return reflect.DeepEqual(r.state, want) && r.waiting == (want.Support.ID == "" && r.presentHere(log.RoleUser) != unknown)
				})
			}
			for _, p := range peers {
				for _, m := range p.messages() {
					_, content, _ := strings.Cut(m, `"content":"`)
					content, _, _ = strings.Cut(content, `"`)
					if stale[content] {
						t.Errorf("%s was delivered", m)
					}
				}
			}
			t.Logf("%d entries, %d messages, %d releases, %d stale messages", len(d.logOf(u)), len(want.Messages), releases, late)
			if releases == 0 {
				t.Error("nothing has been released")
			}
			for _, p := range slices.Concat(users, supports) {
				p.session.Closed()
			}
		})
	}
}

// A server that dies has no time to say that its support is gone.
func TestOrphanOfADeadServer(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, time.Minute, 1, graceOf(200*time.Millisecond))
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	user := d.services[1].connect(u.ChatID).joinUserWith(u, `["transfer"]`)
	support := d.services[0].connect(u.ChatID).joinSupportWith(u, "", `["transfer"]`)
	r := user.session.room
	eventually(t, "the user's server watches the support's", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.absence.heard = now().add(-2 * serverLease)
		return slices.Equal(r.absence.servers, []string{d.services[0].id})
	})
	long := now().add(-time.Minute)
	nobody := &servers{db: d.services[1].db, since: long, missing: map[string]struct{}{}}
	back := &servers{since: long, live: map[string]struct{}{d.services[0].id: {}}, missing: map[string]struct{}{d.services[0].id: {}}}
	d.services[1].lookElsewhere(nobody)
	time.Sleep(100 * time.Millisecond)
	d.services[1].lookElsewhere(back) // it was only slow
	time.Sleep(300 * time.Millisecond)
	if left := user.frames(`{"type":"SupportLeft"`); len(left) > 0 {
		t.Fatalf("told of a support who was there: %v", left)
	}
	nobody.silent = now()
	d.services[1].lookElsewhere(nobody) // where nobody could renew
	time.Sleep(300 * time.Millisecond)
	if left := user.frames(`{"type":"SupportLeft"`); len(left) > 0 {
		t.Fatalf("told of a support whose server could not renew: %v", left)
	}
	nobody.silent = 0
	d.services[1].lookElsewhere(nobody)
	eventually(t, "lost", func() bool { return strings.Contains(user.last(`{"type":"SupportLeft"`), `"lost"`) })
	eventually(t, "the support's socket is closed", func() bool { return support.closedWith() == 1000 })
	eventually(t, "the user waits", func() bool { return d.queued(u) })
	support.say(log.RoleSupport, "stale")
	if got := support.last(`{"type":"Error"`); !strings.Contains(got, `"forbidden"`) {
		t.Errorf("a stale message is answered with %s", got)
	}
	if len(user.messages()) > 0 {
		t.Error("a stale message was delivered")
	}
}

// A support who is back, according to the log, has not lost the chat, whatever the server that
// would release it has heard by then.
func TestOrphanWhoIsBackByTheLog(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, time.Minute, 1, graceOf(150*time.Millisecond))
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUserWith(u, `["transfer"]`)
	support := d.services[0].connect(u.ChatID).joinSupport(u, "")
	support.session.Closed()
	d.write(u, log.Event{Kind: log.Connected, ID: "other-1", Server: "other", SupportID: support.session.supportID})
	time.Sleep(500 * time.Millisecond)
	if left := user.frames(`{"type":"SupportLeft"`); len(left) > 0 {
		t.Errorf("told of a support who is back: %v", left)
	}
	d.write(u, logtest.Disconnects("other", support.session.supportID))
	d.broker.gap()
	eventually(t, "lost", func() bool { return user.last(`{"type":"SupportLeft"`) != "" })
}

// Reloads are not in the log, and what was told is not told again.
func TestLogOfComingAndGoing(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, time.Minute, 1, graceOf(2*time.Second))
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUserWith(u, `["transfer"]`)
	support := d.services[0].connect(u.ChatID).joinSupport(u, "")
	id := support.session.supportID
	told := func() (kinds string) {
		for _, e := range d.logOf(u) {
			if e.Kind == log.Connected || e.Kind == log.Disconnected {
				kinds += fmt.Sprint(slices.IndexFunc(d.services, func(s *Service) bool { return s.id == e.Server }), e.Kind, " ")
			}
		}
		return kinds
	}
	for range 5 {
		support.session.Closed()
		support = d.services[0].connect(u.ChatID).joinSupport(u, id)
	}
	other := d.services[1].connect(u.ChatID).joinSupport(u, id)
	eventually(t, "it is there, too", func() bool { return told() == "1connected " })
	support.session.Closed()
	eventually(t, "it is gone", func() bool { return told() == "1connected 0disconnected " })
	other.session.Closed()
	other = d.services[1].connect(u.ChatID).joinSupport(u, id)
	time.Sleep(1500 * time.Millisecond)
	if got := told(); got != "1connected 0disconnected " {
		t.Errorf("a reload is told: %s", got)
	}
	other.session.Closed()
	eventually(t, "lost", func() bool { return user.last(`{"type":"SupportLeft"`) != "" })
}

// A server that knows no releases attends the chat. It would go on with the support.
func TestTransferBesideAnOldServer(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, time.Minute, 1, graceOf(100*time.Millisecond))
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUserWith(u, `["transfer"]`)
	d.write(u, logtest.Attends("old", 1))
	support := d.services[0].connect(u.ChatID).joinSupport(u, "")
	support.send(transfers)
	if got := support.last(`{"type":"Error"`); !strings.Contains(got, `"unavailable"`) {
		t.Errorf("a Transfer is answered with %q", got)
	}
	support.session.Closed()
	time.Sleep(400 * time.Millisecond)
	if left := user.frames(`{"type":"SupportLeft"`); len(left) > 0 {
		t.Errorf("told %v", left)
	}
}

// If a chat takes no more notes, it is given away without one, or not at all.
func TestTransferWithOneNoteTooMany(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	support := d.services[0].connect(u.ChatID).joinSupport(u, "")
	for i := range log.MaxNotes {
		d.write(u, logtest.Notes(log.RoleObserver, "", fmt.Sprint(i), "x"))
	}
	d.broker.gap()
	support.send(`{"type":"Transfer","args":{"to":"queue","note":"one more"}}`)
	if got := support.last(`{"type":"Error"`); !strings.Contains(got, `"chat_full"`) || support.closedWith() != 0 {
		t.Errorf("answered with %q, close %d", got, support.closedWith())
	}
	support.send(transfers)
	if support.closedWith() != 1000 {
		t.Errorf("close %d", support.closedWith())
	}
}

// The queue may still have to be told of a support who no longer has the chat.
func TestReleaseForgetsThatItWasTaken(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[0].connect(u.ChatID).joinSupport(u, "")
	d.store.Cut()
	d.services[0].unqueue(u.ChatID, &lobby.Held{User: u, SupportID: support.session.supportID})
	time.Sleep(50 * time.Millisecond)
	d.store.Heal()
	support.send(transfers)
	eventually(t, "the user waits", func() bool { return d.queued(u) })
	time.Sleep(time.Second)
	if !d.queued(u) {
		t.Error("the user does not wait any more")
	}
	_ = user
}

// The queue is told who has which chat as soon as somebody wants to know, even if nobody did when
// the support joined; and it is told that they no longer have it.
func TestHolding(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, time.Minute, 1, func(cfg *Config) { cfg.AgentsNeedToken = true })
	d.broker.set(func(l *lossy) { l.reliable = true })
	queue := d.services[0].queue
	has := func(u lobby.User) bool {
		t.Helper()
		has, err := queue.Has(t.Context(), "vika", u.ChatID)
		if err != nil {
			t.Fatal(err)
		}
		return has
	}
	var chats []lobby.User
	var supports []*peer
	for range 3 {
		u := d.register()
		d.services[1].connect(u.ChatID).joinUserWith(u, `["close"]`)
		p := &peer{}
		p.session = d.services[0].Connect(u.ChatID, p, &wire.Identity{Subject: "vika", Name: "Vika"})
		p.joinSupportWith(u, "", `["close"]`)
		chats, supports = append(chats, u), append(supports, p)
	}
	if has(chats[0]) {
		t.Error("told though nobody wants to know")
	}
	if _, err := queue.Overview(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, u := range chats {
		eventually(t, "held", func() bool { return has(u) })
	}
	supports[0].send(transfers)
	eventually(t, "given on", func() bool { return !has(chats[0]) })
	supports[1].send(`{"type":"CloseChat"}`)
	eventually(t, "closed", func() bool { return !has(chats[1]) })
	if err := d.client.Del(t.Context(), "chat:{"+chats[2].ChatID+"}").Err(); err != nil {
		t.Fatal(err)
	}
	d.broker.gap()
	eventually(t, "gone", func() bool { return !has(chats[2]) })
}
