package browser_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/client"
	"livesupport/cmd/internal/backend"
	"livesupport/cmd/internal/bot"
	"livesupport/web"
)

// robot is the bot of cmd/bot at work, until the test ends.
func (s *site) robot(answers string) {
	s.Helper()
	known, err := bot.ParseAnswers([]byte(answers))
	if err != nil {
		s.Fatal(err)
	}
	token, err := web.Token{Subject: "robo", Name: "Robo"}.Sign(agentSecret, time.Hour)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- bot.Run(ctx, bot.Config{
			ChatURL: s.chat, LobbyURL: s.lobby, Capacity: 2, Options: client.Options{Token: func() string { return token }},
			Answers: known, Answer: known.To, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
	}()
	s.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.Errorf("the bot: %v", err)
		}
	})
}

// TestBotHandsOver: a visitor talks to the bot, asks for a person, and is offered to one,
// who reads the bot's note; from then on the bot says nothing.
func TestBotHandsOver(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) {
		tokens(cfg)
		cfg.Assign = "round_robin"
	})
	s.robot(`{"greeting":"Hello, I am a bot.","handover":"I will get somebody for you.","agent":["human"],
		"questions":[{"ask":["open"],"answer":"From nine to five."}]}`)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "When do you open?")
	visitor.conversation("When do you open?", "Hello, I am a bot.", "From nine to five.")
	visitor.shows(".status", "You’re chatting with Robo")
	visitor.shot("widget-bot")

	vika := s.works(desktop, "vika", "Vika", "")
	visitor.says("I want a human")
	visitor.conversation("When do you open?", "Hello, I am a bot.", "From nine to five.", "I want a human", "I will get somebody for you.")
	visitor.shows(".status", "Robo has transferred your chat.")
	vika.shows(".offers .name", "Nika")
	vika.considers()
	vika.press(kb.Enter)
	vika.connected()
	visitor.shows(".status", "You’re chatting with Vika")
	vika.shows(".team-note .whose", "Note by Robo")
	vika.shows(".team-note .text", "The visitor asked for a person: I want a human")
	vika.says("A person here.")
	visitor.says("When do you open?") // the bot would have known
	vika.says("At nine.")
	visitor.conversation("When do you open?", "Hello, I am a bot.", "From nine to five.", "I want a human", "I will get somebody for you.",
		"A person here.", "When do you open?", "At nine.")
	vika.accessible("handed over by a bot")
	vika.shot("agent-bot-handed-over")
	visitor.shot("widget-bot-handed-over")
}
