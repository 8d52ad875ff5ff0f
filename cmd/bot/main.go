// Command bot is an agent that answers visitors from a file of questions and answers. It
// gets its visitors as offers from the lobby (ASSIGN), and transfers a chat to the queue
// when the visitor asks for a person or it has no answer. It needs the addresses of both
// servers and, where agents need tokens, one of its own. It is a command of its own rather
// than a part of the servers because it only does what any agent can do.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"livesupport/client"
	"livesupport/cmd/internal/bot"
)

type flags struct {
	ChatURL   string `default:"http://localhost:9000" placeholder:"URL" help:"URL of the chat server."`
	LobbyURL  string `default:"http://localhost:9001" placeholder:"URL" help:"URL of the lobby."`
	Answers   string `required:"" placeholder:"FILE" help:"JSON file with questions and answers, such as cmd/bot/answers.json."`
	TokenFile string `placeholder:"FILE" help:"File with the bot's token, if agents need tokens. The bot reads it again for each connection."`
	Name      string `default:"Bot" help:"Name that visitors see. Ignored with a token, which has its own name."`
	Capacity  int    `default:"10" help:"Maximum number of chats at once, 1 to 100."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("bot"), kong.Description("Answers visitors from a file and transfers chats to people when it has no answer."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "bot:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	text, err := os.ReadFile(f.Answers)
	if err != nil {
		return err
	}
	answers, err := bot.ParseAnswers(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Answers, err)
	}
	if f.Capacity < 1 || f.Capacity > 100 {
		return fmt.Errorf("--capacity=%d: want 1 to 100", f.Capacity)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var options client.Options
	if f.TokenFile != "" {
		options.Token = func() string {
			token, err := os.ReadFile(f.TokenFile)
			if err != nil {
				log.Error("cannot read the token", "error", err)
			}
			return strings.TrimSpace(string(token))
		}
	}
	return bot.Run(ctx, bot.Config{
		ChatURL: f.ChatURL, LobbyURL: f.LobbyURL, Name: f.Name, Capacity: f.Capacity, Options: options,
		Answers: answers, Answer: answers.To, Log: log,
	})
}
