package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// leaver is somebody in a chat that is about to be ended: they write, may end it, and
// come back, socket after socket, until they are told that it is over.
type leaver struct {
	world  *world
	chat   visitor
	name   string // of their messages
	role   string
	plain  bool      // has not listed close
	closes time.Time // when they end the chat; zero if they do not

	mu        sync.Mutex
	supportID string          // as which they joined
	number    int             // of their messages
	seen      map[string]bool // messages
	refused   map[string]bool // messages that came too late, as they were told
	lost      string          // why they cannot have the chat: already_taken, ChatExpired
	over      string          // what told them that it is over
	faults    []string
}

var errOver = errors.New("told that it is over")

func (l *leaver) fail(format string, args ...any) {
	l.faults = append(l.faults, l.name+": "+fmt.Sprintf(format, args...))
}

// run is the life of the leaver until ctx ends.
func (l *leaver) run(ctx context.Context) {
	addr := ""
	for ctx.Err() == nil {
		addr = l.world.pick(addr)
		if err := l.session(ctx, addr); errors.Is(err, errOver) {
			return
		}
		wait(ctx, 20*time.Millisecond+rand.N(60*time.Millisecond))
	}
}

func (l *leaver) join() string {
	args := map[string]any{"userId": l.chat.UserID, "from": l.role, "features": []string{"messageId", "close"}}
	if l.plain {
		args["features"] = []string{"messageId"}
	}
	if l.role == "Support" {
		args["supportUserName"] = l.name
		args["supportId"] = l.supportID
	}
	return encode("Join", args)
}

// session is one socket. After the end it stays open for a while, to see whether anything
// follows.
func (l *leaver) session(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr, "/chat/"+l.chat.ChatID)
	if err != nil {
		return err
	}
	frames, stop := listen(conn)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	heard, joinAt, writeAt, closeAt := time.Now(), time.Now(), time.Now().Add(rand.N(200*time.Millisecond)), l.closes
	joined := false
	var stay <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stay:
			return errOver
		case f := <-frames:
			if f.err != nil {
				if l.told() {
					return errOver
				}
				return f.err
			}
			heard = time.Now()
			if f.text == "ping" {
				err = write(ctx, conn, "pong:"+strings.ToLower(l.role))
				break
			}
			var again bool
			if again, err = l.receive(f.text, &joined); again {
				joinAt = time.Now().Add(200 * time.Millisecond)
			}
			if l.told() && stay == nil {
				stay = time.After(3 * time.Second)
			}
		case now := <-tick.C:
			switch {
			case now.Sub(heard) > silentServer:
				return errors.New("the server is silent")
			case stay != nil:
			case !joinAt.IsZero() && now.After(joinAt):
				joinAt = time.Time{}
				err = write(ctx, conn, l.join())
			case !joined:
			case !closeAt.IsZero() && now.After(closeAt):
				closeAt = now.Add(time.Second) // it has no answer but the end
				err = write(ctx, conn, encode("CloseChat", map[string]any{}))
			case now.After(writeAt):
				writeAt = now.Add(200 * time.Millisecond)
				err = l.write(ctx, conn)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (l *leaver) write(ctx context.Context, conn *websocket.Conn) error {
	l.mu.Lock()
	l.number++
	id := fmt.Sprintf("%s-%d", l.name, l.number)
	l.mu.Unlock()
	return write(ctx, conn, encode("ChatMessage", map[string]any{"content": content(id), "from": l.role, "messageId": id}))
}

// told reports whether the leaver was told that the chat is over, for everybody or for
// them.
func (l *leaver) told() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over != "" || l.lost != ""
}

func (l *leaver) receive(text string, joined *bool) (again bool, err error) {
	var f struct {
		Type string
		Args struct {
			message
			Messages        []message
			Code, ChatID    string
			SupportUserName string
		}
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch f.Type {
	case "UserJoined":
		*joined = true
	case "SupportJoinedUser":
		if l.role == "Support" && l.supportID == "" {
			l.supportID = f.Args.SupportID
		}
		*joined = true
	case "ChatHistory":
		*joined = true
		for _, m := range f.Args.Messages {
			l.seen[m.MessageID] = true
		}
	case "ChatMessage":
		if l.over != "" && !l.seen[f.Args.MessageID] {
			l.fail("a message behind the end: %s", text)
		}
		l.seen[f.Args.MessageID] = true
	case "ChatClosed":
		end := "ChatClosed " + f.Args.From + " " + f.Args.Timestamp
		if l.plain || l.over != "" {
			l.fail("%s, after %q", text, l.over)
		}
		l.over = end
	case "ChatExpired":
		switch {
		case l.plain:
			l.over = "ChatExpired"
		case l.role == "Support" && !*joined && l.supportID == "":
			l.lost = "ChatExpired"
		default:
			l.fail("told %s", text)
		}
	case "Error":
		switch f.Args.Code {
		case "chat_closed":
			l.refused[f.Args.MessageID] = true
		case "already_taken":
			l.lost = "already_taken"
		case "unavailable":
			again = !*joined
		default:
			l.fail("refused: %s", text)
		}
	default:
		l.fail("unexpected: %s", text)
	}
	return again, nil
}

// folded is what a chat's log says about its end.
type folded struct {
	support  string
	closedBy string // "" if it is open
	messages map[string]bool
}

func fold(entries []entry) folded {
	f := folded{messages: map[string]bool{}}
	for _, e := range entries {
		mine := e.From == "User" || e.SupportID != "" && e.SupportID == f.support
		switch {
		case f.closedBy != "":
		case e.Kind == "supportJoined" && f.support == "":
			f.support = e.SupportID
		case e.Kind == "message" && mine:
			f.messages[e.MessageID] = true
		case e.Kind == "closed" && mine:
			f.closedBy = e.From
		}
	}
	return f
}

// ends counts what happened to chats that were ended.
type ends struct {
	chats, ended, byUser, bySupport int
	told                            int // sockets' owners, that it is over
	late                            int // messages that were refused
	taken, tooLate                  int // first Joins that lost, against another and against the end
}

// Either side ends chats, or both at once, while messages are written and agents join, on
// three servers that die one after the other. Everybody is told what the log says.
func TestClose(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		servers := []*server{w.startChat(), w.startChat(), w.startChat()}
		ctx, stop := context.WithCancel(w.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		chats := make([][]*leaver, s.chats)
		spread := time.Duration(s.kills) * 2 * time.Second
		for i := range chats {
			v := w.register(w.pick(""), fmt.Sprintf("Leaver%d", i))
			at := time.Now().Add(2*time.Second + rand.N(spread))
			soon := func() time.Time { return at.Add(rand.N(15 * time.Millisecond)) }
			chats[i] = w.leavers(ctx, &running, v, i, at, soon)
		}
		for range s.kills {
			wait(ctx, time.Second+rand.N(time.Second))
			i := rand.IntN(len(servers))
			w.kill(servers[i])
			servers[i] = w.startChat()
		}
		settled := poll(spread+30*time.Second, func() bool {
			for i, chat := range chats {
				for _, l := range chat {
					if i%4 != 3 && !l.told() {
						return false
					}
				}
			}
			return true
		})
		if !settled {
			w.Error("not everybody has been told that it is over")
		}
		wait(ctx, 3500*time.Millisecond) // something may come behind the end
		stop()
		running.Wait()
		var sum ends
		for i, chat := range chats {
			w.ended(chat, fold(w.log(chat[0].chat.ChatID)), i%4 != 3, &sum)
		}
		w.Logf("%s: of %d chats %d were ended, %d by their users and %d by their agents; %d people were told; %d messages came too late; first Joins that lost: %d to another, %d to the end",
			w.Name(), sum.chats, sum.ended, sum.byUser, sum.bySupport, sum.told, sum.late, sum.taken, sum.tooLate)
		w.alive(servers...)
	})
}

// leavers returns the people of the i-th chat. They end it in one way or another at about
// the given time, except for every fourth chat.
func (w *world) leavers(ctx context.Context, running *sync.WaitGroup, v visitor, i int, at time.Time, soon func() time.Time) []*leaver {
	person := func(name, role string) *leaver {
		return &leaver{world: w, chat: v, name: name, role: role, seen: map[string]bool{}, refused: map[string]bool{}}
	}
	user, tab, agent, rival := person("user", "User"), person("tab", "User"), person("agent", "Support"), person("rival", "Support")
	tab.plain = true
	people := []*leaver{user, tab, agent}
	late := map[*leaver]bool{}
	switch i % 4 {
	case 0: // both sides at once
		user.closes, agent.closes = soon(), soon()
	case 1: // against two first Joins
		user.closes = soon()
		people = append(people, rival)
		late[agent], late[rival] = true, true
	case 2: // the agent, while the user writes
		agent.closes = soon()
	}
	for _, l := range people {
		begin := time.Now()
		if late[l] {
			begin = soon()
		}
		running.Go(func() {
			wait(ctx, time.Until(begin))
			l.run(ctx)
		})
	}
	return people
}

// ended compares what the people of a chat were told with its log.
func (w *world) ended(people []*leaver, f folded, wanted bool, sum *ends) {
	w.Helper()
	id := people[0].chat.ChatID
	sum.chats++
	switch f.closedBy {
	case "User":
		sum.byUser++
	case "Support":
		sum.bySupport++
	}
	if f.closedBy != "" {
		sum.ended++
	}
	if wanted != (f.closedBy != "") {
		w.Errorf("%s: ended by %q", id, f.closedBy)
	}
	closing := ""
	for _, l := range people {
		for _, fault := range l.faults {
			w.Errorf("%s, %s", id, fault)
		}
		sum.late += len(l.refused)
		for message := range l.seen {
			if !f.messages[message] {
				w.Errorf("%s: %s was shown %s, which is not in the chat", id, l.name, message)
			}
		}
		for message := range l.refused {
			if f.messages[message] {
				w.Errorf("%s: %s was told that %s came too late, and it is in the chat", id, l.name, message)
			}
		}
		switch {
		case l.lost == "already_taken":
			sum.taken++
			if f.support == "" || f.support == l.supportID {
				w.Errorf("%s: %s was told that another has it, who does not", id, l.name)
			}
		case l.lost != "":
			sum.tooLate++
			if f.closedBy == "" {
				w.Errorf("%s: %s was told %s", id, l.name, l.lost)
			}
		case (l.over != "") != (f.closedBy != ""):
			w.Errorf("%s: ended by %q, and %s was told %q", id, f.closedBy, l.name, l.over)
		case l.over != "":
			sum.told++
			if l.plain {
				break
			}
			if !strings.HasPrefix(l.over, "ChatClosed "+f.closedBy+" ") || closing != "" && closing != l.over {
				w.Errorf("%s: ended by %s, and %s was told %q, others %q", id, f.closedBy, l.name, l.over, closing)
			}
			closing = l.over
		}
		if l.supportID != "" && l.supportID != f.support {
			w.Errorf("%s: %s was told to have it, and the log has another", id, l.name)
		}
	}
}
