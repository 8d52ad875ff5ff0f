package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Embed starts the servers that cfg leaves out and sets their URLs in cfg. It
// returns what ends them, and a sentence about them for the log, which is empty
// if there are none.
type Embed func(cfg *Config) (end func(), notice string, err error)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the main function of the command name, which serves parts until
// SIGINT or SIGTERM, and returns its exit code. A second signal kills at once;
// SIGHUP does nothing.
// embed is nil in a command that needs every server's URL.
func Main(name string, parts Parts, embed Embed) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	// A terminal that closes, and a reader of the log that dies, end no conversations.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)

	cfg, err := Parse(name, os.Args[1:], os.LookupEnv)
	if help := Help(""); errors.As(err, &help) {
		fmt.Print(help)
		return exitOK
	}
	if err == nil && cfg.Healthcheck {
		err = healthcheck(ctx, cfg, parts)
	} else if err == nil {
		err = run(ctx, cfg, parts, embed)
	}
	if err != nil {
		say(name + ": " + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	usage := UsageError("")
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case err != nil && ctx.Err() == nil:
		return exitFailed
	}
	return exitOK // also after a signal: what the shutdown could not close ends with the process
}

func run(ctx context.Context, cfg Config, parts Parts, embed Embed) error {
	cfg.warnings = cfg.doubts(os.Environ())
	notice := ""
	if embed == nil {
		if err := cfg.requireURLs(); err != nil {
			return err
		}
	} else {
		end, embedded, err := embed(&cfg)
		if err != nil {
			return err
		}
		defer end()
		notice = embedded
	}
	b, err := Start(ctx, cfg, parts)
	if err != nil {
		return err
	}
	if notice != "" {
		b.log.Warn(notice, "visitor", pageURL(b.ChatAddr()), "agent", pageURL(b.LobbyAddr()))
	}
	return b.run(ctx)
}

// pageURL is what to open in a browser on this machine for a listener's page.
func pageURL(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}
