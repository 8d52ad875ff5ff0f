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

// Embed starts embedded servers in place of those that cfg does not name, and sets their
// URLs in cfg. It returns a function that ends them and a sentence about them for the log,
// which is empty if there are none.
type Embed func(cfg *Config) (end func(), notice string, err error)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the main function of the named command: it serves parts until SIGINT or SIGTERM
// and returns the exit code. A second signal kills the process at once. SIGHUP reads the
// settings again, if there are any. embed is nil in a command that requires the URL of
// every server.
func Main(name string, parts Parts, embed Embed) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	// A closed terminal or a dead reader of the log must not end conversations.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	again := make(chan os.Signal, 1)

	cfg, err := Parse(name, os.Args[1:], os.LookupEnv)
	if help := Help(""); errors.As(err, &help) {
		fmt.Print(help)
		return exitOK
	}
	if err == nil && cfg.Healthcheck {
		err = healthcheck(ctx, cfg, parts)
	} else if err == nil {
		if cfg.Settings != "" {
			signal.Notify(again, syscall.SIGHUP)
		}
		err = run(ctx, cfg, parts, embed, again)
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
	return exitOK // also after a signal: the process takes with it what the shutdown could not close
}

func run(ctx context.Context, cfg Config, parts Parts, embed Embed, again <-chan os.Signal) error {
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
	return b.run(ctx, again)
}

// pageURL returns the URL of a listener's page for a browser on this machine.
func pageURL(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}
