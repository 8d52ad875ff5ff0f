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
	since     time.Time         // of the wait, as far as this lobby knows
	told      time.Time         // when agents were last told of a change
}

// shown is a user's JSON.
type shown struct {
	json  []byte // as a snapshot has it in one message
	frame []byte // the same as a message of its own
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
	added := &pendingUser{User: u, place: place, announced: step, since: time.Now()}
	p.byID[u.UserID] = added
	p.order = slices.Insert(p.order, p.index(place), added)
	return true
}

// change takes over what is known of a user now, and returns them; nil if they are
// not there or it is known already.
func (p *picture) change(user User) *pendingUser {
	u := p.byID[user.UserID]
	if u == nil || user == u.User {
		return nil
	}
	u.User, u.shown = user, [audiences]*shown{}
	return u
}

// show is a user as an audience gets them.
func (p *picture) show(u *pendingUser, to audience) *shown {
	if to == verified && !u.Verified {
		to = plain
	}
	if u.shown[to] == nil {
		b, err := json.Marshal(u.shownTo(to))
		if err != nil {
			panic(err) // strings and JSON have been checked when they came
		}
		u.shown[to] = &shown{b, p.frame(b)}
	}
	return u.shown[to]
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

// snapshot makes the frames that show the picture to an audience: a message for
// each user, or one for all.
func (p *picture) snapshot(batch bool, to audience) []byte {
	if !batch {
		frames := make([][]byte, len(p.order))
		for i, u := range p.order {
			frames[i] = p.show(u, to).frame
		}
		return slices.Concat(frames...)
	}
	size := 64
	for _, u := range p.order {
		size += len(p.show(u, to).json) + 1
	}
	b := append(make([]byte, 0, size), `{"type":"PendingUsers","args":{"users":[`...)
	for i, u := range p.order {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, p.show(u, to).json...)
	}
	return p.frame(append(b, `]}}`...))
}
