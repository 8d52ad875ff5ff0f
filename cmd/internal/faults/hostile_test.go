package faults_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxResident bounds the memory of a server, whatever clients do.
const maxResident = 256 << 20

// TestHostileClients lets broken and hostile clients loose on a chat server and a lobby
// under traffic, and reports what others notice. Each of their messages must be answered
// within five seconds (see participant).
func TestHostileClients(t *testing.T) {
	s := begin(t)
	w := newWorld(t, "redis")
	chat, lobby := w.startChat(), w.startLobby()
	s.chats = min(s.chats, 20)
	tr := w.talk(s)
	wait(t.Context(), 2*time.Second) // the usual, for comparison
	usual := tr.delays(time.Time{}, time.Now())
	t.Logf("%s: delivery without hostile clients: %s; resident %d MB", t.Name(), percentiles(usual), w.resident(chat)>>20)

	for _, kind := range []struct {
		name string
		run  func(w *world, s scale, chat, lobby *server) error
	}{
		{"frames that break RFC 6455", breakFrames},
		{"clients that never read", func(w *world, s scale, chat, _ *server) error { return stopReading(w, s, chat, 0) }},
		{"clients that read a byte a second", func(w *world, s scale, chat, _ *server) error { return stopReading(w, s, chat, time.Second) }},
		{"clients that send a byte a second", sendSlowly},
		{"upgrades that never end", neverUpgrade},
		{"headers of a megabyte", largeHeaders},
		{"fragments without end", endlessFragments},
		{"floods of frames", floodFrames},
		{"sockets that never join", neverJoin},
	} {
		start := time.Now()
		if err := kind.run(w, s, chat, lobby); err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		wait(t.Context(), time.Second-time.Since(start)) // enough for a percentile
		delays := tr.delays(start, time.Now())
		t.Logf("%s: %s, for %v: others' delivery %s; resident: chat server %d MB, lobby %d MB", t.Name(), kind.name,
			time.Since(start).Round(100*time.Millisecond), percentiles(delays), w.resident(chat)>>20, w.resident(lobby)>>20)
		if len(delays) == 0 {
			t.Errorf("%s: nothing is delivered to others", kind.name)
		}
		w.alive(chat, lobby)
	}
	for _, server := range []*server{chat, lobby} {
		if peak := w.peak(server); peak > maxResident {
			t.Errorf("%s took %d MB at most", server.name, peak>>20)
		} else {
			t.Logf("%s: the %s took %d MB at most", t.Name(), server.name, peak>>20)
		}
	}
	if total := tr.settle(15 * time.Second); total.sockets != 2*len(tr.chats) {
		t.Errorf("%d sockets for %d participants: others were cut", total.sockets, 2*len(tr.chats))
	}
}

// resident returns the memory of the process in bytes, and its peak.
func (w *world) resident(s *server) int { return int(w.metrics(s)["process_resident_memory_bytes"]) }

func (w *world) peak(s *server) int {
	w.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return w.resident(s) // no Linux
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		w.Fatal(err)
	}
	return kilobytes << 10
}

// stopReading floods users who do not read, or who pause after each byte.
func stopReading(w *world, _ scale, chat *server, pause time.Duration) error {
	const victims, tabs, burst = 3, 10, 40
	var all errgroup
	for range victims {
		v, err := register(chat.addr, "Slow")
		if err != nil {
			return err
		}
		join := encode("Join", map[string]any{"userId": v.UserID, "from": "User"})
		slow, err := dialRaw(chat.addr, "/chat/"+v.ChatID)
		if err != nil {
			return err
		}
		defer slow.Close()
		if _, err := slow.Write(rawText(join)); err != nil {
			return err
		}
		var open []*peer
		for range tabs {
			tab, err := openPeer(chat.addr, "/chat/"+v.ChatID, "pong:user", join)
			if err != nil {
				return err
			}
			defer tab.stop()
			open = append(open, tab)
		}
		big := encode("ChatMessage", map[string]any{"content": strings.Repeat("\U0001F600", 8000), "from": "User"})
		for _, tab := range open {
			for range burst {
				if err := tab.send(big); err != nil {
					return err
				}
			}
		}
		all.Go(func() error { return slow.outlive(pause, open[0], tabs*burst) })
	}
	return all.Wait()
}

// outlive reads slowly while the other socket gets all messages, and then at full speed, to
// see how the server has ended the socket.
func (s *rawSocket) outlive(pause time.Duration, other *peer, messages int) error {
	ticker := time.NewTicker(max(pause, 100*time.Millisecond))
	defer ticker.Stop()
	one := make([]byte, 1)
	for end := time.Now().Add(20 * time.Second); len(other.all()) < messages+1; <-ticker.C {
		if time.Now().After(end) {
			return fmt.Errorf("the other socket got %d messages of %d", len(other.all()), messages)
		}
		if pause > 0 {
			s.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := s.r.Read(one); err != nil {
				return fmt.Errorf("reading a byte: %w", err)
			}
		}
	}
	if pause > 0 {
		s.r.Reset(s.Conn) // it is within a frame now, whose end nobody knows
		s.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, err := io.Copy(io.Discard, s.Conn)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return fmt.Errorf("still open: %w", err)
		}
		return nil
	}
	if e := s.end(30 * time.Second); e.err != nil || e.code != 0 && e.code != 1013 {
		return fmt.Errorf("ended with close %d, %v; want 1013 or a cut", e.code, e.err)
	}
	return nil
}

// sendSlowly sends requests and frames at one byte a second.
func sendSlowly(w *world, s scale, chat, lobby *server) error {
	const clients = 50
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	var texts [][]byte
	for i := range clients {
		for _, target := range []struct{ addr, path string }{{chat.addr, someChat}, {lobby.addr, "/users"}} {
			if i%2 == 0 {
				conn, err := net.Dial("tcp", target.addr)
				if err != nil {
					return err
				}
				conns, texts = append(conns, conn), append(texts, fmt.Appendf(nil, upgradeRequest, target.path))
				continue
			}
			socket, err := dialRaw(target.addr, target.path)
			if err != nil {
				return err
			}
			conns, texts = append(conns, socket.Conn), append(texts, rawText(encode("Load", nil)))
		}
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	sent := 0
	for end := time.Now().Add(s.hostileTime); time.Now().Before(end); <-ticker.C {
		for i, c := range conns {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			if n, err := c.Write(texts[i][sent%len(texts[i]):][:1]); n != 1 && i%4 > 1 { // the upgraded ones
				return fmt.Errorf("a slow socket was cut after %d bytes: %v", sent, err)
			}
		}
		sent++
	}
	return nil
}

// neverUpgrade starts requests and does not finish them.
func neverUpgrade(_ *world, _ scale, chat, lobby *server) error {
	const clients, within = 200, 15 * time.Second
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range clients {
		addr := []string{chat.addr, lobby.addr}[i%2]
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
		part := fmt.Sprintf(upgradeRequest, someChat)
		if _, err := io.WriteString(conn, part[:min(i, len(part)-4)]); err != nil {
			return err
		}
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(within))
		if answer, err := io.ReadAll(c); isTimeout(err) || bytes.HasPrefix(answer, []byte("HTTP/1.1 101")) {
			return fmt.Errorf("after %d bytes and %v: %q, %v", i, within, answer, err)
		}
	}
	return nil
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// largeHeaders sends a megabyte of headers, as one long header or as many.
func largeHeaders(_ *world, _ scale, chat, lobby *server) error {
	long := "X-Long: " + strings.Repeat("x", 1<<20) + "\r\n"
	many := strings.Repeat("X-Many: many\r\n", 1<<20/14)
	path := "GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for i := range 40 {
		for _, addr := range []string{chat.addr, lobby.addr} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			request := strings.Replace(fmt.Sprintf(upgradeRequest, someChat), "\r\n\r\n", "\r\n"+[]string{long, many, ""}[i%3]+"\r\n", 1)
			if i%3 == 2 {
				request = path
			}
			conn.SetDeadline(time.Now().Add(12 * time.Second))
			_, _ = io.WriteString(conn, request) // cut short when the server has seen enough
			answer, err := io.ReadAll(conn)
			conn.Close()
			if isTimeout(err) || len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
				return fmt.Errorf("%.100q, %v", answer, err)
			}
		}
	}
	return nil
}

// endlessFragments sends messages that do not end. The server cuts large ones, and also
// empty ones unless they are few.
func endlessFragments(_ *world, _ scale, chat, lobby *server) error {
	send := func(addr, path string, pieces int, piece, last []byte) (ending, error) {
		s, err := dialRaw(addr, path)
		if err != nil {
			return ending{}, err
		}
		defer s.Close()
		s.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err = s.Write(rawFrame(0x01, "{"))
		for n := 0; n < pieces && err == nil; n++ {
			_, err = s.Write(piece)
		}
		if err == nil {
			_, err = s.Write(last)
		}
		return s.end(10 * time.Second), err
	}
	var all errgroup
	for _, target := range []struct{ addr, path string }{{chat.addr, someChat}, {lobby.addr, "/users"}} {
		for range 10 {
			all.Go(func() error { // the server may cut it before all is written
				if e, _ := send(target.addr, target.path, 200, rawFrame(0x00, strings.Repeat("x", 1000)), nil); e.err != nil || e.code != 0 && e.code != 1009 {
					return fmt.Errorf("fragments of 200 KB: %+v", e)
				}
				return nil
			})
			all.Go(func() error {
				last := append(rawFrame(0x80, `"type":"x"}`), rawFrame(0x88, "\x03\xe8")...)
				e, err := send(target.addr, target.path, 3, bytes.Repeat(rawFrame(0x00, ""), 100), last)
				if err != nil || e.code != 1000 || !strings.Contains(e.last, "unknown_type") {
					return fmt.Errorf("300 empty fragments: %v, then %+v", err, e)
				}
				return nil
			})
			all.Go(func() error { // the server may cut it before all is written
				if e, _ := send(target.addr, target.path, 200, bytes.Repeat(rawFrame(0x00, ""), 100), nil); e.err != nil || e.code != 0 && e.code != 1008 {
					return fmt.Errorf("20,000 empty fragments: %+v", e)
				}
				return nil
			})
		}
	}
	return all.Wait()
}

// floodFrames sends pings, pongs and rubbish at full speed. Clients that are cut come back.
func floodFrames(w *world, s scale, chat, lobby *server) error {
	const clients = 20
	before := w.metrics(chat)["process_cpu_seconds_total"]
	begun := time.Now()
	var all errgroup
	for i := range clients {
		frame := [][]byte{rawFrame(0x89, "ping"), rawFrame(0x8a, ""), rawText("pong:user"), rawText("rubbish"), rawFrame(0x82, "")}[i%5]
		addr, path := chat.addr, someChat
		if i%4 == 3 {
			addr, path = lobby.addr, "/users"
		}
		all.Go(func() error {
			for end := begun.Add(s.hostileTime); time.Now().Before(end); {
				socket, err := dialRaw(addr, path)
				if err != nil {
					return err
				}
				socket.SetWriteDeadline(time.Now().Add(10 * time.Second))
				var reading sync.WaitGroup
				reading.Go(func() { io.Copy(io.Discard, socket.Conn) }) // else it is cut for not reading
				for err == nil {
					_, err = socket.Write(bytes.Repeat(frame, 100))
				}
				socket.Close()
				reading.Wait()
				if isTimeout(err) {
					return fmt.Errorf("a flood of %q is not cut", frame)
				}
			}
			return nil
		})
	}
	err := all.Wait()
	m := w.metrics(chat)
	w.Logf("%s: %d clients flood: the chat server has cut %v, and used %.0f %% of a processor", w.Name(), clients,
		m[`livesupport_flooding_clients_cut_total{server="chat"}`], 100*(m["process_cpu_seconds_total"]-before)/time.Since(begun).Seconds())
	return err
}

// neverJoin opens sockets that never join. Some of them answer the heartbeat.
func neverJoin(w *world, s scale, chat, lobby *server) error {
	before := w.metrics(chat)["go_goroutines"]
	var sockets []*rawSocket
	for i := range s.unjoined {
		target := []struct{ addr, path string }{{chat.addr, someChat}, {lobby.addr, "/users"}}[i%4/3]
		socket, err := dialRaw(target.addr, target.path)
		if err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		defer socket.Close()
		sockets = append(sockets, socket)
	}
	wait(w.Context(), s.hostileTime/2)
	w.Logf("%s: with %d sockets that never join: chat server %d MB, %v goroutines", w.Name(), len(sockets), w.resident(chat)>>20, w.metrics(chat)["go_goroutines"])
	if s.hostileTime >= long.hostileTime { // the chat server lets them stay for a minute
		for i, socket := range sockets {
			if e := socket.end(75 * time.Second); i%4 < 3 && (e.err != nil || e.code != 1008) {
				return fmt.Errorf("socket %d: %+v; want close 1008", i, e)
			} else if i == 2 {
				break
			}
		}
	}
	for _, socket := range sockets {
		socket.Close()
	}
	eventually(w.T, 10*time.Second, "the goroutines of closed sockets end", func() bool {
		return w.metrics(chat)["go_goroutines"] < before+100
	})
	return nil
}
