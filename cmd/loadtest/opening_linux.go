package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// opening is a connection that is not idle yet.
type opening struct {
	kind  uint8
	step  uint8
	chat  *pair // of a user or a support
	at    target
	began time.Time
	last  time.Time // when the step began
}

// pair is a chat whose sides are not both there yet.
type pair struct {
	identity
	server int
}

// Steps of an opening.
const (
	stepConnecting = iota
	stepRegistering
	stepUpgrading
	stepJoining
)

var stepNames = [...]string{"connecting", "registering", "upgrading", "joining"}
var kindNames = [kinds]string{"a user", "a support", "an agent"}

var heartbeat = string(ws.MustCompileFrame(ws.NewTextFrame([]byte("ping"))))

// launch begins as many openings as may be on their way. A support comes as soon as the
// chat's user is there, so that nobody waits in the lobby for long.
func (w *worker) launch() {
	for len(w.openings) < w.Openers && w.status.Failed == "" {
		var o *opening
		switch n := len(w.supports); {
		case n > 0:
			p := w.supports[n-1]
			w.supports = w.supports[:n-1]
			o = &opening{kind: kindSupport, chat: p, at: w.chatServers[p.server]}
		case w.chatsWanted && w.chats < w.Chats.N:
			server := w.Chats.server(w.chats, len(w.chatServers))
			o = &opening{kind: kindUser, chat: &pair{server: server}, at: w.chatServers[server]}
			o.chat.Username = "loadtest-" + strconv.Itoa(w.Chats.First+w.chats+1)
			w.chats++
		case w.agentsWanted && w.agents < w.Agents.N:
			o = &opening{kind: kindAgent, at: w.lobbies[w.Agents.server(w.agents, len(w.lobbies))]}
			w.agents++
		default:
			return
		}
		o.began = time.Now()
		o.last = o.began
		var source netip.Addr
		if n := len(w.sources); n > 0 {
			source = w.sources[w.turn%n]
			w.turn++
		}
		fd, err := w.set.connect(source, o.at.address)
		if err != nil {
			w.fail(o, err)
			return
		}
		for int(fd) >= len(w.slots) { // descriptors that the process was born with
			w.slots = append(w.slots, slot{})
		}
		w.slots[fd] = slot{kind: o.kind, state: slotOpening}
		w.openings[fd] = o
	}
}

func (w *worker) fail(o *opening, err error) {
	if w.status.Failed == "" {
		w.status.Failed = fmt.Sprintf("%s %s to %s: %s", kindNames[o.kind], stepNames[o.step], o.at.address, endReason(err))
	}
}

// expire gives up openings in which nothing has moved for too long.
func (w *worker) expire(now time.Time) {
	for fd, o := range w.openings {
		if now.Sub(o.last) > setupTimeout {
			w.ended(fd, fmt.Errorf("no answer within %s", setupTimeout))
		}
	}
}

// connected goes on when there is a connection: a user registers over it first.
func (w *worker) connected(fd int32, o *opening) error {
	if o.kind == kindUser {
		o.next(stepRegistering)
		return write(fd, fmt.Appendf(nil, "POST %s/user/join/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
			o.at.path, o.chat.Username, o.at.host))
	}
	return w.upgrade(fd, o)
}

func (o *opening) next(step uint8) { o.step, o.last = step, time.Now() }

func (w *worker) upgrade(fd int32, o *opening) error {
	o.next(stepUpgrading)
	path := "/users"
	if o.chat != nil {
		path = "/chat/" + o.chat.ChatID
	}
	var nonce [16]byte
	binary.LittleEndian.PutUint64(nonce[:], rand.Uint64())
	b := fmt.Appendf(nil, "GET %s%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
		o.at.path, path, o.at.host, base64.StdEncoding.EncodeToString(nonce[:]))
	if o.kind != kindUser && w.Token != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", w.Token)
	}
	return write(fd, append(b, "\r\n"...))
}

// take handles what has come. An error ends the connection.
func (w *worker) take(fd int32, b []byte) error {
	s := &w.slots[fd]
	if s.state == slotIdle && string(b) == heartbeat && len(w.parts[fd]) == 0 {
		return w.beat(fd, s)
	}
	if part := w.parts[fd]; part != nil {
		b = append(part, b...)
	}
	rest, err := w.takeAll(fd, s, b)
	if len(rest) > 0 {
		w.parts[fd] = bytes.Clone(rest)
	} else {
		delete(w.parts, fd)
	}
	return err
}

func (w *worker) takeAll(fd int32, s *slot, b []byte) (rest []byte, err error) {
	for o := w.openings[fd]; o != nil && o.step < stepJoining; {
		head, body, after, whole, err := response(b)
		if err != nil || !whole {
			return b, err
		}
		if err := w.answered(fd, o, head, body); err != nil {
			return nil, err
		}
		b = after
	}
	for len(b) > 0 {
		op, payload, after, whole, err := serverFrame(b)
		if err != nil || !whole {
			return b, err
		}
		if err := w.hear(fd, s, op, payload); err != nil {
			return nil, err
		}
		b = after
	}
	return nil, nil
}

// answered handles a response of HTTP.
func (w *worker) answered(fd int32, o *opening, head, body []byte) error {
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if o.step == stepRegistering {
		if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) || json.Unmarshal(body, &o.chat.identity) != nil || o.chat.ChatID == "" {
			return fmt.Errorf("%s: %.200s", status, body)
		}
		return w.upgrade(fd, o)
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 101")) {
		return fmt.Errorf("%s: %.200s", status, body)
	}
	o.next(stepJoining)
	return write(fd, clientFrame(ws.OpText, w.join(o)))
}

// join is the request that asks for the heartbeat of the test.
func (w *worker) join(o *opening) []byte {
	args := map[string]any{}
	if w.Heartbeat > 0 {
		args["heartbeat"] = w.Heartbeat
	}
	if o.kind == kindAgent {
		args["batch"] = true
		return encode("Load", args)
	}
	args["userId"], args["username"], args["from"] = o.chat.UserID, o.chat.Username, roles[o.kind]
	if o.kind == kindSupport && w.Token == "" {
		args["supportUserName"] = "loadtest"
	}
	return encode("Join", args)
}

var joinedBy = [kinds]string{"UserJoined", "SupportJoinedUser", "PendingUsers"}

// hear handles a frame.
func (w *worker) hear(fd int32, s *slot, op ws.OpCode, payload []byte) error {
	switch {
	case op == ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		return &closedError{code, reason}
	case op == ws.OpPing:
		return write(fd, clientFrame(ws.OpPong, payload))
	case op != ws.OpText:
		return nil
	case string(payload) == "ping":
		return w.beat(fd, s)
	}
	o := w.openings[fd]
	kind, _, code := lobbyEvent(payload)
	switch {
	case kind == "Error" && o != nil:
		return fmt.Errorf("refused with %s", code)
	case kind == "Error":
		w.status.Refused[code]++
	case o != nil && kind == joinedBy[o.kind]:
		w.opened(fd, s, o)
	}
	return nil
}

func (w *worker) opened(fd int32, s *slot, o *opening) {
	s.state = slotIdle
	delete(w.openings, fd)
	w.joins[o.kind].record(time.Since(o.began))
	w.status.Open[o.kind]++
	if o.kind == kindUser {
		w.supports = append(w.supports, o.chat)
	}
}

// beat answers the heartbeat.
func (w *worker) beat(fd int32, s *slot) error {
	now := uint32(time.Since(w.start).Milliseconds()) | 1 // never 0
	if s.pinged != 0 {
		w.gaps.record(time.Duration(now-s.pinged) * time.Millisecond)
	}
	s.pinged = now
	w.status.Pings++
	pong := agentEnd.pong
	if s.kind == kindUser {
		pong = userEnd.pong
	}
	return write(fd, pong)
}

// response cuts the first whole response of HTTP off.
func response(b []byte) (head, body, rest []byte, whole bool, err error) {
	const most = 64 << 10
	head, after, found := bytes.Cut(b, []byte("\r\n\r\n"))
	if !found {
		if len(b) > most {
			err = fmt.Errorf("a response with an endless header")
		}
		return nil, nil, nil, false, err
	}
	size := 0
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || size < 0 || size > most {
				return nil, nil, nil, false, fmt.Errorf("a response of length %q", value)
			}
		}
	}
	if len(after) < size {
		return nil, nil, nil, false, nil
	}
	return head, after[:size], after[size:], true, nil
}

// serverFrame cuts the first whole frame off.
func serverFrame(b []byte) (op ws.OpCode, payload, rest []byte, whole bool, err error) {
	if len(b) < 2 {
		return 0, nil, nil, false, nil
	}
	size, from := uint64(b[1]), 2
	switch {
	case b[0]&0xf0 != 0x80 || size > 127: // in one piece, unmasked, without extensions
		return 0, nil, nil, false, fmt.Errorf("frame that a server must not send: % x", b[:2])
	case size == 126 && len(b) >= 4:
		size, from = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, from = binary.BigEndian.Uint64(b[2:]), 10
	case size > 125:
		return 0, nil, nil, false, nil
	}
	if size > maxMessage {
		return 0, nil, nil, false, fmt.Errorf("frame of %d bytes", size)
	}
	if uint64(len(b)-from) < size {
		return 0, nil, nil, false, nil
	}
	to := from + int(size)
	return ws.OpCode(b[0] & 15), b[from:to], b[to:], true, nil
}
