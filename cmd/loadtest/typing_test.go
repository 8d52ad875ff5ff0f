package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTyping(t *testing.T) {
	for name, servers := range map[string]int{"one server": 1, "both sides on different ones": 2} {
		t.Run(name, func(t *testing.T) {
			chats, lobbies := startServers(t, servers, nil)
			s, code := test(t, append(at(chats, lobbies), "typing", "--chats=5", "--every=50ms", "--duration=200ms", "--settle=0s")...)
			require.Equal(t, exitOK, code, s.Faults)
			require.Equal(t, 10, s.Connections)
			require.Equal(t, 5, s.Typing.Chats)
			require.EqualValues(t, 40, s.Typing.Sent)
			if servers == 1 {
				require.EqualValues(t, 10, s.Typing.PassedOn, "the first of each side; the others come within a second")
			}
			require.LessOrEqual(t, s.Typing.PassedOn, int64(40))
			require.Len(t, s.Servers, servers)
		})
	}
}
