package faults_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each side of a chat has a page that lists no feature, and one that lists all. The pages
// without features get byte for byte what they get in a chat where no page lists any.
func TestOldBesideNew(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		near, far := w.startChat("TYPING_PREVIEW=true"), w.startChat("TYPING_PREVIEW=true")
		old := w.mixed(near, far, false)
		mixed := w.mixed(near, far, true)
		if len(old) == 0 || len(old) != len(mixed) {
			w.Fatalf("%d and %d sockets", len(old), len(mixed))
		}
		frames := 0
		for i := range old {
			frames += len(old[i])
			if !slices.Equal(old[i], mixed[i]) {
				w.Errorf("socket %d got, beside new ones:\n%s\ninstead of:\n%s", i, strings.Join(mixed[i], "\n"), strings.Join(old[i], "\n"))
			}
		}
		w.Logf("%s: %d old sockets got the same %d frames beside old and beside new ones", w.Name(), len(old), frames)
		w.alive(near, far)
	})
}

var everything = []string{"messageId", "receipts", "typing", "preview", "presence", "queue", "close", "rating"}

// mixed is a chat of four pages, two on each side. With features, the second page of each
// side lists and uses all of them. mixed returns what the sockets of the first pages
// received, without what differs between any two chats.
func (w *world) mixed(near, far *server, features bool) (frames [][]string) {
	w.Helper()
	v := w.register(near.addr, "Nika")
	supportID := ""
	join := func(s *server, role string, newer bool) *peer {
		args := map[string]any{"userId": v.UserID, "username": "Nika", "from": role, "supportId": supportID}
		if role == "Support" {
			args["supportUserName"] = "Vika"
		}
		if newer && features {
			args["features"], args["heartbeat"] = everything, 5
		}
		return w.open(s.addr, "/chat/"+v.ChatID, "pong:"+strings.ToLower(role), encode("Join", args))
	}
	got := func(p *peer, what string) {
		w.Helper()
		eventually(w.T, answerWithin, fmt.Sprintf("%s comes", what), func() bool { return strings.Contains(strings.Join(p.all(), "\n"), what) })
	}
	user := join(near, "User", false)
	got(user, "UserJoined")
	newUser := join(far, "User", true)
	got(newUser, "UserJoined")
	everybody := []*peer{user, newUser}
	number := 0
	say := func(p *peer, role string, newer bool) {
		w.Helper()
		number++
		text := fmt.Sprintf("line %d, né? <&> \u2028", number)
		args := map[string]any{"userId": v.UserID, "supportId": supportID, "content": text, "from": role}
		if newer && features {
			args["messageId"] = fmt.Sprintf("m%d", number)
		}
		w.tell(p, "ChatMessage", args)
		for _, other := range everybody {
			got(other, fmt.Sprintf("line %d,", number))
		}
	}
	say(user, "User", false)
	say(newUser, "User", true)
	agent := join(far, "Support", false)
	got(agent, "ChatHistory")
	for _, p := range []*peer{user, newUser} {
		got(p, "SupportJoinedUser")
	}
	supportID = regexp.MustCompile(`"supportId":"([0-9a-f]{32})"`).FindStringSubmatch(agent.all()[0])[1]
	newAgent := join(near, "Support", true)
	got(newAgent, "ChatHistory")
	everybody = append(everybody, agent, newAgent)
	use := func(kind string, args map[string]any, pages ...*peer) {
		for _, p := range pages {
			if features {
				w.tell(p, kind, args)
			}
		}
	}
	for range 3 {
		use("Typing", map[string]any{"typing": true, "text": "li"}, newUser)
		use("Typing", map[string]any{"typing": true}, newAgent)
		say(newUser, "User", true)
		say(agent, "Support", false)
		use("Receipt", map[string]any{"delivered": number, "read": number - 1}, newUser, newAgent)
		use("Presence", map[string]any{"state": "away"}, newUser, newAgent)
		say(newAgent, "Support", true)
		use("Typing", map[string]any{"typing": false}, newUser, newAgent)
		use("Presence", map[string]any{"state": "online"}, newUser, newAgent)
		say(user, "User", false)
		use("Rate", map[string]any{"score": 4, "comment": "good"}, newUser)
		use("Receipt", map[string]any{"read": number}, newUser, newAgent)
		wait(w.Context(), 600*time.Millisecond) // marks are logged
	}
	if features { // all of it has been of effect
		got(newAgent, `"Typing","args":{"from":"User","typing":true,"text":"li"}`)
		got(newUser, `"Typing","args":{"from":"Support","typing":true}`)
		got(newAgent, fmt.Sprintf(`"Receipt","args":{"from":"User","delivered":%d,"read":%d}`, number, number))
		got(newUser, fmt.Sprintf(`"Receipt","args":{"from":"Support","delivered":%d,"read":%d}`, number, number))
		got(newUser, `"Presence","args":{"from":"Support","state":"online"}`)
		got(newAgent, `"Rated"`)
	}
	back := join(far, "User", false) // a reload, with the whole history
	got(back, "ChatHistory")
	old := []*peer{user, agent, back}
	for _, p := range old {
		var bare []string
		for _, text := range p.all() {
			bare = append(bare, bareFrame(text))
		}
		frames = append(frames, bare)
	}
	if features {
		w.closed(v, newAgent, newUser, old)
	}
	for _, p := range append(everybody, back) {
		p.stop()
	}
	return frames
}

// closed makes a page with features end the chat. Pages without features are told in the
// way that they know.
func (w *world) closed(v visitor, newAgent, newUser *peer, old []*peer) {
	w.Helper()
	w.tell(newAgent, "CloseChat", map[string]any{})
	for _, p := range []*peer{newAgent, newUser} {
		eventually(w.T, answerWithin, "new pages are told of the end", func() bool { return p.has("ChatClosed") })
	}
	want := fmt.Sprintf(`{"type":"ChatExpired","args":{"chatId":"%s"}}`, v.ChatID)
	for i, p := range old {
		eventually(w.T, answerWithin, "an old page's socket ends", p.ended)
		all := p.all()
		if last := all[len(all)-1]; last != want {
			w.Errorf("at the end old page %d got %s instead of %s", i, last, want)
		}
	}
}

// tell makes a peer send a frame.
func (w *world) tell(p *peer, kind string, args map[string]any) {
	w.Helper()
	if err := p.send(encode(kind, args)); err != nil {
		w.Fatalf("%s: %v", kind, err)
	}
}

var (
	anID  = regexp.MustCompile(`"[0-9a-f]{32}"`)
	aTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`)
)

// bareFrame returns a frame without its ids and times, which differ between any two chats.
func bareFrame(text string) string {
	return aTime.ReplaceAllString(anID.ReplaceAllString(text, `"id"`), `"time"`)
}
