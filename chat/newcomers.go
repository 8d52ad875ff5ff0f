package chat

import (
	"sync"
	"time"

	"livesupport/chat/log"
)

const (
	// newcomersKept is for how long, and maxNewcomers of how many chats, a server keeps
	// what it has registered.
	newcomersKept = 30 * time.Second
	maxNewcomers  = 1024
)

// newcomers are the logs of chats that were registered here a moment ago, as they were
// then: for the first Join they need not be read. Whether the chat still lives, and
// whether more has happened, the first append tells.
type newcomers struct {
	keep time.Duration

	mu     sync.Mutex
	byChat map[string]newcomer
	order  []string // by age; those that have been taken are still in it
}

type newcomer struct {
	since moment // from before the chat was registered
	log   []log.Event
}

// newNewcomers keeps chats that live for ttl for a part of that: none is kept whose time
// is over.
func newNewcomers(ttl time.Duration) *newcomers {
	return &newcomers{keep: min(newcomersKept, ttl/2), byChat: map[string]newcomer{}}
}

func (n *newcomers) add(chatID string, since moment, events []log.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.order) == maxNewcomers {
		delete(n.byChat, n.order[0])
		n.order = n.order[1:]
	}
	n.byChat[chatID] = newcomer{since, events}
	n.order = append(n.order, chatID)
}

// log is that of a chat, nil if it is not known.
func (n *newcomers) log(chatID string) []log.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	if one := n.byChat[chatID]; one.since.since() < n.keep {
		return one.log
	}
	return nil
}

// joined forgets a chat, of whose log there is more by now.
func (n *newcomers) joined(chatID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.byChat, chatID)
}

// forget forgets those whose users have not come in time.
func (n *newcomers) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.order) > 0 {
		oldest, known := n.byChat[n.order[0]]
		if known && oldest.since.since() < n.keep {
			return
		}
		delete(n.byChat, n.order[0])
		n.order = n.order[1:]
	}
}
