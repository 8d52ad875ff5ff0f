package backend_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A rawSocket is a WebSocket whose frames the scenario makes itself.
type rawSocket struct {
	net.Conn
	w    *world
	r    *bufio.Reader
	name string // what was sent, for failures
}

// handshake asks for an upgrade; what follows the request goes out with it, in
// one write.
func (w *world) handshake(addr, head, behind string) (*rawSocket, *http.Response) {
	w.Helper()
	// A small window, so that who does not read is soon noticed.
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
	}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(4 * patience))
	for i := 0; i < len(upgrading); i += 2 {
		head += upgrading[i] + ": " + upgrading[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"+behind); err != nil {
		w.Fatal(err)
	}
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		w.Fatal(err)
	}
	return &rawSocket{Conn: conn, w: w, r: r}, response
}

// rawDial opens a raw socket; frames behind the request come with it.
func (w *world) rawDial(addr, path string, behind ...ws.Frame) *rawSocket {
	w.Helper()
	var frames bytes.Buffer
	for _, f := range behind {
		if err := ws.WriteFrame(&frames, ws.MaskFrame(f)); err != nil {
			w.Fatal(err)
		}
	}
	s, response := w.handshake(addr, "GET "+path+" HTTP/1.1\r\nHost: "+addr+"\r\n", frames.String())
	if response.StatusCode != http.StatusSwitchingProtocols {
		w.Fatalf("%s: status %d", path, response.StatusCode)
	}
	return s
}

// rawPorts opens a raw socket of each port.
func (w *world) rawPorts() []*rawSocket {
	w.Helper()
	return []*rawSocket{
		w.rawDial(w.nextChat(), "/chat/"+w.register("Nika").chatID),
		w.rawDial(w.nextLobby(), "/users"),
	}
}

func (s *rawSocket) send(frames ...ws.Frame) {
	s.w.Helper()
	for _, f := range frames {
		if !f.Header.Masked {
			f = ws.MaskFrame(f)
		}
		s.sendAsIs(f)
	}
}

func (s *rawSocket) sendAsIs(f ws.Frame) {
	s.w.Helper()
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, f); err != nil {
		s.w.Fatal(err)
	}
	s.sendBytes(b.Bytes())
}

func (s *rawSocket) sendBytes(b []byte) {
	s.w.Helper()
	if _, err := s.Write(b); err != nil {
		s.w.Fatal(err)
	}
}

// next reads a frame that is no heartbeat. A server's frame is never masked.
func (s *rawSocket) next() (ws.Frame, error) {
	for {
		f, err := ws.ReadFrame(s.r)
		if err != nil {
			return f, err
		}
		if f.Header.Masked || !f.Header.Fin || f.Header.Rsv != 0 {
			return f, fmt.Errorf("the server sent the frame %+v", f.Header)
		}
		if f.Header.OpCode != ws.OpText || string(f.Payload) != "ping" {
			return f, nil
		}
	}
}

func (s *rawSocket) expect(code ws.OpCode, payload string) {
	s.w.Helper()
	f, err := s.next()
	if err != nil || f.Header.OpCode != code || string(f.Payload) != payload {
		s.w.Fatalf("got frame %v %q, %v instead of %v %q", f.Header.OpCode, f.Payload, err, code, payload)
	}
}

// expectJSON wants a text frame with exactly this object.
func (s *rawSocket) expectJSON(want obj) {
	s.w.Helper()
	f, err := s.next()
	if err != nil || f.Header.OpCode != ws.OpText {
		s.w.Fatalf("got frame %v %q, %v", f.Header.OpCode, f.Payload, err)
	}
	got, err := parse(string(f.Payload))
	if err != nil {
		s.w.Fatal(err)
	}
	if wrong := mismatch("", want, got); wrong != "" {
		s.w.Fatalf("got %s: %s", f.Payload, wrong)
	}
}

// expectAlive wants an answer.
func (s *rawSocket) expectAlive() {
	s.w.Helper()
	s.send(ws.NewTextFrame([]byte(`{"type":"AreYouThere"}`)))
	s.expectJSON(frame("Error", obj{"code": "unknown_type", "message": aSentence}))
}

// expectEnd wants the connection to end: with one of these codes, or cut.
func (s *rawSocket) expectEnd(codes ...ws.StatusCode) {
	s.w.Helper()
	_ = s.SetReadDeadline(time.Now().Add(patience))
	f, err := s.next()
	if err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			s.w.Fatalf("%s: the socket stays open", s.name)
		}
		return
	}
	code, _ := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose {
		s.w.Fatalf("%s: got frame %v %q", s.name, f.Header.OpCode, f.Payload)
	}
	if !slices.Contains(codes, code) {
		s.w.Fatalf("%s: closed with %d instead of %v", s.name, code, codes)
	}
	s.echo(f)
	s.expectEOF()
}

// echo answers a close frame. The server may have let go already.
func (s *rawSocket) echo(closing ws.Frame) {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrame(ws.NewCloseFrame(closing.Payload)))
	_, _ = s.Write(b.Bytes())
}

// expectEOF wants the server to let go of the connection.
func (s *rawSocket) expectEOF() {
	s.w.Helper()
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, s.r); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			s.w.Fatal("the connection stays open after the close frame")
		}
	}
}

func TestScenarioFrames(t *testing.T) {
	t.Parallel()
	join := func(v *visitor) []byte { return []byte(text(frame("Join", v.asUser()))) }
	part := func(code ws.OpCode, fin bool, payload []byte) ws.Frame { return ws.NewFrame(code, fin, payload) }
	inEveryPlace(t, shared(nil, scenarios{
		"a frame in the segment of the upgrade request works": func(w *world) {
			for range 10 {
				v := w.register("Nika")
				s := w.rawDial(w.nextChat(), "/chat/"+v.chatID, ws.NewTextFrame(join(v)))
				s.expectJSON(frame("UserJoined", v.pending()))
				s.expectAlive()
				lobby := w.rawDial(w.nextLobby(), "/users", ws.NewTextFrame([]byte("pong:support")), ws.NewTextFrame([]byte(`{"type":"Nonsense"}`)), ws.NewPingFrame([]byte("x")))
				lobby.expectJSON(frame("Error", obj{"code": "unknown_type", "message": aSentence}))
				lobby.expect(ws.OpPong, "x")
				lobby.expectAlive()
			}
		},
		"many frames, and half of one, in the segment of the upgrade request": func(w *world) {
			v := w.register("Nika")
			frames := []ws.Frame{ws.NewTextFrame(join(v))}
			for range 50 {
				frames = append(frames, ws.NewTextFrame([]byte(`{"type":"Nonsense","pad":"`+strings.Repeat("x", 300)+`"}`)))
			}
			var all bytes.Buffer
			for _, f := range frames {
				if err := ws.WriteFrame(&all, ws.MaskFrame(f)); err != nil {
					w.Fatal(err)
				}
			}
			head := "GET /chat/" + v.chatID + " HTTP/1.1\r\nHost: x\r\n"
			half := all.Len() - 100
			s, _ := w.handshake(w.nextChat(), head, all.String()[:half])
			s.sendBytes(all.Bytes()[half:])
			s.expectJSON(frame("UserJoined", v.pending()))
			for range 50 {
				s.expectJSON(frame("Error", obj{"code": "unknown_type", "message": aSentence}))
			}
		},
		"a ping frame is answered with its payload": func(w *world) {
			for _, s := range w.rawPorts() {
				for _, payload := range []string{"", "hello", strings.Repeat("x", 125)} {
					s.send(ws.NewPingFrame([]byte(payload)))
					s.expect(ws.OpPong, payload)
				}
				s.send(ws.NewPongFrame([]byte("unasked")))
				s.expectAlive()
			}
		},
		"a message may come in fragments, with control frames between": func(w *world) {
			v := w.register("Nika")
			s := w.rawDial(w.nextChat(), "/chat/"+v.chatID)
			message := join(v)
			s.send(part(ws.OpText, false, message[:10]), ws.NewPingFrame([]byte("between")))
			s.expect(ws.OpPong, "between")
			s.send(part(ws.OpContinuation, false, message[10:20]), part(ws.OpContinuation, false, nil), part(ws.OpContinuation, true, message[20:]))
			s.expectJSON(frame("UserJoined", v.pending()))
			// A character cut in two by a fragment is whole in the message.
			said := []byte(`{"type":"ChatMessage","args":{"from":"User","content":"😀"}}`)
			middle := bytes.Index(said, []byte("😀")) + 2
			s.send(part(ws.OpText, false, said[:middle]), part(ws.OpContinuation, true, said[middle:]))
			s.expectJSON(frame("ChatMessage", v.message("User", "😀")))
			s.send(part(ws.OpText, false, []byte("pong:")), part(ws.OpContinuation, true, []byte("user")))
			s.expectAlive()
			s.send(part(ws.OpBinary, false, []byte(`{"type":`)), part(ws.OpContinuation, true, []byte(`"Join"}`)))
			s.expectJSON(frame("Error", obj{"code": "bad_json", "message": aSentence}))
			s.expectAlive()
		},
		"fragments that add up to more than 65,536 bytes: 1009": func(w *world) {
			for _, s := range w.rawPorts() {
				s.send(part(ws.OpText, false, bytes.Repeat([]byte(" "), 40_000)), part(ws.OpContinuation, false, bytes.Repeat([]byte(" "), 25_536)))
				s.send(ws.NewPingFrame([]byte("so far so good")))
				s.expect(ws.OpPong, "so far so good")
				s.send(part(ws.OpContinuation, false, []byte(" ")))
				s.expectTooBig()
			}
		},
		"a length that is announced and never comes: 1009 at once": func(w *world) {
			var sent []*rawSocket
			for _, length := range [][]byte{
				{0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1}, {0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0}, {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			} {
				for _, s := range w.rawPorts() {
					s.sendBytes(append(length, 1, 2, 3, 4))
					sent = append(sent, s)
				}
			}
			for _, s := range sent {
				s.expectTooBig()
			}
		},
		"a frame that comes byte by byte": func(w *world) {
			v := w.register("Nika")
			s := w.rawDial(w.nextChat(), "/chat/"+v.chatID)
			var b bytes.Buffer
			if err := ws.WriteFrame(&b, ws.MaskFrame(ws.NewTextFrame(join(v)))); err != nil {
				w.Fatal(err)
			}
			for _, one := range b.Bytes() {
				s.sendBytes([]byte{one})
			}
			s.expectJSON(frame("UserJoined", v.pending()))
		},
		"a close frame is echoed, then the connection ends": func(w *world) {
			for _, body := range [][]byte{
				nil, ws.NewCloseFrameBody(1000, ""), ws.NewCloseFrameBody(1000, "bye"), ws.NewCloseFrameBody(1001, ""), ws.NewCloseFrameBody(3000, "x"), ws.NewCloseFrameBody(4999, ""),
			} {
				for _, s := range w.rawPorts() {
					s.send(ws.NewCloseFrame(body))
					f, err := s.next()
					if err != nil || f.Header.OpCode != ws.OpClose {
						w.Fatalf("got frame %v %q, %v", f.Header.OpCode, f.Payload, err)
					}
					if len(body) > 0 && (len(f.Payload) < 2 || !bytes.Equal(f.Payload[:2], body[:2])) {
						w.Fatalf("close %x was echoed as %x", body, f.Payload)
					}
					s.expectEOF()
				}
			}
		},
		"what RFC 6455 forbids: 1002 or cut": func(w *world) {
			bad := func(change func(*ws.Frame)) ws.Frame {
				f := ws.NewTextFrame([]byte(`{"type":"Load"}`))
				change(&f)
				return f
			}
			closing := func(body ...byte) ws.Frame { return ws.NewCloseFrame(body) }
			var sent []*rawSocket // all of them first: a server may take its time to let go
			for name, frames := range map[string][]ws.Frame{
				"reserved bit 1":               {bad(func(f *ws.Frame) { f.Header.Rsv = ws.Rsv(true, false, false) })},
				"reserved bit 2":               {bad(func(f *ws.Frame) { f.Header.Rsv = ws.Rsv(false, true, false) })},
				"reserved bit 3":               {bad(func(f *ws.Frame) { f.Header.Rsv = ws.Rsv(false, false, true) })},
				"reserved opcode":              {bad(func(f *ws.Frame) { f.Header.OpCode = 3 })},
				"reserved control opcode":      {bad(func(f *ws.Frame) { f.Header.OpCode = 11 })},
				"oversized ping":               {part(ws.OpPing, true, make([]byte, 126))},
				"oversized close":              {part(ws.OpClose, true, append([]byte{3, 232}, make([]byte, 124)...))},
				"fragmented ping":              {part(ws.OpPing, false, []byte("x"))},
				"continuation of nothing":      {part(ws.OpContinuation, true, []byte(`{"type":"Load"}`))},
				"message inside a message":     {part(ws.OpText, false, []byte("{")), part(ws.OpText, true, []byte("}"))},
				"close with half a code":       {closing(3)},
				"close with a reserved code":   {closing(3, 237)}, // 1005
				"close with a code under 1000": {closing(0, 7)},
			} {
				for _, s := range w.rawPorts() {
					s.send(frames...)
					sent = append(sent, s.named(name))
				}
			}
			for _, s := range w.rawPorts() {
				s.sendAsIs(ws.NewTextFrame([]byte(`{"type":"Load"}`)))
				sent = append(sent, s.named("unmasked"))
			}
			for _, s := range sent {
				s.expectEnd(ws.StatusProtocolError)
			}
		},
		"a close reason that is no UTF-8: 1007, 1002 or cut": func(w *world) {
			for _, s := range w.rawPorts() {
				s.send(ws.NewCloseFrame([]byte{3, 232, 0xff}))
				s.expectEnd(ws.StatusInvalidFramePayloadData, ws.StatusProtocolError)
			}
		},
		"a connection that is reset harms nobody": func(w *world) {
			v, user, support := w.couple()
			for range 5 {
				s := w.rawDial(w.nextChat(), "/chat/"+v.chatID, ws.NewTextFrame([]byte(text(frame("Join", with(v.asUser(), "supportId", v.supportID))))))
				s.expectJSON(frame("ChatHistory", obj{"messages": []obj{}}))
				_ = s.Conn.(*net.TCPConn).SetLinger(0)
				_ = s.Close()
			}
			user.said("still here", support)
		},
		"a handshake without its headers is no upgrade": func(w *world) {
			v := w.register("Nika")
			for _, missing := range []string{"Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"} {
				request := "GET /chat/" + v.chatID + " HTTP/1.1\r\nHost: x\r\n"
				for i := 0; i < len(upgrading); i += 2 {
					if upgrading[i] != missing {
						request += upgrading[i] + ": " + upgrading[i+1] + "\r\n"
					}
				}
				if missing != "Connection" {
					request = strings.Replace(request, "Connection: Upgrade", "Connection: Upgrade, close", 1)
				} else {
					request += "Connection: close\r\n"
				}
				r := w.raw(w.nextChat(), request+"\r\n")
				if r.status < 400 || r.status > 499 {
					w.Fatalf("without %s: status %d", missing, r.status)
				}
				w.expectFailure(r, r.status, anything)
			}
		},
	}))
}

// named says in failures what was sent.
func (s *rawSocket) named(name string) *rawSocket {
	s.name = name
	return s
}

// expectTooBig wants close 1009; the error that goes with it may come before.
func (s *rawSocket) expectTooBig() {
	s.w.Helper()
	f, err := s.next()
	if err == nil && f.Header.OpCode == ws.OpText && strings.Contains(string(f.Payload), `"too_large"`) {
		f, err = s.next()
	}
	code, _ := ws.ParseCloseFrameData(f.Payload)
	if err != nil || f.Header.OpCode != ws.OpClose || code != ws.StatusMessageTooBig {
		s.w.Fatalf("got frame %v %q, %v instead of close 1009", f.Header.OpCode, f.Payload, err)
	}
	s.echo(f)
	s.expectEOF()
}
