package chat

import (
	"testing"
	"time"
)

// TestReceiveNow: what is handled at once has its effect, and what is not has none, until
// Receive gets it.
func TestReceiveNow(t *testing.T) {
	const begins, ends = `{"type":"Typing","args":{"typing":true}}`, `{"args":{"typing":false}, "type":"Typing"}`
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	stranger := d.services[0].connect(u.ChatID)
	user := d.services[0].connect(u.ChatID).joinUserWith(u, `["typing"]`)
	support := d.services[0].connect(u.ChatID).joinSupportWith(u, "", `["typing"]`)
	observer := d.services[0].connect(u.ChatID)
	observer.send(`{"type":"Join","args":{"userId":%q,"from":"Observer","supportUserName":"Boss"}}`, u.UserID)
	told := func(p *peer) int { return len(p.frames(`{"type":"Typing"`)) }
	for _, test := range []struct {
		name  string
		from  *peer
		frame string
		now   bool
		told  int // the support, by then
	}{
		{"begins", user, begins, true, 1},
		{"goes on", user, begins, true, 1},
		{"ends", user, ends, true, 2},
		{"a pong", user, "pong:user", true, 2},
		{"a pong in JSON", user, `{"type":"Pong"}`, true, 2},
		{"no args", user, `{"type":"Typing"}`, false, 2},
		{"wrong args", user, `{"type":"Typing","args":{"typing":1}}`, false, 2},
		{"no JSON", user, `{"type":"Typing"`, false, 2},
		{"another type in the end", user, `{"type":"Typing","args":{"typing":true},"type":"Rate"}`, false, 2},
		{"a message", user, `{"type":"ChatMessage","args":{"from":"User","content":"Typing"}}`, false, 2},
		{"not joined", stranger, begins, false, 2},
		{"observer", observer, begins, false, 2},
	} {
		before := len(test.from.frames(""))
		if now := test.from.session.ReceiveNow([]byte(test.frame)); now != test.now {
			t.Errorf("%s: received %v, want %v", test.name, now, test.now)
		}
		if got := told(support); got != test.told {
			t.Errorf("%s: the support was told %d times, want %d", test.name, got, test.told)
		}
		if got := len(test.from.frames("")) - before; got != 0 {
			t.Errorf("%s: answered %d times", test.name, got)
		}
	}
	if got := told(user) + told(stranger) + told(observer); got != 0 {
		t.Errorf("others were told %d times", got)
	}

	r := user.session.room
	r.mu.Lock()
	waited := !support.session.ReceiveNow([]byte(begins))
	r.mu.Unlock()
	if !waited {
		t.Error("received while somebody held the room's lock")
	}
	support.send(begins)
	if told(user) != 1 {
		t.Error("the user is not told")
	}
}
