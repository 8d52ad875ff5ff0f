package backend_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goclient "livesupport/client"
)

// An ear hears what a Chat or a Lobby tells.
type ear struct {
	*world
	name   string
	events <-chan goclient.Event
}

// hear reads until an event of this type for which the condition holds.
func hear[E goclient.Event](e ear, what string, holds func(E) bool) E {
	e.Helper()
	var passed []goclient.Event
	timeout := time.After(2 * patience)
	for {
		select {
		case event, ok := <-e.events:
			if !ok {
				e.Fatalf("%s: it is over before %s, after %+v", e.name, what, passed)
			}
			if found, is := event.(E); is && holds(found) {
				return found
			}
			passed = append(passed, event)
		case <-timeout:
			e.Fatalf("%s: still not %s, but %+v", e.name, what, passed)
		}
	}
}

func (e ear) state(state string) {
	e.Helper()
	hear(e, state, func(s goclient.State) bool { return s.State == state })
}

func (w *world) goChat(who goclient.Participant, name string, token ...string) (*goclient.Chat, ear) {
	w.Helper()
	chat := goclient.OpenChat(w.Context(), "http://"+w.nextChat(), who, goShowing(token...))
	w.Cleanup(chat.Close)
	return chat, ear{w, name, chat.Events()}
}

func (w *world) goLobby(profile goclient.Profile, token ...string) (*goclient.Lobby, ear) {
	w.Helper()
	lobby := goclient.OpenLobby(w.Context(), "http://"+w.nextLobby(), profile, goShowing(token...))
	w.Cleanup(lobby.Close)
	return lobby, ear{w, profile.Name + "'s lobby", lobby.Events()}
}

func (w *world) goRegister(name string) goclient.Participant {
	w.Helper()
	who, err := goclient.Register(w.Context(), "http://"+w.nextChat(), name, goclient.Registration{Details: &goclient.Details{Language: "de"}}, goOptions)
	w.must(err)
	return who
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Connections of plainHTTP end with the tests.
var goOptions = goclient.Options{HTTP: plainHTTP}

// goShowing are the options of somebody with a token, or without.
func goShowing(token ...string) goclient.Options {
	options := goOptions
	if len(token) > 0 {
		options.Token = func() string { return token[0] }
	}
	return options
}

func TestScenarioGoClient(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, withFiles(nil, alone, scenarios{
		"a whole conversation with everything that there is": func(w *world) {
			ctx, cancel := context.WithTimeout(w.Context(), 12*patience)
			defer cancel()
			who := w.goRegister("Nika")
			user, nika := w.goChat(who, "Nika")
			nika.state(goclient.Waiting)
			hear(nika, "a place", func(p goclient.Place) bool { return p.Position == 1 && p.Waiting == 1 })
			lobby, desk := w.goLobby(goclient.Profile{Name: "Vika", Supervises: true})
			pending := hear(desk, "who waits", func(p goclient.Pending) bool { return len(p.Users) == 1 }).Users[0]
			if pending.UserID != who.UserID || pending.Details.Language != "de" || pending.Since.IsZero() {
				w.Errorf("pending is %+v", pending)
			}
			w.must(lobby.SetStatus(ctx, goclient.Status{Status: "online", Capacity: 3}))
			hear(desk, "the status", func(c goclient.Colleagues) bool { return len(c.Agents) == 1 && c.Agents[0].Capacity == 3 })
			if won, err := lobby.Claim(ctx, pending); !won || err != nil {
				w.Fatalf("claimed: %v, %v", won, err)
			}
			support, vika := w.goChat(pending.As(goclient.Support, "Vika"), "Vika")
			vika.state(goclient.Connected)
			nika.state(goclient.Connected)
			hear(desk, "the chat", func(talk goclient.Talk) bool { return talk.SupportUserName == "Vika" && talk.ChatID == who.ChatID })
			for _, e := range []ear{nika, vika} {
				hear(e, "presence", func(p goclient.Presence) bool { return p.State == "online" })
			}
			_, look := w.goChat(who.As(goclient.Observer, "Lulu"), "Lulu")
			look.state(goclient.Connected)

			w.must(support.Type(ctx, true))
			hear(nika, "typing", func(e goclient.Typing) bool { return e.Typing })
			file, err := support.Upload(ctx, "a b.png", "image/png", strings.NewReader(pngContent))
			w.must(err)
			if _, err := support.Send(ctx, "This one?", file); err != nil {
				w.Fatal(err)
			}
			hear(nika, "typing is over", func(e goclient.Typing) bool { return !e.Typing })
			message := hear(look, "the message", func(m goclient.Message) bool { return m.Content == "This one?" })
			if len(message.Files) != 1 || message.Files[0].Name != "a b.png" || message.Seq != 1 {
				w.Errorf("the message is %+v", message)
			}
			r, err := plainHTTP.Get(user.AddressOf(message.Files[0]))
			w.must(err)
			_ = r.Body.Close()
			if r.StatusCode != http.StatusOK {
				w.Errorf("the file: %s", r.Status)
			}
			w.must(user.Read(ctx, 1))
			hear(vika, "it has been read", func(e goclient.Receipt) bool { return e.From == goclient.User && e.Read == 1 })
			w.must(user.SetAway(ctx, true))
			hear(vika, "away", func(p goclient.Presence) bool { return p.State == "away" })

			w.must(support.Note(ctx, "canary"))
			hear(look, "the note", func(n goclient.Note) bool { return n.Content == "canary" })
			if err := support.Transfer(ctx, goclient.ToAgent("nobody"), ""); goclient.CodeOf(err) != "not_found" {
				w.Errorf("given to nobody: %v", err)
			}
			w.must(support.Transfer(ctx, goclient.ToQueue(), "please"))
			hear(vika, "released", func(s goclient.State) bool { return s.Problem == goclient.Released })
			if _, err := support.Send(ctx, "late"); goclient.CodeOf(err) != goclient.Released {
				w.Errorf("sent after the transfer: %v", err)
			}
			hear(nika, "Vika has left", func(l goclient.Leaving) bool { return l.Reason == "transfer" && l.SupportUserName == "Vika" })
			again := hear(desk, "waiting again", func(v goclient.Visitor) bool { return v.UserID == who.UserID })
			hear(desk, "the chat has nobody", func(g goclient.TalkGone) bool { return g.ChatID == who.ChatID })

			next, dodo := w.goChat(again.As(goclient.Support, "Dodo"), "Dodo")
			if h := hear(dodo, "history", func(goclient.History) bool { return true }); len(h.Messages) != 1 {
				w.Errorf("the history is %+v", h)
			}
			for _, content := range []string{"canary", "please"} {
				hear(dodo, "a note", func(n goclient.Note) bool { return n.Content == content })
			}
			w.must(next.End(ctx))
			hear(nika, "the end", func(s goclient.State) bool { return s.Ending != nil && s.Ending.From == goclient.Support })
			w.must(user.Rate(ctx, 5, "Quick"))
			hear(dodo, "the rating", func(r goclient.Rating) bool { return r.Score == 5 && r.Comment == "Quick" })
			if _, err := user.Send(ctx, "late"); goclient.CodeOf(err) != "chat_closed" {
				w.Errorf("sent after the end: %v", err)
			}
			w.must(user.End(ctx)) // it has ended
			user.Close()
			if err := user.Err(); err != nil {
				w.Error(err)
			}
		},
		"connections that break again and again lose and double nothing": func(w *world) {
			const each = 25
			who := w.goRegister("Nika")
			sides := []goclient.Participant{who, who.As(goclient.Support, "Vika")}
			var lines brittle
			got := make(chan []string, len(sides))
			errs := make(chan error, len(sides))
			for _, side := range sides {
				options := goOptions
				options.Dial = lines.dial
				chat := goclient.OpenChat(w.Context(), "http://"+w.nextChat(), side, options)
				w.Cleanup(chat.Close)
				go func() {
					for i := range each {
						if _, err := chat.Send(w.Context(), fmt.Sprint(side.Role, i)); err != nil {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
				go func() { got <- contentsUntil(chat.Events(), len(sides)*each) }()
			}
			for range sides {
				w.must(<-errs)
			}
			one, other := <-got, <-got
			if len(one) != len(sides)*each || !slices.Equal(one, other) {
				w.Errorf("they have\n%q and\n%q", one, other)
			}
			next := map[string]int{}
			for _, content := range one {
				role := strings.TrimRight(content, "0123456789")
				if content != fmt.Sprint(role, next[role]) {
					w.Errorf("%s instead of %d", content, next[role])
				}
				next[role]++
			}
			if opened := lines.count(); opened < 6 {
				w.Errorf("only %d connections were opened", opened)
			}
		},
		"of two who claim a visitor one wins": func(w *world) {
			who := w.goRegister("Nika")
			_, nika := w.goChat(who, "Nika")
			nika.state(goclient.Waiting)
			type result struct {
				won bool
				err error
			}
			results := make(chan result, 2)
			for _, name := range []string{"Vika", "Dodo"} {
				lobby, desk := w.goLobby(goclient.Profile{Name: name})
				hear(desk, "the list", func(p goclient.Pending) bool { return true })
				go func() {
					won, err := lobby.Claim(w.Context(), goclient.Visitor{Participant: who})
					results <- result{won, err}
				}()
			}
			first, second := <-results, <-results
			if first.err != nil || second.err != nil || first.won == second.won {
				w.Errorf("%+v, %+v", first, second)
			}
		},
	}))
}

// contentsUntil reads until so many messages have come, or it is over.
func contentsUntil(events <-chan goclient.Event, n int) (contents []string) {
	for e := range events {
		switch e := e.(type) {
		case goclient.History:
			for _, m := range e.Messages {
				contents = append(contents, m.Content)
			}
		case goclient.Message:
			contents = append(contents, e.Content)
		}
		if len(contents) >= n {
			break
		}
	}
	return contents
}

// brittle opens connections that break with what they have just sent, receipts and all.
type brittle struct {
	mu     sync.Mutex
	opened int
}

func (b *brittle) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	return &breaking{conn, 6 + b.opened%5}, nil
}

func (b *brittle) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}

type breaking struct {
	net.Conn
	left int // writes
}

func (b *breaking) Write(frame []byte) (int, error) {
	n, err := b.Conn.Write(frame)
	if b.left--; b.left == 0 {
		_ = b.Conn.Close()
	}
	return n, err
}
