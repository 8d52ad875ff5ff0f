package faults_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/lobby/wire"
)

// subject is a chat with both sides connected and a message from each.
type subject struct {
	visitor
	name, supportID, secret string
	user, agent             *peer
}

func (w *world) subject(name string, user, agent *server) *subject {
	w.Helper()
	c := &subject{name: name, secret: "the secret of " + name}
	waiting := w.wait(user, name)
	c.visitor, c.user = waiting.visitor, waiting.peer
	eventually(w.T, 5*time.Second, "the user waits", func() bool { return len(c.user.all()) > 0 })
	c.agent = w.take(agent, waiting)
	for _, p := range []*peer{c.user, c.agent} {
		from := map[bool]string{true: "User", false: "Support"}[p == c.user]
		if err := p.send(encode("ChatMessage", map[string]any{"content": c.secret + " from " + from, "from": from})); err != nil {
			w.Fatal(err)
		}
	}
	eventually(w.T, 5*time.Second, "both have said something", func() bool { return len(c.user.all()) == 4 && len(c.agent.all()) == 3 })
	_, id, _ := strings.Cut(c.agent.all()[0], `"supportId":"`)
	c.supportID = id[:32]
	return c
}

// frames returns the number of frames that both sides have received.
func (c *subject) frames() int { return len(c.user.all()) + len(c.agent.all()) }

// TestForeignIDs tries every combination of known and unknown ids and roles. No socket
// reads or writes a chat that is not its own.
func TestForeignIDs(t *testing.T) {
	begin(t)
	t.Parallel()
	w := newWorld(t, "redis")
	servers := []*server{w.startChat(), w.startChat()}
	own := w.subject("Own", servers[0], servers[1])
	foreign := w.subject("Foreign", servers[1], servers[0])
	subjects := []*subject{own, foreign}
	stranger := wire.NewID()
	// Where a support has sockets is logged for the Joins that are let in, too.
	moves := func(entry string) bool {
		return strings.HasPrefix(entry, `{"kind":"connected"`) || strings.HasPrefix(entry, `{"kind":"disconnected"`)
	}
	logs := func() map[string][]string {
		out := map[string][]string{}
		for _, c := range subjects {
			out[c.name] = slices.DeleteFunc(w.store.LRange(w.ctx(), "chat:{"+c.ChatID+"}", 0, -1).Val(), moves)
		}
		return out
	}
	before, frames := logs(), own.frames()+foreign.frames()
	// A stranger's attempts must not keep a chat alive either.
	const rest = 100 * time.Second
	for _, c := range subjects {
		w.store.PExpire(w.ctx(), "chat:{"+c.ChatID+"}", rest)
	}

	tried, refused := 0, 0
	var known []func() // Joins with the user's own id
	for _, chat := range []string{own.ChatID, foreign.ChatID, stranger, strings.ToUpper(foreign.ChatID), "*", foreign.ChatID[:31]} {
		for _, userID := range []string{own.UserID, foreign.UserID, stranger, foreign.ChatID, strings.ToUpper(foreign.UserID), foreign.UserID + " ", "*", ""} {
			for _, supportID := range []string{"", own.supportID, foreign.supportID, stranger, strings.ToUpper(foreign.supportID), "*"} {
				for _, role := range []string{"User", "Support", "support", ""} {
					for _, name := range []string{"Vika", ""} {
						try := joinTry{chat, userID, supportID, role, name}
						tried++
						subject, want := try.outcome(subjects)
						if want != "" {
							refused++
						}
						if userID == own.UserID || userID == foreign.UserID {
							known = append(known, func() { w.try(servers[len(known)%2], try, want, subject) })
							continue
						}
						w.try(servers[tried%2], try, want, nil)
					}
				}
			}
		}
	}
	for _, c := range subjects {
		if ttl := w.store.PTTL(w.ctx(), "chat:{"+c.ChatID+"}").Val(); ttl <= 0 || ttl > rest {
			w.Errorf("%s lives for %v after strangers' Joins, at most %v wanted", c.name, ttl, rest)
		}
	}
	for _, f := range known {
		f()
	}
	if got := logs(); !maps.EqualFunc(got, before, slices.Equal) {
		w.Errorf("the logs have changed: %v\nbefore: %v", got, before)
	}
	if got := own.frames() + foreign.frames(); got != frames {
		w.Errorf("the chats' sockets got %d frames from Joins that were not theirs", got-frames)
	}
	w.Logf("%s: Joins tried %d, refused %d, let in %d", w.Name(), tried, refused, tried-refused)
	w.foreignMessages(own, foreign, stranger)
	w.foreignClaims(servers[0])
}

// joinTry is a Join with some combination of ids.
type joinTry struct{ chatID, userID, supportID, role, name string }

// outcome returns what the protocol says: the chat that the Join enters, or how it fails.
func (j joinTry) outcome(subjects []*subject) (*subject, string) {
	switch {
	case !wire.ValidID(j.chatID):
		return nil, "404"
	case j.userID == "", j.role != "User" && j.role != "Support", j.role == "Support" && j.supportID == "" && j.name == "":
		return nil, "bad_request"
	}
	for _, c := range subjects {
		switch {
		case c.ChatID != j.chatID:
			continue
		case c.UserID != j.userID:
			return nil, "forbidden"
		case j.role == "User" || j.supportID == c.supportID:
			return c, ""
		case j.supportID == "":
			return nil, "already_taken"
		}
		return nil, "forbidden"
	}
	return nil, "ChatExpired"
}

// try sends the Join and, in the same breath, a message.
func (w *world) try(s *server, j joinTry, want string, enters *subject) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
	defer cancel()
	conn, err := dial(ctx, s.addr, "/chat/"+j.chatID)
	if want == "404" {
		if err == nil || !strings.Contains(err.Error(), "404") {
			w.Errorf("%+v: %v instead of 404", j, err)
		}
		return
	}
	if err != nil {
		w.Fatalf("%+v: %v", j, err)
	}
	frames, stop := listen(conn)
	defer stop()
	contractOf(conn).Strays() // with ids that are none
	args := map[string]any{"userId": j.userID, "from": j.role, "supportId": j.supportID, "supportUserName": j.name}
	err = write(ctx, conn, encode("Join", args))
	if want != "" && err == nil {
		_ = write(ctx, conn, encode("ChatMessage", map[string]any{ // the socket may be closed by then
			"userId": j.userID, "supportId": j.supportID, "from": j.role, "content": "an intruder",
		}))
	}
	first, errFirst := next(frames, 5*time.Second)
	if err != nil || errFirst != nil {
		w.Errorf("%+v: %v, %v", j, err, errFirst)
		return
	}
	closes, rest := websocket.StatusCode(-1), []string{first}
	switch want {
	case "":
		if j.role == "User" && j.supportID != enters.supportID { // what it lacks comes first
			for len(rest) < 5 && !strings.Contains(rest[len(rest)-1], "ChatHistory") {
				text, err := next(frames, 5*time.Second)
				if err != nil {
					w.Errorf("%+v: %v after %q", j, err, rest)
					return
				}
				rest = append(rest, text)
			}
		}
		if last := rest[len(rest)-1]; strings.Count(last, enters.secret) != 2 {
			w.Errorf("%+v: %q instead of the history", j, last)
		}
	case "bad_request":
		text, err := next(frames, 5*time.Second)
		if err != nil || !strings.Contains(first, `"bad_request"`) || !strings.Contains(text, `"not_joined"`) {
			w.Errorf("%+v: %s %s %v instead of bad_request and not_joined", j, first, text, err)
		}
		rest = append(rest, text)
	case "ChatExpired":
		closes = websocket.StatusNormalClosure
	default:
		closes = websocket.StatusPolicyViolation
	}
	if closes > 0 {
		text, err := next(frames, 5*time.Second)
		if !strings.Contains(first, `"`+want+`"`) || websocket.CloseStatus(err) != closes {
			w.Errorf("%+v: %s %s %v instead of %s and close %d", j, first, text, err, want, closes)
		}
	}
	if all := strings.Join(rest, ""); want != "" && strings.Contains(all, "secret") {
		w.Errorf("%+v: got %s", j, all)
	}
}

// foreignMessages has sockets of one chat write with all sorts of ids.
func (w *world) foreignMessages(own, foreign *subject, stranger string) {
	w.Helper()
	before := foreign.frames()
	accepted, refused := 0, 0
	for role, p := range map[string]*peer{"User": own.user, "Support": own.agent} {
		p.strays() // by the chatId
		for _, userID := range []string{"", own.UserID, foreign.UserID, stranger} {
			for _, supportID := range []string{"", own.supportID, foreign.supportID, stranger} {
				for _, from := range []string{"User", "Support"} {
					wait(w.Context(), 50*time.Millisecond) // the rate that a socket may sustain
					n := len(p.all())
					text := fmt.Sprintf("from %s as %s", role, from)
					if err := p.send(encode("ChatMessage", map[string]any{
						"userId": userID, "supportId": supportID, "from": from, "content": text, "chatId": foreign.ChatID,
					})); err != nil {
						w.Fatal(err)
					}
					eventually(w.T, 5*time.Second, "an answer", func() bool { return len(p.all()) > n })
					answer := p.all()[n]
					want := `"code":"forbidden"`
					if from == role && (userID == "" || userID == own.UserID) {
						want = fmt.Sprintf(`"args":{"userId":%q,"supportId":%q,"content":%q,`, own.UserID, own.supportID, text)
						accepted++
					} else {
						refused++
					}
					if !strings.Contains(answer, want) {
						w.Errorf("%s writes as %s, userId %q, supportId %q: %s instead of %s", role, from, userID, supportID, answer, want)
					}
					if from == role { // the other side has it too, before its own turn
						eventually(w.T, 5*time.Second, "the same on both sides", func() bool {
							return strings.Count(strings.Join(own.user.all(), ""), text+`"`) == strings.Count(strings.Join(own.agent.all(), ""), text+`"`)
						})
					}
				}
			}
		}
	}
	if got := foreign.frames(); got != before {
		w.Errorf("the foreign chat got %d frames", got-before)
	}
	w.Logf("%s: messages tried %d, refused %d, written into the sender's own chat %d", w.Name(), accepted+refused, refused, accepted)
}

// foreignClaims has an agent claim with ids that do not belong together.
func (w *world) foreignClaims(chats *server) {
	w.Helper()
	lobby := w.startLobby()
	waiting := w.waiters(2, chats)
	agents := w.watchers(waiting)
	thief := w.watch(lobby)
	eventually(w.T, 5*time.Second, "the list", func() bool { return len(thief.all()) > 0 })
	a, b, stranger := waiting[0], waiting[1], wire.NewID()
	tried := 0
	for _, ids := range [][2]string{
		{a.UserID, b.ChatID}, {b.UserID, a.ChatID}, {a.UserID, stranger}, {stranger, a.ChatID}, {stranger, stranger},
		{a.ChatID, a.UserID}, {strings.ToUpper(a.UserID), a.ChatID}, {a.UserID, strings.ToUpper(a.ChatID)}, {"*", "*"},
	} {
		if err := thief.send(encode("JoinUser", map[string]any{"userId": ids[0], "chatId": ids[1], "username": "Waiting0"})); err != nil {
			w.Fatal(err)
		}
		tried++
		eventually(w.T, 5*time.Second, "already_taken", func() bool {
			return strings.Count(strings.Join(thief.all(), ""), `"already_taken"`) == tried
		})
	}
	w.shows("after false claims", 5*time.Second, agents, waiting)
	for _, agent := range agents {
		if agent.events() > 0 {
			w.Errorf("other agents were told: %q", agent.all())
		}
	}
	w.Logf("%s: claims tried %d, refused %d", w.Name(), tried, tried)
}
