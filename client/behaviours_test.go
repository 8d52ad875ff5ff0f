package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livesupport/client"
)

// TestBehaviours runs the table that client.js is tested by, too
// (web/testdata/client/behaviours.test.mjs), against a scripted server and a clock that
// the test moves.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../web/testdata/client/behaviours.json")
	if err != nil {
		t.Fatal(err)
	}
	var table []struct {
		Name  string
		Steps []map[string]any
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	for _, row := range table {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBehaviour(t)
				defer b.close()
				for i, step := range row.Steps {
					for kind, value := range step {
						synctest.Wait()
						if wrong := b.step(kind, value); wrong != "" {
							t.Fatalf("step %d, %s %v: %s", i+1, kind, value, wrong)
						}
					}
				}
			})
		})
	}
}

type object = map[string]any

var (
	userID, chatID, supportID = strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("c", 32)
	nika                      = client.Participant{Role: client.User, UserID: userID, ChatID: chatID, Username: "Nika"}
)

// behaviour is one row's client and server.
type behaviour struct {
	*testing.T
	server   *server
	chat     *client.Chat
	lobby    *client.Lobby
	read     sync.WaitGroup // of the events
	names    object         // what the table's names stand for
	mu       sync.Mutex
	outcomes map[string]string
	state    [2]any
	contents []any
	told     map[string]object
}

func newBehaviour(t *testing.T) *behaviour {
	return &behaviour{
		T: t, server: &server{}, outcomes: map[string]string{}, state: [2]any{"connecting", ""}, told: map[string]object{},
		names: object{"$user": userID, "$chat": chatID, "$support": supportID, "$joined": object{
			"supportId": supportID, "supportUserName": "Vika", "userId": userID, "chatId": chatID, "username": "Nika",
		}},
	}
}

func (b *behaviour) close() {
	if b.chat != nil {
		b.chat.Close()
	}
	if b.lobby != nil {
		b.lobby.Close()
	}
	b.server.close()
	b.read.Wait()
}

func (b *behaviour) open(role string) {
	options := client.Options{Dial: b.server.dial}
	events := func() <-chan client.Event {
		if role == "Lobby" {
			b.lobby = client.OpenLobby(b.Context(), "http://chat.example:9001", client.Profile{Name: "Vika"}, options)
			return b.lobby.Events()
		}
		who := nika
		if role == client.Support {
			who = nika.As(client.Support, "Vika")
		}
		b.chat = client.OpenChat(b.Context(), "http://chat.example:9000", who, options)
		return b.chat.Events()
	}()
	b.read.Go(func() {
		for e := range events {
			b.hear(e)
		}
	})
}

// hear keeps what an event tells, under the name that it has in client.js.
func (b *behaviour) hear(e client.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case client.State:
		b.state = [2]any{e.State, e.Problem}
		return
	case client.History:
		for _, m := range e.Messages {
			b.contents = append(b.contents, m.Content)
		}
		return
	case client.Message:
		b.contents = append(b.contents, e.Content)
	}
	name := map[string]string{"Message": "message", "Receipt": "receipt", "Typing": "typing", "Presence": "presence",
		"Place": "queue", "Leaving": "left", "Note": "note", "Rating": "rated"}[reflect.TypeOf(e).Name()]
	if name != "" {
		text, _ := json.Marshal(e)
		var fields object
		_ = json.Unmarshal(text, &fields)
		b.told[name] = fields
	}
}

// filled puts in what names stand for.
func (b *behaviour) filled(value any) any {
	switch value := value.(type) {
	case string:
		if is, ok := b.names[value]; ok {
			return is
		}
	case []any:
		all := make([]any, len(value))
		for i, one := range value {
			all[i] = b.filled(one)
		}
		return all
	case object:
		all := object{}
		for key, one := range value {
			all[key] = b.filled(one)
		}
		return all
	}
	return value
}

// has wants these fields, nil for none, and gives names to what is not named yet.
func (b *behaviour) has(found object, fields any) string {
	for key, want := range fields.(object) {
		if name, ok := want.(string); ok && strings.HasPrefix(name, "$") && b.names[name] == nil {
			b.names[name] = found[key]
		} else if !reflect.DeepEqual(found[key], b.filled(want)) {
			return fmt.Sprintf("%s is %v", key, found[key])
		}
	}
	return ""
}

// ask notes what becomes of a call.
func (b *behaviour) ask(name string, call func(context.Context) error) {
	b.outcomes[name] = "pending"
	b.read.Go(func() {
		outcome, err := "", call(b.Context())
		if err != nil {
			outcome = client.CodeOf(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if err == errLost {
			outcome = "lost"
		}
		b.outcomes[name] = outcome
	})
}

var errLost = &client.Refusal{Code: "lost"}

// step does or checks what a step says, and returns what is wrong.
func (b *behaviour) step(kind string, value any) string {
	list, _ := value.([]any)
	number, _ := value.(float64)
	switch kind {
	case "pass":
		time.Sleep(time.Duration(number) * time.Millisecond)
		return ""
	case "accept":
		first, ok := b.server.takeFirst()
		if !ok {
			return "nobody has connected"
		}
		if first.Type != "Join" && first.Type != "Load" {
			return "the first is " + first.Type
		}
		b.server.write("ping")
		return b.has(first.Args, value)
	case "tell":
		text, _ := json.Marshal(object{"type": list[0], "args": b.filled(list[1])})
		b.server.write(string(text))
		return ""
	case "ping":
		b.server.write("ping")
		return ""
	case "drop":
		b.server.drop(int(number))
		return ""
	case "sent":
		args, ok := b.server.take(list[0].(string))
		if !ok {
			return "it was not sent"
		}
		return b.has(args, list[1])
	case "nothing":
		if args, ok := b.server.take(value.(string)); ok {
			return fmt.Sprint("sent ", args)
		}
		return ""
	case "connections":
		return differ(number, float64(b.server.count()))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch kind {
	case "state":
		return differ(list, b.state[:])
	case "contents":
		return differ(list, b.contents)
	case "told":
		if b.told[list[0].(string)] == nil {
			return "it was not told"
		}
		return b.has(b.told[list[0].(string)], list[1])
	case "delivered":
		return differ("", b.outcomes["send "+list[0].(string)])
	case "refused":
		return differ(list[1], b.outcomes["send "+list[0].(string)])
	case "outcome":
		return differ(list[1], b.outcomes[list[0].(string)])
	}
	b.act(kind, value, list)
	return ""
}

func (b *behaviour) act(kind string, value any, list []any) {
	ctx := b.Context()
	switch kind {
	case "open":
		b.open(value.(string))
	case "send":
		b.ask("send "+value.(string), func(ctx context.Context) error {
			_, err := b.chat.Send(ctx, value.(string))
			return err
		})
	case "end":
		b.ask(kind, b.chat.End)
	case "rate":
		b.ask(kind, func(ctx context.Context) error { return b.chat.Rate(ctx, int(list[0].(float64)), list[1].(string)) })
	case "transfer":
		b.ask(kind, func(ctx context.Context) error {
			return b.chat.Transfer(ctx, client.Target{To: list[0].(string)}, list[1].(string))
		})
	case "note":
		b.ask(kind, func(ctx context.Context) error { return b.chat.Note(ctx, value.(string)) })
	case "claim":
		b.ask(kind, func(ctx context.Context) error {
			won, err := b.lobby.Claim(ctx, client.Visitor{Participant: nika})
			if err == nil && !won {
				return errLost
			}
			return err
		})
	case "read":
		b.ask(kind, func(ctx context.Context) error { return b.chat.Read(ctx, int(value.(float64))) })
	case "type":
		b.ask(kind, func(ctx context.Context) error { return b.chat.Type(ctx, true) })
	case "status":
		if err := b.lobby.SetStatus(ctx, client.Status{Status: list[0].(string), Capacity: int(list[1].(float64))}); err != nil {
			b.Error(err)
		}
	default:
		b.Fatalf("no such step: %s", kind)
	}
}

func differ(want, got any) string {
	if fmt.Sprint(want) == fmt.Sprint(got) {
		return ""
	}
	return fmt.Sprintf("it is %v", got)
}
