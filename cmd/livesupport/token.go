package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"livesupport/lobby/wire"
	"livesupport/web"
)

// request is what a token is asked for.
type request struct {
	Sub  string        `required:"" placeholder:"ID" help:"Who the agent is, for good: tells them from all others."`
	Name string        `placeholder:"NAME" help:"What visitors see. Default: the ID."`
	TTL  time.Duration `name:"ttl" default:"8h" help:"How long the token counts."`
}

const tokenHelp = "Makes a token for an agent, signed with AGENT_SECRET, for AGENT_AUDIENCE and from AGENT_ISSUER where they are set."

// token prints an agent's token and returns the exit code.
func token(args []string, env func(string) string, stdout, stderr io.Writer) int {
	if err := printToken(args, env, stdout); err != nil {
		fmt.Fprintf(stderr, "livesupport token: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		return 2
	}
	return 0
}

func printToken(args []string, env func(string) string, stdout io.Writer) error {
	var r request
	helped := false
	parser, err := kong.New(&r, kong.Name("livesupport token"), kong.Description(tokenHelp),
		kong.Writers(stdout, stdout), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return err
	}
	if _, err := parser.Parse(args); helped || err != nil {
		if helped {
			return nil
		}
		return err
	}
	secret := env("AGENT_SECRET")
	switch name, ok := wire.Name(r.Name); {
	case len(secret) < web.MinSecret:
		return fmt.Errorf("AGENT_SECRET has %d bytes: want the servers' secret of at least %d", len(secret), web.MinSecret)
	case r.Name != "" && !ok:
		return errors.New("--name: want 1 to 64 characters, none of them a control character")
	case r.TTL <= 0:
		return errors.New("--ttl: want a duration above zero such as 8h")
	default:
		r.Name = name
	}
	signed, err := web.SignToken(secret, r.Sub, r.Name, env("AGENT_AUDIENCE"), env("AGENT_ISSUER"), r.TTL)
	if err != nil {
		return err
	}
	// Not every mistake has been looked for: servers must take what is printed.
	if _, err := web.NewSecretVerifier(secret, "", "").Verify(signed); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, signed)
	return err
}
