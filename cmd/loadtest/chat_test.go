package main

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// short is a test of chats that takes less than a second: 80 messages in five
// chats, eight from each side.
func short(chats, lobbies []string, more ...string) []string {
	return append(at(chats, lobbies), append([]string{
		"chat", "--chats=5", "--rate=320", "--count=80", "--duration=3s", "--warmup=0s", "--settle=0s", "--drain=10s",
	}, more...)...)
}

func TestChat(t *testing.T) {
	for name, servers := range map[string]int{"one server": 1, "both sides on different ones": 2} {
		t.Run(name, func(t *testing.T) {
			chats, lobbies := startServers(t, servers, nil)
			s, code := test(t, short(chats, lobbies)...)
			require.Equal(t, exitOK, code, s.Faults)
			require.Empty(t, s.Faults)
			require.False(t, s.Interrupted)
			require.Equal(t, 10, s.Connections)
			c := s.Chats
			require.EqualValues(t, 80, c.Planned)
			require.EqualValues(t, 80, c.Sent)
			require.EqualValues(t, 160, c.Copies)
			require.EqualValues(t, 80, c.Delivery.Count)
			require.EqualValues(t, 80, c.Receipt.Count)
			require.EqualValues(t, 5, c.Opening.Claim.Count)
			require.EqualValues(t, 5, c.Opening.SupportJoin.Count)
			require.Equal(t, 5, c.Histories)
			require.EqualValues(t, 5, c.Rejoin.Count)
			require.EqualValues(t, 16, c.MessagesPerHistory)
			require.Positive(t, c.Delivery.P50)
			require.GreaterOrEqual(t, c.Delivery.Max, c.Delivery.P99)
			require.GreaterOrEqual(t, s.Seconds, 0.24, "79 intervals of 1/320 s")
			require.GreaterOrEqual(t, s.Heartbeats.Answered, int64(10), "each connection gets one at once")
			require.Len(t, s.Servers, servers)
		})
	}
}

// TestBadServers: what a server does wrong is found, counted, and nothing else.
func TestBadServers(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	// every lets through but one message of eight, which it hands over.
	every := func(faults *atomic.Int64, what func(text string) []string) func() alteration {
		return func() alteration {
			n := 0
			return func(text string) []string {
				if isMessage(text) {
					if n++; n%8 == 3 {
						faults.Add(1)
						return what(text)
					}
				}
				return []string{text}
			}
		}
	}
	for name, bug := range map[string]struct {
		flags  []string
		server func(faults *atomic.Int64) func() alteration
		found  func(s Summary) int64
		words  string // of the faults, which are no others
	}{
		"loses": {
			[]string{"--drain=2s", "--histories=0"},
			func(faults *atomic.Int64) func() alteration {
				return every(faults, func(string) []string { return nothing })
			},
			func(s Summary) int64 { return s.Chats.Lost }, "lost",
		},
		"doubles": {
			nil,
			func(faults *atomic.Int64) func() alteration {
				return every(faults, func(text string) []string { return []string{text, text} })
			},
			func(s Summary) int64 { return s.Chats.Duplicates }, "more than once",
		},
		"invents": {
			nil,
			func(faults *atomic.Int64) func() alteration {
				return every(faults, func(text string) []string {
					return []string{text, strings.Replace(text, `"content":"#`, `"content":"!`, 1)}
				})
			},
			func(s Summary) int64 { return s.Chats.Unexpected }, "no client should get",
		},
		"stamps with an older time": {
			nil,
			func(faults *atomic.Int64) func() alteration {
				return every(faults, func(text string) []string {
					return []string{strings.Replace(text, `"timestamp":"2`, `"timestamp":"1`, 1)}
				})
			},
			func(s Summary) int64 { return s.Chats.Backwards }, "backwards",
		},
		"overtakes": { // the third message of the user comes behind the fourth
			nil,
			func(faults *atomic.Int64) func() alteration {
				return func() alteration {
					n, held := 0, ""
					return func(text string) []string {
						if !isFrom(text, "User") {
							return []string{text}
						}
						switch n++; n {
						case 3:
							held = text
							faults.Add(1)
							return nothing
						case 4:
							return []string{text, held}
						}
						return []string{text}
					}
				}
			},
			func(s Summary) int64 { return s.Chats.OutOfOrder }, "behind a later one|backwards|histories",
		},
		"tells the sides different orders": { // the user sees each support's message before their own
			[]string{"--histories=0"},
			func(faults *atomic.Int64) func() alteration {
				return func() alteration {
					isUser, held, n := false, nothing, 0
					return func(text string) []string {
						switch {
						case strings.HasPrefix(text, `{"type":"UserJoined"`):
							isUser = true
							faults.Add(1)
						case isUser && isFrom(text, "User"):
							held = append(held, text)
							if n++; n < 8 {
								return nothing
							}
							out := held // no other message need come
							held = nothing
							return out
						case isUser && isFrom(text, "Support"):
							out := append([]string{text}, held...)
							held = nothing
							return out
						}
						return []string{text}
					}
				}
			},
			func(s Summary) int64 { return s.Chats.Disagree }, "different orders|backwards",
		},
		"forgets the history": {
			nil,
			func(faults *atomic.Int64) func() alteration {
				return func() alteration {
					return func(text string) []string {
						if strings.HasPrefix(text, `{"type":"ChatHistory"`) {
							faults.Add(1)
							return []string{`{"type":"ChatHistory","args":{"messages":[]}}`}
						}
						return []string{text}
					}
				}
			},
			func(s Summary) int64 { return int64(s.Chats.HistoriesWrong) }, "histories",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var faults atomic.Int64
			url := bad(t, chats[0], bug.server(&faults))
			s, code := test(t, short([]string{url}, lobbies, bug.flags...)...)
			require.Equal(t, exitFaults, code)
			require.Positive(t, faults.Load())
			require.Equal(t, faults.Load(), bug.found(s), s.Faults)
			words := strings.Split(bug.words, "|")
			require.Len(t, s.Faults, len(words), s.Faults)
			for i, word := range words {
				require.Contains(t, s.Faults[i], word)
			}
		})
	}
}

func TestServerThatCuts(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	url := bad(t, chats[0], func() alteration {
		n := 0
		return func(text string) []string {
			if isMessage(text) {
				if n++; n == 5 {
					return nil
				}
			}
			return []string{text}
		}
	})
	s, code := test(t, short([]string{url}, lobbies, "--drain=500ms", "--histories=0")...)
	require.Equal(t, exitFaults, code)
	cut := 0
	for _, n := range s.Cut { // by reason: an end, or a reset
		cut += n
	}
	require.Equal(t, 10, cut, s.Cut)
	require.Positive(t, s.Chats.Lost)
}

// TestRefusal: a message that the server refuses is told as that, not as lost.
func TestRefusal(t *testing.T) {
	chats, lobbies := startServers(t, 1, func(c *backend.Config) { c.MessageRate, c.MessageBurst = 0.001, 3 })
	s, code := test(t, short(chats, lobbies)...)
	require.Equal(t, exitFaults, code)
	require.Equal(t, map[string]int{"rate_limited": 50}, s.Refused, "8 messages from each of 10, burst 3")
	require.Zero(t, s.Chats.Lost)
	require.EqualValues(t, 60, s.Chats.Copies)
	require.Len(t, s.Faults, 1)
}

// TestAgentToken loads servers that want a token of agents.
func TestAgentToken(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	chats, lobbies := startServers(t, 1, func(c *backend.Config) { c.AgentSecret = secret })
	token, err := web.Token{Subject: "loadtest"}.Sign(secret, time.Hour)
	require.NoError(t, err)
	var stderr strings.Builder
	require.Equal(t, exitFailed, run(t.Context(), short(chats, lobbies), io.Discard, &stderr, false), "without a token")
	t.Setenv("AGENT_TOKEN", token)
	for _, args := range [][]string{
		short(chats, lobbies), short(chats, lobbies, "--direct"),
		append(at(chats, lobbies), "lobby", "--agents=3", "--pending=10", "--joins=20", "--claims=10", "--duration=1s"),
	} {
		s, code := test(t, args...)
		require.Equal(t, exitOK, code, "%v: %v", args, s.Faults)
	}
	t.Setenv("AGENT_TOKEN", token+"\r\nX: y")
	stderr.Reset()
	require.Equal(t, exitUsage, run(t.Context(), short(chats, lobbies), io.Discard, &stderr, false))
	require.NotContains(t, stderr.String(), token)
}

func TestWithoutLobby(t *testing.T) {
	chats, _ := startServers(t, 1, nil)
	s, code := test(t, short(chats, []string{"http://127.0.0.1:1"}, "--direct")...)
	require.Equal(t, exitOK, code, s.Faults)
	require.EqualValues(t, 80, s.Chats.Sent)
	require.Zero(t, s.Chats.Opening.Claim.Count)
}

// interruption is of a test while its progress line shows certain words.
type interruption struct {
	name string
	args []string
	when string
}

// TestInterrupt: the end of the context ends the test, with the summary of what
// there was until then, whatever the test is doing.
func TestInterrupt(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	for _, test := range append(interruptedIdle, []interruption{
		{"chat", []string{"chat", "--chats=4", "--rate=50", "--settle=0s"}, " sent · "},
		{"opening", []string{"chat", "--chats=10000", "--openers=2"}, "opening chats · "},
		{"lobby", []string{"lobby", "--agents=2", "--joins=5"}, " claimed · "},
	}...) {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stdout bytes.Buffer
			line := &watchedLine{when: test.when, then: cancel}
			began := time.Now()
			code := run(ctx, append(at(chats, lobbies), append(test.args, "--duration=10m")...), &stdout, line, true)
			require.Equal(t, exitOK, code, stdout.String())
			require.Contains(t, stdout.String(), ", interrupted\n")
			require.Contains(t, stdout.String(), "\nno faults\n")
			require.Less(t, time.Since(began), time.Minute)
			require.True(t, strings.HasSuffix(line.text.String(), clearLine), "the line is wiped at the end")
		})
	}
	// The servers are in this process, too, so only goroutines of ours tell.
	require.Eventually(t, func() bool {
		stacks := make([]byte, 8<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("livesupport/cmd/loadtest.(*"))
	}, 10*time.Second, 20*time.Millisecond, "a goroutine of the test is left")
}

// watchedLine is a terminal that calls then once it has shown certain words.
type watchedLine struct {
	text bytes.Buffer
	when string
	then func()
}

func (w *watchedLine) Write(p []byte) (int, error) {
	w.text.Write(p)
	if strings.Contains(w.text.String(), w.when) {
		w.then()
	}
	return len(p), nil
}
