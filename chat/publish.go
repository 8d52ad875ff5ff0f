package chat

import (
	"context"

	"livesupport/chat/log"
)

// news is an entry to publish to the other servers. With a nil entry, it is only the position
// that the log has reached.
type news struct {
	traced context.Context // context with the parent span of the publication
	seq    int64
	entry  []byte
}

// maxNews bounds the queue of a chat's news. When it is full, only the position is published,
// and the other servers read the log.
const maxNews = 8

// publish queues a new entry for the other servers that attend the chat, so that the writer
// of the entry need not wait for the broker. It publishes the Join of a support even without
// other servers: that is rare, and outside observers may want to know it.
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

// publishNews publishes until the queue is empty.
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
