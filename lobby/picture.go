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
	announced int64 // Lobby.step of the announcement
	plain     shown
	detailed  shown     // for agents who have asked who is verified
	since     time.Time // of the wait, as far as this lobby knows
}

// shown is a user's JSON.
type shown struct {
	json  []byte // as a snapshot has it in one message
	frame []byte // the same as a message of its own
}

func (u *pendingUser) shown(detailed bool) *shown {
	if detailed {
		return &u.detailed
	}
	return &u.plain
}

// picture is the set of users to be seen, in the order of their places. Not
// safe for concurrent use.
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

// add inserts a user and reports whether they were new.
func (p *picture) add(u User, place, step int64) bool {
	if p.byID[u.UserID] != nil {
		return false
	}
	b, err := json.Marshal(u)
	if err != nil {
		return false
	}
	plain := shown{b, p.frame(b)}
	detailed := plain
	if u.Verified {
		if b, err = u.detailed(); err != nil {
			return false
		}
		detailed = shown{b, p.frame(b)}
	}
	added := &pendingUser{u, place, step, plain, detailed, time.Now()}
	p.byID[u.UserID] = added
	p.order = slices.Insert(p.order, p.index(place), added)
	return true
}

// remove takes a user out and returns them, nil if they were not there.
func (p *picture) remove(userID string) *pendingUser {
	u := p.byID[userID]
	if u == nil {
		return nil
	}
	delete(p.byID, userID)
	// Places are unique in the queue; look at the neighbours all the same.
	for i := p.index(u.place); i < len(p.order); i++ {
		if p.order[i] == u {
			p.order = slices.Delete(p.order, i, i+1)
			break
		}
	}
	return u
}

// index returns where the first user at or behind a place stands.
func (p *picture) index(place int64) int {
	i, _ := slices.BinarySearchFunc(p.order, place, func(u *pendingUser, place int64) int {
		return int(u.place - place)
	})
	return i
}

// snapshot makes the frames that show the picture: a message for each user, or
// one for all, for agents who have asked who is verified (detailed) or not.
func (p *picture) snapshot(batch, detailed bool) []byte {
	if !batch {
		frames := make([][]byte, len(p.order))
		for i, u := range p.order {
			frames[i] = u.shown(detailed).frame
		}
		return slices.Concat(frames...)
	}
	size := 64
	for _, u := range p.order {
		size += len(u.shown(detailed).json) + 1
	}
	b := append(make([]byte, 0, size), `{"type":"PendingUsers","args":{"users":[`...)
	for i, u := range p.order {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, u.shown(detailed).json...)
	}
	return p.frame(append(b, `]}}`...))
}
