package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"livesupport/cmd/internal/backend"
	"livesupport/lobby/wire"
	"livesupport/web"
)

// request is what a token is asked for.
type request struct {
	Sub     string        `required:"" placeholder:"ID" help:"The person's permanent id, unlike everybody else's."`
	Name    string        `placeholder:"NAME" help:"The name that the other side sees. Default: the id."`
	Role    string        `enum:",supervisor" default:"" placeholder:"ROLE" help:"supervisor: an agent who may look on in every chat, leave notes and end it."`
	TTL     time.Duration `name:"ttl" default:"8h" help:"How long the token is valid."`
	Visitor bool          `help:"Make a visitor's token, signed with VISITOR_SECRET, as your site would."`
}

const tokenHelp = "Makes a token for an agent, signed with AGENT_SECRET, for AGENT_AUDIENCE and from AGENT_ISSUER where they are set; or for a visitor."

// token prints a token and returns the exit code.
func token(args []string, env func(string) string, stdout, stderr io.Writer) int {
	if err := printToken(args, env, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "livesupport token: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		return 2
	}
	return 0
}

func printToken(args []string, env func(string) string, stdout, stderr io.Writer) error {
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
	setting := func(variable string) string { // as the servers read it
		value, wrapped := backend.Unwrap(env(variable))
		if wrapped {
			fmt.Fprintf(stderr, "livesupport token: %s has white space or quotes around it, which were cut off: set it without them\n", variable)
		}
		return value
	}
	variable, audience, issuer := "VISITOR_SECRET", "", ""
	if !r.Visitor {
		variable, audience, issuer = "AGENT_SECRET", setting("AGENT_AUDIENCE"), setting("AGENT_ISSUER")
	}
	secret := setting(variable)
	switch name, ok := wire.Name(r.Name); {
	case len(secret) < web.MinSecret:
		return fmt.Errorf("%s has %d bytes: want the servers' secret of at least %d", variable, len(secret), web.MinSecret)
	case r.Name != "" && !ok:
		return errors.New("--name: want " + wire.NameWanted)
	case r.TTL <= 0:
		return errors.New("--ttl: want a duration above zero such as 8h")
	default:
		r.Name = name
	}
	signed, err := web.Token{Subject: r.Sub, Name: r.Name, Role: r.Role, Audience: audience, Issuer: issuer}.Sign(secret, r.TTL)
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
