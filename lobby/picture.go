package lobby

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// pendingUser is a user in the picture.
type pendingUser struct {
	User
	place     int64
	announced int64             // Lobby.step of the announcement
	shown     [audiences]*shown // made when first needed
	since     time.Time         // beginning of the wait, as far as this lobby knows
}

// shown is a user's JSON.
type shown struct {
	json  []byte // for a snapshot in one message
	frame []byte // the same as its own message
}

// picture is the set of visible users, in the order of their places. It is not safe for
// concurrent use.
type picture struct {
	frame func(payload []byte) []byte
	byID  map[string]*pendingUser // by user id
	order []*pendingUser
}

func newPicture(frame func(payload []byte) []byte) picture {
	return picture{frame: frame, byID: map[string]*pendingUser{}}
}

func (p *picture) get(userID string) *pendingUser { return p.byID[userID] }

func (p *picture) len() int { return len(p.order) }

// add inserts a user and reports whether the user was new.
func (p *picture) add(u User, place, step int64) bool {
	if p.byID[u.UserID] != nil {
		return false
	}
	added := &pendingUser{User: u, place: place, announced: step, since: time.Now()}
	p.byID[u.UserID] = added
	p.order = slices.Insert(p.order, p.index(place), added)
	return true
}

// change takes over a new record of a user and returns the user. It returns nil if the user
// is not in the picture or the record is not new.
func (p *picture) change(user User) *pendingUser {
	u := p.byID[user.UserID]
	if u == nil || user == u.User {
		return nil
	}
	u.User, u.shown = user, [audiences]*shown{}
	return u
}

// show returns a user's JSON for an audience.
func (p *picture) show(u *pendingUser, to audience) *shown {
	to = u.shownAs(to)
	if u.shown[to] == nil {
		b, err := json.Marshal(u.shownTo(to))
		if err != nil {
			panic(err) // strings and JSON were checked on arrival
		}
		u.shown[to] = &shown{b, p.frame(b)}
	}
	return u.shown[to]
}

// remove removes a user and returns it, or nil if it was not there.
func (p *picture) remove(userID string) *pendingUser {
	u := p.byID[userID]
	if u == nil {
		return nil
	}
	delete(p.byID, userID)
	// Places are unique in the queue; check the neighbours all the same.
	for i := p.index(u.place); i < len(p.order); i++ {
		if p.order[i] == u {
			p.order = slices.Delete(p.order, i, i+1)
			break
		}
	}
	return u
}

// index returns the index of the first user at or behind a place.
func (p *picture) index(place int64) int {
	i, _ := slices.BinarySearchFunc(p.order, place, func(u *pendingUser, place int64) int {
		return int(u.place - place)
	})
	return i
}

// snapshot makes the frames of the picture for an audience with these teams: one message
// for each user, or one for all.
func (p *picture) snapshot(batch bool, to audience, teams teamSet) []byte {
	users := p.order
	if teams != "" {
		users = nil
		for _, u := range p.order {
			if teams.sees(u.Team) {
				users = append(users, u)
			}
		}
	}
	if !batch {
		frames := make([][]byte, len(users))
		for i, u := range users {
			frames[i] = p.show(u, to).frame
		}
		return slices.Concat(frames...)
	}
	size := 64
	for _, u := range users {
		size += len(p.show(u, to).json) + 1
	}
	b := append(make([]byte, 0, size), `{"type":"PendingUsers","args":{"users":[`...)
	for i, u := range users {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, p.show(u, to).json...)
	}
	return p.frame(append(b, `]}}`...))
}
