// Command loadtest puts a running Livesupport under load over its own protocol. It
// reports latencies and whether messages were lost, duplicated or out of order. See its
// README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the test could not run
	exitUsage  = 2
	exitFaults = 3 // the test ran, and the servers broke a promise
)

func main() {
	workerMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills at once
	terminal := isatty.IsTerminal(os.Stderr.Fd())
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, terminal))
}

// run is main with its surroundings as parameters, and returns the exit code. If stderr
// is a terminal, the progress line goes there. When ctx ends, the test ends early and
// prints the summary so far.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, terminal bool) int {
	options, err := parse(args)
	if help := help(""); errors.As(err, &help) {
		fmt.Fprint(stdout, help)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadtest:", oneLine(err))
		return exitUsage
	}
	l := newLoad(options.common)
	if terminal {
		l.progress = startProgress(stderr)
	}
	summary, err := options.test(ctx, l)
	l.close()
	l.progress.end()
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted before the test began")
		}
		fmt.Fprintln(stderr, "loadtest:", oneLine(err))
		return exitFailed
	}
	if options.JSON {
		err = summary.writeJSON(stdout)
	} else {
		err = summary.writeText(stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "loadtest: writing the summary:", oneLine(err))
		return exitFailed
	case len(summary.Faults) > 0:
		return exitFaults
	}
	return exitOK
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
