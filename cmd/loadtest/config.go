package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// common has the flags of every test.
type common struct {
	ChatURL  []string      `name:"chat-url" default:"http://127.0.0.1:9000" placeholder:"URL" help:"URLs of the chat servers, comma-separated. With several, the two sides of a chat connect to different ones. (default: ${default})"`
	LobbyURL []string      `name:"lobby-url" default:"http://127.0.0.1:9001" placeholder:"URL" help:"URLs of the lobbies, comma-separated. (default: ${default})"`
	Source   []string      `placeholder:"IP" help:"Local addresses to connect from in turn, comma-separated. By default the system chooses one; for more than 10,000 connections over loopback on Linux, the test uses sixteen addresses of 127.0.0.0/8."`
	Openers  int           `default:"16" help:"How many chats or users to open at the same time."`
	Duration time.Duration `default:"10s" help:"How long to apply the load."`
	Drain    time.Duration `default:"5s" help:"How long to wait at the end for outstanding messages."`
	// Prefer the variable: other users of the machine can see flags.
	AgentToken string `env:"AGENT_TOKEN" placeholder:"TOKEN" help:"An agent's token, for servers that require one. \"livesupport token\" makes it. It must not expire during the test."`
	JSON       bool   `name:"json" help:"Print the summary as one JSON object."`
}

// chatOptions has the flags of the chat test.
type chatOptions struct {
	Chats     int           `default:"100" help:"Number of chats, each with a user and a support."`
	Rate      float64       `default:"100" help:"Messages per second over all chats. A server accepts 20 per second from one side of a chat unless its MESSAGE_RATE says otherwise."`
	Count     int           `help:"Maximum number of messages; 0 means no limit but the duration."`
	Size      int           `default:"200" help:"Size of a message's content in bytes."`
	Warmup    time.Duration `default:"1s" help:"Load before the measured duration, left out of the latencies."`
	Settle    time.Duration `default:"2s" help:"Pause between opening the chats and the load, to measure the servers' CPU time at rest."`
	Direct    bool          `help:"Let supports join their chats without claiming the users on the lobby."`
	Histories int           `default:"10" help:"Number of chats whose history is compared at the end with the messages that came live."`
}

// lobbyOptions has the flags of the lobby test.
type lobbyOptions struct {
	Agents    int     `default:"10" help:"Number of agents who watch the lobby."`
	Pending   int     `help:"Number of users who wait before the load begins."`
	Loads     int     `default:"5" help:"Number of Loads to measure, both with and without batch."`
	Joins     float64 `default:"10" help:"Users per second who start to wait; 0 means none."`
	Count     int     `help:"Maximum number of users who start to wait; 0 means no limit but the duration."`
	Claims    int     `help:"Number of users for the agents to claim after that; after each claim a support joins."`
	ClaimRate float64 `default:"20" help:"Claims per second."`
}

// options is a parsed command line: the common flags and the test to run.
type options struct {
	common
	test func(context.Context, *load) (*Summary, error)
}

// help is the error of parse for --help. Its text is the help to print.
type help string

func (h help) Error() string { return string(h) }

// parse reads the command line. An error is help, or one line for the user.
func parse(args []string) (options, error) {
	var line struct {
		common
		Chat  chatOptions  `cmd:"" default:"withargs" help:"Send messages in both directions at a fixed rate and check latency, loss, duplicates and order. This is the default."`
		Idle  idleOptions  `cmd:"" help:"Hold connections that only answer the heartbeat, up to millions, from several processes if needed; some chats may talk meanwhile. For Linux."`
		Lobby lobbyOptions `cmd:"" help:"Let agents watch the lobby while users arrive, and measure Load, UserJoined and claims."`

		Typing typingOptions `cmd:"" help:"Let both sides of every chat type all the time, and measure what passing that on costs."`
	}
	var text bytes.Buffer
	asked := false
	parser, err := kong.New(&line,
		kong.Name("loadtest"),
		kong.Description("Puts a running Livesupport under load and checks its answers. Exit codes: 0: success; 1: the test could not run; 2: wrong flags; 3: messages were lost, duplicated, out of order or refused, or connections were cut."),
		kong.Writers(&text, &text),
		kong.Exit(func(int) { asked = true }),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: false}),
	)
	if err != nil {
		return options{}, err
	}
	parsed, err := parser.Parse(args)
	if asked {
		return options{}, help(text.String())
	}
	if err != nil {
		return options{}, fmt.Errorf("%w (see --help)", err)
	}
	o := options{common: line.common}
	if err := o.common.check(); err != nil {
		return options{}, err
	}
	switch name, _, _ := strings.Cut(parsed.Command(), " "); name {
	case "idle":
		err = line.Idle.check()
		o.test = func(ctx context.Context, l *load) (*Summary, error) { return l.idle(ctx, line.Idle) }
	case "lobby":
		err = line.Lobby.check()
		o.test = func(ctx context.Context, l *load) (*Summary, error) { return l.lobby(ctx, line.Lobby) }
	case "typing":
		err = line.Typing.check()
		o.test = func(ctx context.Context, l *load) (*Summary, error) { return l.typing(ctx, line.Typing) }
	default:
		err = line.Chat.check()
		o.test = func(ctx context.Context, l *load) (*Summary, error) { return l.chat(ctx, line.Chat) }
	}
	return o, err
}

const (
	maxConnections = 200_000
	maxRate        = 200_000
	maxDuration    = 24 * time.Hour
	maxContent     = 8_000 // of the protocol
)

// within returns an error unless low <= value <= high.
func within[T int | float64 | time.Duration](flag string, value, low, high T) error {
	if value >= low && value <= high { // not for NaN
		return nil
	}
	return fmt.Errorf("--%s=%v: want %v to %v", flag, value, low, high)
}

// first returns the first error, because joined errors would take several lines.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// token matches a token, and the empty string.
var token = regexp.MustCompile(`^[\w.-]*$`)

func (c *common) check() error {
	for _, list := range []struct {
		flag string
		urls []string
	}{{"chat-url", c.ChatURL}, {"lobby-url", c.LobbyURL}} {
		if len(list.urls) == 0 {
			return fmt.Errorf("--%s: want a URL such as http://127.0.0.1:9000", list.flag)
		}
		for i, text := range list.urls {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" {
				return fmt.Errorf("--%s=%q: want a URL such as http://127.0.0.1:9000", list.flag, text)
			}
			list.urls[i] = strings.TrimSuffix(text, "/")
		}
	}
	for _, source := range c.Source {
		if net.ParseIP(source) == nil {
			return fmt.Errorf("--source=%q: want IP addresses of this machine, comma-separated", source)
		}
	}
	if !token.MatchString(c.AgentToken) {
		return errors.New("AGENT_TOKEN: want a token as livesupport token prints it")
	}
	return first(
		within("openers", c.Openers, 1, 1000),
		within("duration", c.Duration, 10*time.Millisecond, maxDuration),
		within("drain", c.Drain, 0, time.Hour),
	)
}

func (o *chatOptions) check() error {
	return first(
		within("chats", o.Chats, 1, maxConnections/2),
		within("rate", o.Rate, 0.001, maxRate),
		within("count", o.Count, 0, 1<<31),
		within("size", o.Size, minContent, maxContent),
		within("warmup", o.Warmup, 0, time.Hour),
		within("settle", o.Settle, 0, time.Hour),
		within("histories", o.Histories, 0, maxConnections),
	)
}

func (o *lobbyOptions) check() error {
	if o.Claims > 0 && o.Joins == 0 && o.Pending < o.Claims {
		return errors.New("--claims: want no more than there are users")
	}
	return first(
		within("agents", o.Agents, 1, maxConnections),
		within("pending", o.Pending, 0, maxConnections),
		within("loads", o.Loads, 0, 1000),
		within("joins", o.Joins, 0, maxRate),
		within("count", o.Count, 0, maxConnections),
		within("claims", o.Claims, 0, maxConnections),
		within("claim-rate", o.ClaimRate, 0.001, maxRate),
	)
}
