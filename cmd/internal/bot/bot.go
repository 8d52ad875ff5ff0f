// Package bot is an automatic agent: it accepts the visitors that the lobby offers it,
// answers what it can, and transfers the others to the queue. It uses only the package
// client, not the servers' packages.
package bot

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"livesupport/client"
)

const (
	// maxQuestions is how many questions of one visitor can wait for an answer.
	maxQuestions = 8
	// maxRemembered is how many transferred chats the bot remembers.
	maxRemembered = 10_000
	// parting is how long a transfer may take.
	parting = 5 * time.Second
	// maxQuoted is how many characters of a question a note quotes.
	maxQuoted = 500
)

// Config says where a bot works and what it knows.
type Config struct {
	ChatURL, LobbyURL string
	Name              string // without a token
	Capacity          int    // chats at once
	Options           client.Options
	Answers           Answers
	// Answer returns the answer to a message, "" if there is none. It may be slow: an
	// answer that comes after the transfer is dropped.
	Answer func(ctx context.Context, message string) (string, error)
	Log    *slog.Logger
}

type bot struct {
	Config
	lobby *client.Lobby
	room  chan struct{} // holds a value for each chat

	mu     sync.Mutex
	handed map[string]bool // by chat
	order  []string
}

// Run serves chats until the context ends or the lobby refuses the bot, which is the error.
// Then it transfers its chats to the queue, and returns when all of its goroutines have ended.
func Run(ctx context.Context, config Config) error {
	b := &bot{Config: config, room: make(chan struct{}, config.Capacity), handed: map[string]bool{}}
	b.lobby = client.OpenLobby(ctx, config.LobbyURL, client.Profile{Name: config.Name}, config.Options)
	defer b.lobby.Close()
	var chats sync.WaitGroup
	defer chats.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := b.lobby.SetStatus(ctx, client.Status{Status: "online", Capacity: config.Capacity}); err != nil {
		return b.lobby.Err()
	}
	for e := range b.lobby.Events() {
		switch e := e.(type) {
		case client.State:
			b.Log.Info("lobby", "state", e.State, "problem", e.Problem)
		case client.Offer:
			b.take(ctx, &chats, e.Visitor)
		}
	}
	return b.lobby.Err()
}

// take accepts an offer, unless the bot has already transferred that chat: a release begins
// a new wait, in which the lobby offers the visitor to every agent again.
func (b *bot) take(ctx context.Context, chats *sync.WaitGroup, visitor client.Visitor) {
	if b.knows(visitor.ChatID) {
		_ = b.lobby.Decline(ctx, visitor) // if this fails, the offer expires
		return
	}
	select {
	case b.room <- struct{}{}:
	default:
		_ = b.lobby.Decline(ctx, visitor)
		return
	}
	won, err := b.lobby.Claim(ctx, visitor)
	if err != nil {
		b.Log.Info("claim failed", "chat", short(visitor.ChatID), "error", err)
	}
	if !won { // another agent was faster, or there is no answer
		<-b.room
		return
	}
	chats.Go(func() {
		defer func() { <-b.room }()
		b.serve(ctx, visitor)
	})
}

func (b *bot) knows(chatID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.handed[chatID]
}

func (b *bot) remember(chatID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handed[chatID] {
		return
	}
	if b.handed[chatID] = true; len(b.order) == maxRemembered {
		delete(b.handed, b.order[0])
		b.order = b.order[1:]
	}
	b.order = append(b.order, chatID)
}

// talk is a chat of the bot.
type talk struct {
	*bot
	chat      *client.Chat
	chatID    string
	questions chan string
	once      sync.Once
}

// serve answers a visitor until the chat has ended or was transferred.
func (b *bot) serve(ctx context.Context, visitor client.Visitor) {
	// The chat outlives ctx for the time that the transfer takes.
	chat := client.OpenChat(context.WithoutCancel(ctx), b.ChatURL, visitor.As(client.Support, b.Name), b.Options)
	defer chat.Close()
	t := &talk{bot: b, chat: chat, chatID: visitor.ChatID, questions: make(chan string, maxQuestions)}
	var answering sync.WaitGroup
	defer answering.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answering.Go(func() { t.answer(ctx) })
	for {
		select {
		case <-ctx.Done():
			t.handOver("The bot is being stopped.")
			return
		case e, ok := <-chat.Events():
			if !ok || !t.hear(e) {
				return
			}
		}
	}
}

// hear reports whether the chat goes on.
func (t *talk) hear(e client.Event) bool {
	switch e := e.(type) {
	case client.State:
		if e.Problem == client.Released { // perhaps a supervisor has transferred it
			t.remember(t.chatID)
		}
		return e.State != client.Ended
	case client.History:
		first := len(e.Messages)
		for first > 0 && e.Messages[first-1].From == client.User {
			first--
		}
		for _, m := range e.Messages[first:] {
			t.asked(m)
		}
	case client.Message:
		if e.From == client.User {
			t.asked(e)
		}
	}
	return true
}

// asked takes a message of the visitor. A visitor who asks for a person is transferred
// without waiting for answers to earlier questions.
func (t *talk) asked(m client.Message) {
	if t.Answers.WantsAgent(m.Content) {
		t.handOver("The visitor asked for a person: " + quoted(m.Content))
		return
	}
	select {
	case t.questions <- m.Content:
	default:
		t.handOver("The visitor asks questions faster than the bot can answer.")
	}
}

// answer answers one question after the other.
func (t *talk) answer(ctx context.Context) {
	if t.Answers.Greeting != "" {
		t.say(ctx, t.Answers.Greeting)
	}
	for {
		var question string
		select {
		case question = <-t.questions:
		case <-ctx.Done():
			return
		}
		_ = t.chat.Type(ctx, true)
		answer, err := t.Answer(ctx, question)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil || answer == "":
			t.handOver(fmt.Sprintf("The bot has no answer to: %s", quoted(question)))
			return
		}
		t.say(ctx, answer)
	}
}

// say sends a message to the visitor. After the transfer the server refuses the bot's
// messages, so the bot never talks over the next agent.
func (t *talk) say(ctx context.Context, text string) {
	if _, err := t.chat.Send(ctx, text); err != nil {
		t.Log.Info("message not sent", "chat", short(t.chatID), "error", err)
	}
}

// handOver transfers the chat to the queue, once, with a note for the next agent.
func (t *talk) handOver(note string) {
	t.once.Do(func() {
		t.remember(t.chatID)
		ctx, cancel := context.WithTimeout(context.Background(), parting)
		defer cancel()
		if t.Answers.Handover != "" {
			t.say(ctx, t.Answers.Handover)
		}
		if err := t.chat.Transfer(ctx, client.ToQueue(), note); err != nil {
			// The server releases the chat after SUPPORT_GRACE.
			t.Log.Warn("transfer failed", "chat", short(t.chatID), "error", err)
			t.chat.Close()
		}
	})
}

func quoted(text string) string {
	if utf8.RuneCountInString(text) <= maxQuoted {
		return text
	}
	return string([]rune(text)[:maxQuoted]) + "…"
}

// short returns as much of a chat's id as a log may have.
func short(chatID string) string { return chatID[:min(8, len(chatID))] }
