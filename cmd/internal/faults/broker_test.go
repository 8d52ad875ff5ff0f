package faults_test

import (
	"encoding/json"
	"livesupport/broker/brokertest"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// natsServer is a nats-server process with JetStream.
type natsServer struct {
	t             *testing.T
	dir           string
	addr, monitor string
	config        string // of a member of a cluster
	cmd           *exec.Cmd
}

// startNATS starts a nats-server on a free port. It ends with the test.
func startNATS(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{t: t, dir: t.TempDir(), addr: brokertest.FreeAddr(t), monitor: brokertest.FreeAddr(t)}
	t.Cleanup(func() { s.end(os.Kill) })
	s.start()
	return s
}

func (s *natsServer) url() string { return "nats://" + s.addr }

// start starts the process, again with the data it had.
func (s *natsServer) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	_, monitor, _ := net.SplitHostPort(s.monitor)
	s.run("-a", "127.0.0.1", "-p", port, "-m", monitor, "-js", "-sd", s.dir)
	s.healthy(10 * time.Second)
}

func (s *natsServer) run(args ...string) {
	s.t.Helper()
	s.cmd = exec.Command(build(s.t, "github.com/nats-io/nats-server/v2"), args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start nats-server: %v", err)
	}
}

func (s *natsServer) healthy(within time.Duration) {
	s.t.Helper()
	eventually(s.t, within, "nats-server is healthy", func() bool {
		status, _, err := getBy(foreignHTTP, s.monitor, "/healthz")
		return err == nil && status == http.StatusOK
	})
}

// end ends the process with a signal, if it is running.
func (s *natsServer) end(signal os.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait() // it says which signal it was
	s.cmd = nil
}

// holds returns how much the server keeps, by name.
func (s *natsServer) holds() footprint {
	s.t.Helper()
	var connections struct{ Subscriptions float64 }
	var stream struct{ Consumers, Bytes float64 }
	for path, into := range map[string]any{"/varz": &connections, "/jsz": &stream} {
		_, body, err := getBy(foreignHTTP, s.monitor, path)
		if err == nil {
			err = json.Unmarshal(body, into)
		}
		if err != nil {
			s.t.Fatalf("nats-server: %s: %v", path, err)
		}
	}
	return footprint{"channels": connections.Subscriptions, "consumers": stream.Consumers, "stream MB": stream.Bytes / (1 << 20)}
}

// TestBrokerStopped stops, and then kills, a broker that is not the store. Messages are
// accepted all the time. Those that could not cross to another server arrive when the
// broker is back.
func TestBrokerStopped(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		if w.nats == nil {
			w.Skip("the store is the broker: see TestKillRedis")
		}
		chats, lobbies := []*server{w.startChat(), w.startChat()}, []*server{w.startLobby(), w.startLobby()}
		tr := w.talk(s)
		waiting := w.waiters(10, chats...)
		agents := w.watchers(waiting)
		for i, signal := range []os.Signal{syscall.SIGTERM, os.Kill} {
			w.nats.end(signal)
			start := time.Now()
			eventually(w.T, 5*time.Second, "a server notices", func() bool { return w.metrics(chats[0])["livesupport_broker_up"] == 0 })
			// The store is there: who waits can be taken.
			w.take(chats[i], waiting[0])
			waiting = waiting[1:]
			w.newcomer(chats[i])
			w.shows("without the broker", 5*time.Second, agents, waiting)
			wait(w.Context(), s.outage-time.Since(start))
			w.nats.start()
			back := time.Now()
			tr.flows("within 10 s of the broker's return", 10*time.Second)
			w.shows("within 10 s of the broker's return", 10*time.Second-time.Since(back), agents, waiting)
			w.Logf("%v, away for %v, all well after another %v", signal, s.outage, time.Since(back).Round(time.Millisecond))
			tr.converges("after the broker's return", start, back)
			tr.steady("after the broker's return")
		}
		total := tr.settle(15 * time.Second)
		if total.refusals > 0 {
			w.Errorf("%d messages were refused, though the store was there", total.refusals)
		}
		if want := 2 * len(tr.chats); total.sockets != want {
			w.Errorf("%d sockets for %d participants: the outage has cost some", total.sockets, want)
		}
		w.correct(agents)
		w.alive(append(chats, lobbies...)...)
	})
}

// newcomer joins a chat that is new to the server while the broker is away, because a Join
// needs only the store. An agent takes the visitor at once, to keep them out of the lists.
func (w *world) newcomer(s *server) {
	w.Helper()
	v := w.register(s.addr, "Newcomer")
	user := w.open(s.addr, "/chat/"+v.ChatID, "pong:user", encode("Join", map[string]any{"userId": v.UserID, "from": "User"}))
	eventually(w.T, answerWithin, "an answer to a newcomer", func() bool { return len(user.all()) > 0 })
	if answer := user.all()[0]; !strings.Contains(answer, `"UserJoined"`) {
		w.Errorf("a newcomer is answered %s", answer)
	}
	user.stop()
	w.take(s, waiter{visitor: v})
}
