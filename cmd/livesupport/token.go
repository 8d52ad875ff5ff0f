package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"livesupport/cmd/internal/backend"
	"livesupport/lobby/wire"
	"livesupport/web"
)

// request describes the token to make.
type request struct {
	Sub     string        `required:"" placeholder:"ID" help:"The person's permanent, unique id."`
	Name    string        `placeholder:"NAME" help:"The name that the other side sees. Default: the id."`
	Role    string        `enum:",supervisor" default:"" placeholder:"ROLE" help:"supervisor: an agent who may watch every chat, write notes in it and end it."`
	Teams   []string      `placeholder:"TEAM,..." help:"Teams whose visitors the agent sees, in addition to visitors without a team. Default: all teams."`
	TTL     time.Duration `name:"ttl" default:"8h" help:"How long the token is valid."`
	Visitor bool          `help:"Make a visitor's token, signed with VISITOR_SECRET, as your site would."`
}

const tokenHelp = "Makes a token for an agent, signed with AGENT_SECRET, with the audience AGENT_AUDIENCE and the issuer AGENT_ISSUER if those are set. With --visitor, makes one for a visitor."

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
			fmt.Fprintf(stderr, "livesupport token: %s has white space or quotes around it, which were removed: set it without them\n", variable)
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
	case slices.ContainsFunc(r.Teams, func(team string) bool { n := utf8.RuneCountInString(team); return n < 1 || n > 64 }):
		return errors.New("--teams: want names of 1 to 64 characters, with commas between them")
	case r.TTL <= 0:
		return errors.New("--ttl: want a duration above zero such as 8h")
	default:
		r.Name = name
	}
	signed, err := web.Token{Subject: r.Sub, Name: r.Name, Role: r.Role, Teams: r.Teams, Audience: audience, Issuer: issuer}.Sign(secret, r.TTL)
	if err != nil {
		return err
	}
	// The checks above do not find every mistake: make sure that servers accept the token.
	if _, err := web.NewSecretVerifier(secret, "", "").Verify(signed); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, signed)
	return err
}
