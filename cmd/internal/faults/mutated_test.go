package faults_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMutatedFrames sends mutated frames to a chat server and a lobby, from sockets of
// which some have joined. No frame ends a server or reaches other clients.
func TestMutatedFrames(t *testing.T) {
	s := begin(t)
	t.Parallel()
	w := newWorld(t, "redis")
	chat, lobby := w.startChat(), w.startLobby()
	frames := s.mutated
	s.chats = 5
	tr := w.talk(s)
	seed := uint64(1)
	if s.mutated > short.mutated {
		seed = rand.Uint64() // the short form is the same each time
	}
	const workers = 8
	var all errgroup
	var sent, sockets, closed, refused atomic.Int64
	for n := range workers {
		all.Go(func() error {
			m := mutator{rand.New(rand.NewPCG(seed, uint64(n)))}
			for sent.Load() < int64(frames) {
				v, err := register(chat.addr, fmt.Sprint("Mutant", n))
				if err != nil {
					return err
				}
				addr, path := chat.addr, "/chat/"+v.ChatID
				if n%4 == 3 {
					addr, path = lobby.addr, "/users"
				}
				socket, err := dialRaw(addr, path)
				if err != nil {
					return err
				}
				sockets.Add(1)
				written, answer := m.attack(socket, m.corpus(v))
				sent.Add(int64(written))
				refused.Add(int64(bytes.Count(answer, []byte(`"Error"`))))
				if bytes.Contains(answer, []byte{0x88}) {
					closed.Add(1)
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%s: seed %d: mutated frames %d over %d sockets; answered with an Error %d, sockets closed by a close frame %d", t.Name(), seed, sent.Load(), sockets.Load(), refused.Load(), closed.Load())
	w.alive(chat, lobby)
	tr.flows("after it all", 5*time.Second)
	if total := tr.settle(15 * time.Second); total.sockets != 2*len(tr.chats) {
		t.Errorf("%d sockets for %d participants: others were cut", total.sockets, 2*len(tr.chats))
	}
	eventually(t, 15*time.Second, "the goroutines of dead sockets end", func() bool { return w.metrics(chat)["go_goroutines"] < 100 })
}

type mutator struct{ *rand.Rand }

// corpus returns the valid frames of a conversation.
func (m mutator) corpus(v visitor) [][]byte {
	join := map[string]any{"userId": v.UserID, "username": v.Username, "from": "User", "features": []string{"messageId"}}
	support := map[string]any{"userId": v.UserID, "supportUserName": "Vika", "from": "Support"}
	frames := [][]byte{
		rawText("pong:user"), rawText(encode("Pong", map[string]any{"from": "User"})), rawText(encode("Load", map[string]any{"batch": true})),
		rawText(encode("JoinUser", v)), rawFrame(0x89, "ping"), rawFrame(0x8a, "pong"),
		rawText(encode("ChatMessage", map[string]any{"userId": v.UserID, "supportId": "", "content": "Olá \U0001F600 \\ \" \u2028", "from": "User", "messageId": "1"})),
		append(rawFrame(0x01, `{"type":"ChatMessage","args":{"content":"in`), rawFrame(0x80, ` pieces","from":"User"}}`)...),
	}
	m.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
	first := [][]byte{rawText(encode("Join", join)), rawText(encode("Join", support)), rawText(encode("Load", nil))}[m.IntN(3)]
	return append([][]byte{first}, frames...)
}

// attack writes frames until the server ends the socket, but not many. It returns the
// number of mutated ones, and everything that the server sent.
func (m mutator) attack(s *rawSocket, corpus [][]byte) (written int, answer []byte) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(10 * time.Second))
	var reader sync.WaitGroup
	reader.Go(func() {
		answer, _ = io.ReadAll(io.LimitReader(s.r, 1<<20)) // to its end, whatever that is
	})
	written = m.write(s, corpus)
	// The server reads all of it before it finds the end.
	_ = s.Conn.(*net.TCPConn).CloseWrite() // it may have ended
	reader.Wait()
	return written, answer
}

func (m mutator) write(s *rawSocket, corpus [][]byte) (written int) {
	if m.IntN(4) > 0 {
		if _, err := s.Write(corpus[0]); err != nil {
			return 0 // it has ended already
		}
	}
	// Frames whose bytes were changed come last: the server ends the socket with
	// most of them.
	good := m.IntN(24)
	for i := range good + 1 + m.IntN(3) {
		frame := corpus[m.IntN(len(corpus))]
		if i < good {
			frame = m.payload(frame)
		} else {
			frame = m.bytes(frame)
		}
		if _, err := s.Write(frame); err != nil {
			break
		}
		written++
	}
	return written
}

// bytes mutates the bytes of a frame on the wire, header included.
func (m mutator) bytes(frame []byte) []byte {
	b := bytes.Clone(frame)
	for range 1 + m.IntN(4) {
		if len(b) < 2 {
			return b
		}
		i := m.IntN(len(b))
		if m.IntN(3) == 0 {
			i = m.IntN(2) // the header
		}
		switch m.IntN(5) {
		case 0:
			b[i] ^= 1 << m.IntN(8)
		case 1:
			b[i] = byte(m.Uint32())
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = append(b[:i:i], append(bytes.Repeat([]byte{byte(m.Uint32())}, 1+m.IntN(20)), b[i:]...)...)
		case 4:
			b = b[:i+1]
		}
	}
	return b
}

// payload mutates the content of a frame and keeps the frame valid.
func (m mutator) payload(frame []byte) []byte {
	size := int(frame[1] & 0x7f)
	header := 6
	if size == 126 {
		size, header = int(frame[2])<<8|int(frame[3]), 8
	}
	text := make([]byte, size)
	for i := range text {
		text[i] = frame[header+i] ^ frame[header-4+i%4]
	}
	pieces := []string{`{`, `}`, `[`, `"`, `\u0000`, `\ud800`, "\xff", `null`, `1e999`, `"type":`, `"args":`, `,`, `:`, "\x00", `"from":"Support"`, `9007199254740993`}
	for range 1 + m.IntN(3) {
		if len(text) == 0 {
			break
		}
		i, j := m.IntN(len(text)), m.IntN(len(text))
		switch m.IntN(4) {
		case 0:
			text[i] = byte(m.Uint32())
		case 1:
			text = append(text[:min(i, j):min(i, j)], text[max(i, j):]...)
		case 2:
			text = append(text[:i:i], append([]byte(pieces[m.IntN(len(pieces))]), text[i:]...)...)
		case 3:
			text = append(text[:i:i], append(bytes.Repeat(text[min(i, j):max(i, j)], 1+m.IntN(30)), text[i:]...)...)
			text = text[:min(len(text), 70_000)] // a little more than a message may have
		}
	}
	return rawFrame(frame[0], string(text))
}
