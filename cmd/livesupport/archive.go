package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"livesupport/chat/archive"
	"livesupport/cmd/internal/backend"
)

const archiveHelp = `Usage: livesupport archive recompute [flags]

Computes the figures of all archived chats again from their logs. Run it when the
definition of a figure has changed. Servers can keep running meanwhile, and you can
stop the command and start it again. ARCHIVE_URL and the flags are those of the servers.
`

// openTimeout bounds connecting to the archive.
const openTimeout = 10 * time.Second

// archiveCommand maintains the archive and returns the exit code.
func archiveCommand(args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	return runCommand("archive", stderr, func(ctx context.Context) error { return recompute(ctx, args, lookup, stdout) })
}

// runCommand runs a command until it ends or a signal arrives, prints an error in one
// line, and returns the exit code.
func runCommand(name string, stderr io.Writer, run func(context.Context) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "livesupport %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
	if usage := backend.UsageError(""); errors.As(err, &usage) {
		return 2
	}
	return 1
}

// openArchive opens the archive that the configuration names. The caller closes it.
func openArchive(ctx context.Context, cfg backend.Config) (*archive.Archive, error) {
	cfg.EmbedArchive()
	if !cfg.Archives() {
		return nil, backend.UsageError("ARCHIVE_URL is off: want the URL of an archive")
	}
	a, err := archive.New(archive.Config{URL: cfg.ArchiveURL, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := a.Open(ctx); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func recompute(ctx context.Context, args []string, lookup func(string) (string, bool), stdout io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "--help", len(args) > 1 && args[1] == "--help":
		fmt.Fprint(stdout, archiveHelp)
		return nil
	case len(args) == 0 || args[0] != "recompute":
		return backend.UsageError("want livesupport archive recompute (see --help)")
	}
	cfg, err := backend.Parse("livesupport", args[1:], lookup)
	if err != nil {
		return err
	}
	a, err := openArchive(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	n, err := a.Recompute(ctx)
	fmt.Fprintf(stdout, "Recomputed %d chats\n", n)
	return err
}
