package follow

import (
	"math"
	"sync"

	"livesupport/broker/redisdb"
)

// told has the chats that were reported to this process (Appended), for one listener. It also has
// what the process knows of the listener's due list: if the new entries of a chat will be read in
// any case, the chat need not be put on the list again, and the report costs the store nothing.
type told struct {
	db   *redisdb.DB   // for its clock
	wake chan struct{} // signals that fresh has chats; capacity 1

	mu      sync.Mutex
	visits  map[string]*visiting // visits of this process; a visit reads new entries itself
	fresh   map[string]struct{}  // chats to put on the list
	telling map[string]struct{}  // chats that are being put on the list, without those visited since
	waits   map[string]int64     // chats on the list, with the time before which nobody takes them
	held    map[string]struct{}  // chats in waits with untilBack that were reported again
	epoch   int                  // increases when held is emptied
}

// untilBack in waits means that nobody takes the chat until the listener is back.
const untilBack = math.MaxInt64

// clockSkew is how much the servers' clocks may differ, in milliseconds.
const clockSkew = 250

func newTold(db *redisdb.DB) *told {
	return &told{
		db: db, wake: make(chan struct{}, 1), visits: map[string]*visiting{}, fresh: map[string]struct{}{}, telling: map[string]struct{}{},
		waits: map[string]int64{}, held: map[string]struct{}{},
	}
}

// appended reports new entries in a chat's log.
func (t *told) appended(chatID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.visits[chatID]; v != nil {
		v.more = true
		return
	}
	switch until := t.waits[chatID]; {
	case until == untilBack:
		t.held[chatID] = struct{}{}
	case until > 0 && until > t.db.Now().UnixMilli()+clockSkew: // the visit reads it
	default:
		delete(t.waits, chatID)
		t.tell(chatID)
	}
}

// tell makes the tail put a chat on the list. The caller holds mu.
func (t *told) tell(chatID string) {
	t.fresh[chatID] = struct{}{}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take returns the chats to put on the list now, and the epoch. The caller calls done or failed
// afterwards.
func (t *told) take() (chatIDs []string, epoch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.fresh {
		chatIDs = append(chatIDs, id)
	}
	t.fresh, t.telling = t.telling, t.fresh // telling was empty
	return chatIDs, t.epoch
}

// failed makes the tail put the chats on the list again.
func (t *told) failed(chatIDs []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.telling)
	for _, id := range chatIDs {
		t.tell(id)
	}
}

// done reports that chats are on the list, and the times before which nobody takes them.
func (t *told) done(chatIDs []string, until []int64, epoch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, id := range chatIDs {
		_, telling := t.telling[id]
		if telling && until[i] > 0 && (until[i] != untilBack || epoch == t.epoch) {
			t.waits[id] = until[i]
		}
	}
	clear(t.telling)
}

// begin reports that this process has taken the chat and is about to read it.
func (t *told) begin(v *visiting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, chats := range []map[string]struct{}{t.fresh, t.telling, t.held} {
		delete(chats, v.chatID)
	}
	delete(t.waits, v.chatID)
	t.visits[v.chatID] = v
}

// more reports whether there were new entries since the last call. If there were none, the visit
// counts as ended.
func (t *told) more(v *visiting) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.more {
		v.more = false
		return true
	}
	if t.visits[v.chatID] == v {
		delete(t.visits, v.chatID)
	}
	return false
}

// end reports that a visit has ended, and the time before which nobody takes the chat, 0 if that
// is not known.
func (t *told) end(v *visiting, until int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.visits[v.chatID] != v {
		return
	}
	delete(t.visits, v.chatID)
	if until > 0 {
		t.waits[v.chatID] = until
	} else if v.more {
		t.tell(v.chatID)
	}
}

// again forgets which chats wait. It makes the tail put those on the list again whose entries may
// have gone unread.
func (t *told) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	clear(t.waits)
	for id := range t.held {
		t.tell(id)
	}
	clear(t.held)
}
