package chat

import (
	"context"

	"livesupport/chat/log"
)

// news is an entry that the other servers are to be told of, or, with a nil entry,
// only how far the log goes.
type news struct {
	traced context.Context // says below which span it is published
	seq    int64
	entry  []byte
}

// maxNews bounds what waits to be published of a chat. When it is reached, the
// position alone is told, and the others read the log.
const maxNews = 8

// publish tells the other servers that attend the chat of a new entry, behind what
// is still being told of it: whoever wrote the entry need not wait for the broker.
// That a support has joined is told in any case: it is rare, and observers may
// want to know.
func (r *room) publish(ctx context.Context, kind log.Kind, a appended, entry []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case a.late:
		r.service.tellLater(r.chatID, r.known)
		return
	case kind != log.SupportJoined && !r.state.AttendedByOthers(r.service.id):
		return
	case len(r.news) == maxNews:
		clear(r.news)
		r.news = append(r.news[:0], news{ctx, a.seq, nil})
	default:
		r.news = append(r.news, news{ctx, a.seq, entry})
	}
	if !r.publishing {
		r.publishing = r.service.start(r.publishNews)
	}
}

// publishNews publishes until nothing is left.
func (r *room) publishNews(context.Context) {
	for {
		r.mu.Lock()
		todo := r.news
		r.news = nil
		if len(todo) == 0 {
			r.publishing = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		for _, n := range todo {
			r.service.publish(n.traced, r.chatID, n.seq, n.entry)
		}
	}
}
