package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"livesupport/web"
)

func TestToken(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	run := func(args string, env ...string) (code int, stdout, stderr string) {
		var out, err strings.Builder
		variables := map[string]string{}
		for i := 0; i < len(env); i += 2 {
			variables[env[i]] = env[i+1]
		}
		code = token(strings.Fields(args), func(name string) string { return variables[name] }, &out, &err)
		return code, out.String(), err.String()
	}
	code, stdout, stderr := run("--sub vika --name Vika --ttl 8h", "AGENT_SECRET", secret, "AGENT_AUDIENCE", "a", "AGENT_ISSUER", "i")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	who, err := web.NewSecretVerifier(secret, "a", "i").Verify(strings.TrimSuffix(stdout, "\n"))
	require.NoError(t, err)
	require.Equal(t, "vika", who.Subject)
	require.Equal(t, "Vika", who.Name)
	require.WithinDuration(t, time.Now().Add(8*time.Hour), who.Expires, time.Minute)

	code, stdout, stderr = run("--sub vika --role supervisor --teams billing,sales", "AGENT_SECRET", secret)
	require.Zero(t, code, stderr)
	who, err = web.NewSecretVerifier(secret, "", "").Verify(strings.TrimSuffix(stdout, "\n"))
	require.NoError(t, err)
	require.True(t, who.Supervisor)
	require.Equal(t, []string{"billing", "sales"}, who.Teams)

	const visitors = "fedcba9876543210fedcba9876543210"
	code, stdout, stderr = run("--visitor --sub 7 --name Nika", "AGENT_SECRET", secret, "VISITOR_SECRET", visitors, "AGENT_AUDIENCE", "a")
	require.Zero(t, code, stderr)
	who, err = web.NewSecretVerifier(visitors, "", "").Verify(strings.TrimSuffix(stdout, "\n"))
	require.NoError(t, err)
	require.Equal(t, "Nika", who.Name)
	_, err = web.NewSecretVerifier(secret, "", "").Verify(strings.TrimSuffix(stdout, "\n"))
	require.Error(t, err)
	code, _, stderr = run("--visitor --sub 7", "AGENT_SECRET", secret)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "VISITOR_SECRET has 0 bytes")

	code, stdout, stderr = run("--help")
	require.Zero(t, code)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "AGENT_SECRET")

	for args, want := range map[string]string{
		"":                      "missing flags: --sub=ID",
		"--sub vika --ttl 0s":   "--ttl: want a duration above zero such as 8h",
		"--sub vika --teams ,":  "--teams: want names of 1 to 64 characters",
		"--sub vika --ttl soon": "--ttl: expected duration",
		"--sub vika --name " + strings.Repeat("x", 65): "--name: want 1 to 64 characters",
		"--sub " + strings.Repeat("x", 300):            "",
		"--subject vika":                               "unknown flag --subject",
	} {
		code, stdout, stderr = run(args, "AGENT_SECRET", secret)
		require.Equal(t, 2, code, args)
		require.Empty(t, stdout)
		require.True(t, strings.HasPrefix(stderr, "livesupport token: "+want), stderr)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
	for _, wrapped := range []string{secret + "\n", `"` + secret + `"`, " " + secret} {
		code, stdout, stderr := run("--sub vika", "AGENT_SECRET", wrapped)
		require.Zero(t, code)
		require.Equal(t, "livesupport token: AGENT_SECRET has white space or quotes around it, which were removed: set it without them\n", stderr)
		_, err := web.NewSecretVerifier(secret, "", "").Verify(strings.TrimSuffix(stdout, "\n"))
		require.NoError(t, err, "the servers remove it, too")
	}
	for _, short := range []string{"", "s3cret"} {
		code, stdout, stderr = run("--sub vika", "AGENT_SECRET", short)
		require.Equal(t, 2, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "want the servers' secret of at least 32")
		require.NotContains(t, stderr, "s3cret")
	}
}
