package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	goclient "livesupport/client"
	"livesupport/cmd/internal/backend"
	"livesupport/cmd/internal/bot"
)

const botAnswers = `{"greeting":"I am a bot.","handover":"I will get somebody.","agent":["agent","human"],
	"questions":[{"ask":["open"],"answer":"Always."},{"ask":["open sunday"],"answer":"Not on Sundays."}]}`

// journal is a log that a test can search.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), text)
}

// bot starts a bot, and returns its log and a function that stops it.
func (w *world) bot(answer func(ctx context.Context, question string) (string, error)) (log *journal, stop func()) {
	w.Helper()
	answers, err := bot.ParseAnswers([]byte(botAnswers))
	w.must(err)
	if answer == nil {
		answer = answers.To
	}
	log = &journal{}
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() {
		done <- bot.Run(ctx, bot.Config{
			ChatURL: "http://" + w.nextChat(), LobbyURL: "http://" + w.nextLobby(), Capacity: 2,
			Options: goShowing(w.person("Robo").token), Answers: answers, Answer: answer, Log: slog.New(slog.NewTextHandler(log, nil)),
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("the bot: %v", err)
		}
	})
	w.Cleanup(stop)
	w.eventually("the bot is there", func() bool { return log.has("state=ready") })
	return log, stop
}

// hears checks that these are the next messages, whoever wrote them.
func (e ear) hears(contents ...string) {
	e.Helper()
	for _, want := range contents {
		got := hear(e, want, func(goclient.Message) bool { return true })
		if got.Content != want {
			e.Fatalf("%s hears %q instead of %q", e.name, got.Content, want)
		}
	}
}

// takesOffered is a person who accepts the visitor and reads the history.
func (w *world) takesOffered(name string, who goclient.Participant) (*goclient.Chat, ear, []string) {
	w.Helper()
	person := w.person(name)
	lobby, desk := w.goLobby(goclient.Profile{}, person.token)
	offer := hear(desk, "an offer", func(o goclient.Offer) bool { return o.UserID == who.UserID })
	if won, err := lobby.Claim(w.Context(), offer.Visitor); !won || err != nil {
		w.Fatalf("claimed: %v, %v", won, err)
	}
	chat, ear := w.goChat(offer.As(goclient.Support, ""), name, person.token)
	var contents []string
	for _, m := range hear(ear, "the history", func(goclient.History) bool { return true }).Messages {
		contents = append(contents, m.Content)
	}
	return chat, ear, contents
}

func TestScenarioBot(t *testing.T) {
	t.Parallel()
	tune := func(c *backend.Config) {
		withTokens(c)
		c.Assign, c.OfferTTL = "round_robin", time.Minute
	}
	inEveryPlace(t, alone(tune, scenarios{
		"it answers, and hands over what it has no answer to": func(w *world) {
			w.bot(nil)
			who := w.goRegister("Nika")
			user, nika := w.goChat(who, "Nika")
			_, err := user.Send(w.Context(), "When do you open?")
			w.must(err)
			nika.hears("When do you open?", "I am a bot.", "Always.")
			_, err = user.Send(w.Context(), "Open on SUNDAY too?")
			w.must(err)
			nika.hears("Open on SUNDAY too?", "Not on Sundays.")
			_, err = user.Send(w.Context(), "And the moon?")
			w.must(err)
			nika.hears("And the moon?", "I will get somebody.")
			hear(nika, "the bot has left", func(l goclient.Leaving) bool { return l.Reason == "transfer" && l.SupportUserName == "Robo" })
			vika, ear, history := w.takesOffered("Vika", who)
			if len(history) != 7 {
				w.Errorf("the history is %q", history)
			}
			hear(ear, "the note", func(n goclient.Note) bool {
				return n.Content == "The bot has no answer to: And the moon?" && n.SupportUserName == "Robo"
			})
			_, err = vika.Send(w.Context(), "A person here.")
			w.must(err)
			_, err = user.Send(w.Context(), "When do you open?") // the bot is not there any more
			w.must(err)
			nika.hears("A person here.", "When do you open?")
			_, err = vika.Send(w.Context(), "At nine.")
			w.must(err)
			nika.hears("At nine.")
		},
		"an answer that comes after the hand-over reaches nobody": func(w *world) {
			late := make(chan struct{})
			log, _ := w.bot(func(ctx context.Context, question string) (string, error) {
				select {
				case <-late:
				case <-w.Context().Done(): // the bot's own end does not stop it
				}
				return "late answer", nil
			})
			who := w.goRegister("Nika")
			user, nika := w.goChat(who, "Nika")
			_, err := user.Send(w.Context(), "What is the question?")
			w.must(err)
			nika.hears("What is the question?", "I am a bot.")
			_, err = user.Send(w.Context(), "I want a human!")
			w.must(err)
			nika.hears("I want a human!", "I will get somebody.")
			hear(nika, "the bot has left", func(l goclient.Leaving) bool { return l.SupportUserName == "Robo" })
			close(late)
			vika, ear, history := w.takesOffered("Vika", who)
			hear(ear, "the note", func(n goclient.Note) bool { return strings.Contains(n.Content, "I want a human!") })
			_, err = vika.Send(w.Context(), "A person here.")
			w.must(err)
			nika.hears("A person here.")
			if slices.Contains(history, "late answer") || log.has("late answer") {
				w.Errorf("the history is %q", history)
			}
		},
		"what it says after a supervisor has given its chat away is refused by the server": func(w *world) {
			log, _ := w.bot(nil)
			who := w.goRegister("Nika")
			user, nika := w.goChat(who, "Nika")
			_, err := user.Send(w.Context(), "When do you open?")
			w.must(err)
			nika.hears("When do you open?", "I am a bot.", "Always.")
			lulu := w.person("Lulu", "supervisor")
			over, look := w.goChat(who.As(goclient.Observer, ""), "Lulu", lulu.token)
			joined := hear(look, "who has the chat", func(goclient.Joined) bool { return true })
			// A socket of the bot's that does not hear that the chat was given away, because it
			// has not asked for that, and answers nevertheless.
			deaf := w.person("Robo").chat(&visitor{userID: who.UserID, chatID: who.ChatID, username: "Nika"})
			deaf.ignoreRest()
			deaf.send("Join", obj{"userId": who.UserID, "username": "Nika", "from": "Support", "supportId": joined.SupportID})
			deaf.expectPast("ChatHistory")
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				late, _ := json.Marshal(obj{"type": "ChatMessage", "args": obj{"userId": who.UserID, "supportId": joined.SupportID, "from": "Support", "content": "late answer"}})
				for range 1_000 { // until the server closes it
					if deaf.write(websocket.MessageText, string(late)) != nil {
						return
					}
				}
			}()
			w.must(over.Transfer(w.Context(), goclient.ToQueue(), ""))
			before := 0
			hear(nika, "the bot has left", func(e goclient.Event) bool {
				if m, ok := e.(goclient.Message); ok && m.Content == "late answer" {
					before++
				}
				_, left := e.(goclient.Leaving)
				return left
			})
			<-sent
			_, _, history := w.takesOffered("Vika", who)
			after := -before
			for _, content := range history {
				if content == "late answer" {
					after++
				}
			}
			if after != 0 {
				w.Errorf("%d answers before the end, and %d after it", before, after)
			}
			if log.has("transfer failed") {
				w.Error("the bot has handed over what it did not have")
			}
		},
		"it hands its chats over when it is stopped": func(w *world) {
			_, stop := w.bot(nil)
			who := w.goRegister("Nika")
			user, nika := w.goChat(who, "Nika")
			_, err := user.Send(w.Context(), "When do you open?")
			w.must(err)
			nika.hears("When do you open?", "I am a bot.", "Always.")
			stop()
			nika.hears("I will get somebody.")
			hear(nika, "the bot has left", func(l goclient.Leaving) bool { return l.Reason == "transfer" })
			w.takesOffered("Vika", who)
		},
	}))
}
