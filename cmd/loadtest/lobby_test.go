package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func smallLobby(chats, lobbies []string, more ...string) []string {
	return append(at(chats, lobbies), append([]string{
		"lobby", "--agents=4", "--pending=6", "--loads=2", "--joins=20", "--count=10", "--openers=4", "--claims=5", "--drain=10s",
	}, more...)...)
}

func TestLobby(t *testing.T) {
	chats, lobbies := startServers(t, 2, nil)
	s, code := test(t, smallLobby(chats, lobbies)...)
	require.Equal(t, exitOK, code, s.Faults)
	require.Empty(t, s.Faults)
	v := s.Lobby
	require.Equal(t, 4, v.Agents)
	require.Equal(t, 6, v.Pending)
	require.EqualValues(t, 10, v.Joins)
	require.EqualValues(t, 2, v.LoadFirst.Count)
	require.EqualValues(t, 2, v.LoadLast.Count)
	require.EqualValues(t, 2, v.LoadBatch.Count)
	require.EqualValues(t, 10, v.Join.Count)
	require.EqualValues(t, 40, v.Announce.Count)
	require.EqualValues(t, 10, v.AnnounceAll.Count)
	require.EqualValues(t, 5, v.Claim.Count)
	require.EqualValues(t, 20, v.Removal.Count)
	require.EqualValues(t, 5, v.Taken.Count)
	require.Equal(t, 16+4+5, s.Connections)
	require.GreaterOrEqual(t, v.AnnounceAll.P50, v.Announce.P50)
}

func TestBadLobbies(t *testing.T) {
	const joined, removed = `{"type":"UserJoined"`, `{"type":"RemoveUser"`
	for name, bug := range map[string]struct {
		kind  string
		what  func(text string) []string
		found func(v *Lobby) int64
		word  string
	}{
		"loses an announcement":   {joined, func(string) []string { return nothing }, func(v *Lobby) int64 { return v.Missing }, "did not come"},
		"loses a removal":         {removed, func(string) []string { return nothing }, func(v *Lobby) int64 { return v.Missing }, "did not come"},
		"doubles an announcement": {joined, func(text string) []string { return []string{text, text} }, func(v *Lobby) int64 { return v.Doubled }, "twice"},
		"doubles a removal":       {removed, func(text string) []string { return []string{text, text} }, func(v *Lobby) int64 { return v.Doubled }, "twice"},
		"removes who waits": {joined, func(text string) []string {
			m, _ := decode([]byte(text))
			return []string{text, removed + `,"args":{"userId":"` + m.Args.UserID + `"}}`}
		}, func(v *Lobby) int64 { return v.Ghosts }, "not claimed"},
	} {
		t.Run(name, func(t *testing.T) {
			// Users of another test would still be leaving, and be altered, too.
			chats, lobbies := startServers(t, 1, nil)
			var faults atomic.Int64
			url := bad(t, lobbies[0], func() alteration {
				n := 0
				return func(text string) []string {
					if strings.HasPrefix(text, bug.kind) {
						if n++; n == 2 {
							faults.Add(1)
							return bug.what(text)
						}
					}
					return []string{text}
				}
			})
			flags := []string{}
			if bug.word == "did not come" {
				flags = append(flags, "--drain=1s")
			}
			s, code := test(t, smallLobby(chats, []string{url}, flags...)...)
			require.Equal(t, exitFaults, code)
			require.EqualValues(t, 4, faults.Load(), "one for each agent")
			require.EqualValues(t, 4, bug.found(s.Lobby), s.Faults)
			require.Len(t, s.Faults, 1)
			require.Contains(t, s.Faults[0], bug.word)
		})
	}
}

// TestLoadMisses: a snapshot without one of the users is found.
func TestLoadMisses(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	url := bad(t, lobbies[0], func() alteration {
		return func(text string) []string {
			if at := strings.Index(text, `{"username"`); strings.HasPrefix(text, `{"type":"PendingUsers"`) && at > 0 {
				if end := strings.Index(text[at:], "},"); end > 0 {
					text = text[:at] + text[at+end+2:]
				}
			}
			return []string{text}
		}
	})
	s, code := test(t, smallLobby(chats, []string{url}, "--joins=0", "--claims=0", "--drain=100ms")...)
	require.Equal(t, exitFaults, code)
	require.EqualValues(t, 2+4, s.Lobby.Missing, "two Loads and four agents")
}
