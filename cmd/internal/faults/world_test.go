package faults_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
	"livesupport/web/api/apitest"
)

// world is one deployment: a store, a broker, servers.
type world struct {
	*testing.T
	broker  string
	redis   *brokertest.RedisServer // nil where the store is a group of them
	nats    *natsServer             // nil where Redis is the broker
	store   redis.UniversalClient   // not used by the servers
	urls    []string                // the variables that lead to the store and the broker
	token   string                  // of a supervisor, where agents need tokens
	mayLose bool                    // what was confirmed may be lost with the primary

	mu      sync.Mutex
	chats   []*server // those that clients may connect to
	lobbies []*server
}

func newWorld(t *testing.T, broker string) *world {
	t.Helper()
	w := &world{T: t, broker: broker, redis: brokertest.StartRedisServer(t)}
	w.keepIn(redis.NewClient(&redis.Options{Addr: w.redis.Addr(), DisableIdentity: true, Protocol: 2}), w.redis.URL())
	w.config("appendfsync", "always")
	if broker == "nats" {
		w.nats = startNATS(t)
		w.urls = append(w.urls, "NATS_URL="+w.nats.url())
	}
	return w
}

// keepIn makes the world's servers use the store at a URL.
func (w *world) keepIn(client redis.UniversalClient, url string) {
	w.store = client
	w.Cleanup(func() { _ = client.Close() })
	w.urls = append(w.urls, "REDIS_URL="+url)
}

// ctx bounds one call of the test itself.
func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
	w.Cleanup(cancel)
	return ctx
}

func (w *world) config(name, value string) {
	w.Helper()
	if err := w.store.ConfigSet(w.ctx(), name, value).Err(); err != nil {
		w.Fatalf("config set %s: %v", name, err)
	}
}

// restartRedis starts the store again after a kill.
func (w *world) restartRedis() {
	w.Helper()
	w.redis.Restart()
	w.config("appendfsync", "always")
}

// server is one process of ours.
type server struct {
	name  string
	addr  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	err   error         // what Wait returned, then

	excused string // the one error that it may log

	mu    sync.Mutex
	tail  []string // its last log lines, repeated messages once
	last  string   // the message of the last one
	fatal []string // those that must never be
}

// startChat starts a chat server which is told of the variables besides the
// usual ones.
func (w *world) startChat(env ...string) *server {
	w.Helper()
	s := w.start(build(w.T, "livesupport/cmd/chatserver"), env...)
	w.add(s)
	return s
}

// startLobby starts a lobby.
func (w *world) startLobby(env ...string) *server {
	w.Helper()
	s := w.start(build(w.T, "livesupport/cmd/subscriber"), env...)
	w.mu.Lock()
	w.lobbies = append(w.lobbies, s)
	w.mu.Unlock()
	return s
}

func (w *world) add(s *server) {
	w.mu.Lock()
	w.chats = append(w.chats, s)
	w.mu.Unlock()
}

// remove takes a chat server out of those that clients know.
func (w *world) remove(s *server) {
	w.mu.Lock()
	w.chats = slices.DeleteFunc(w.chats, func(other *server) bool { return other == s })
	w.mu.Unlock()
}

// pick returns a chat server's address, another than the one given if there is
// one: what a load balancer does.
func (w *world) pick(not string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var addrs []string
	for _, s := range w.chats {
		if s.addr != not {
			addrs = append(addrs, s.addr)
		}
	}
	if len(addrs) == 0 {
		return not
	}
	return addrs[rand.IntN(len(addrs))]
}

// env is what every server of this world is told; later values win.
func (w *world) env() []string {
	return append([]string{"CHAT_ADDR=127.0.0.1:0", "LOBBY_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "BROKER=" + w.broker}, w.urls...)
}

// start runs a command until the test's end and waits until it is ready.
func (w *world) start(path string, env ...string) *server {
	w.Helper()
	s := w.launch(path, env...)
	eventually(w.T, 15*time.Second, s.name+" is ready", func() bool { return s.status("/readyz") == http.StatusOK })
	return s
}

// launch runs a command until the test's end and waits until it listens.
func (w *world) launch(path string, env ...string) *server {
	w.Helper()
	s := &server{name: path[strings.LastIndexByte(path, '/')+1:], ended: make(chan struct{})}
	if w.mayLose {
		s.excused = "the store has lost the end of a chat's log"
	}
	s.cmd = exec.Command(path)
	s.cmd.Env = append(w.env(), env...)
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		w.Fatalf("start %s: %v", s.name, err)
	}
	listens := make(chan string, 1)
	go func() {
		s.read(stderr, listens)
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	w.Cleanup(func() {
		_ = s.cmd.Process.Kill() // many have ended
		<-s.ended
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, line := range s.fatal {
			w.Errorf("%s on %s says: %s", s.name, s.addr, line)
		}
		if w.Failed() {
			w.Logf("%s on %s, its last lines:\n%s", s.name, s.addr, strings.Join(s.tail, "\n"))
		}
	})
	select {
	case s.addr = <-listens:
	case <-s.ended:
		w.Fatalf("%s has ended: %v", s.name, s.err)
	case <-time.After(15 * time.Second):
		w.Fatalf("%s does not listen", s.name)
	}
	return s
}

// read takes the log of a process.
func (s *server) read(log io.Reader, listens chan<- string) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Level, Msg, Addr string }
		err := json.Unmarshal(lines.Bytes(), &line)
		if strings.HasSuffix(line.Msg, " listens") {
			listens <- line.Addr
		}
		s.mu.Lock()
		if line.Msg == "" || line.Msg != s.last {
			s.tail = append(s.tail, lines.Text())
		}
		s.last = line.Msg
		if len(s.tail) > 15 {
			s.tail = s.tail[1:]
		}
		// A panic is no JSON; and nothing that the tests do justifies an error.
		if (err != nil || line.Level == "ERROR" && line.Msg != s.excused) && len(s.fatal) < 20 {
			s.fatal = append(s.fatal, lines.Text())
		}
		s.mu.Unlock()
	}
}

// kill ends the process as kill -9 does.
func (w *world) kill(s *server) {
	w.Helper()
	w.remove(s)
	if err := s.cmd.Process.Kill(); err != nil {
		w.Fatalf("kill %s: %v", s.name, err)
	}
	<-s.ended
}

// stop ends the process in order and returns how long that took.
func (w *world) stop(s *server) time.Duration {
	w.Helper()
	w.remove(s)
	start := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.Fatalf("stop %s: %v", s.name, err)
	}
	select {
	case <-s.ended:
	case <-time.After(12 * time.Second):
		w.Fatalf("%s still runs 12 s after SIGTERM", s.name)
	}
	if s.err != nil {
		w.Errorf("%s ended with %v after SIGTERM", s.name, s.err)
	}
	return time.Since(start)
}

// alive wants the process to run still.
func (w *world) alive(servers ...*server) {
	w.Helper()
	for _, s := range servers {
		select {
		case <-s.ended:
			w.Errorf("%s has ended: %v", s.name, s.err)
		default:
		}
		if status := s.status("/healthz"); status != http.StatusOK {
			w.Errorf("%s: /healthz answers %d", s.name, status)
		}
	}
}

// plainHTTP keeps no connection behind a test's back, and all answers to the contract;
// foreignHTTP is for servers that are not ours.
var (
	plainHTTP   = &http.Client{Transport: apitest.Transport(foreignHTTP.Transport), Timeout: foreignHTTP.Timeout}
	foreignHTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 6 * time.Second}
)

func get(addr, path string) (status int, body []byte, err error) { return getBy(plainHTTP, addr, path) }

func getBy(client *http.Client, addr, path string) (status int, body []byte, err error) {
	response, err := client.Get("http://" + addr + path)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// status is that of a GET; 0 if there is no answer.
func (s *server) status(path string) int {
	status, _, _ := get(s.addr, path)
	return status
}

// metrics reads what the server tells of itself.
func (w *world) metrics(s *server) map[string]float64 {
	w.Helper()
	_, body, err := get(s.addr, "/metrics")
	if err != nil {
		w.Fatalf("%s: /metrics: %v", s.name, err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(name, "#") {
			values[name] = number
		}
	}
	return values
}

// visitor is a registered user.
type visitor struct {
	UserID, Username, ChatID string
}

func register(addr, name string) (v visitor, err error) {
	status, body, err := get(addr, "/user/join/"+name)
	if err != nil {
		return v, err
	}
	if status != http.StatusOK {
		return v, fmt.Errorf("register: %d %s", status, body)
	}
	return v, json.Unmarshal(body, &v)
}

// register makes a user with a fresh chat.
func (w *world) register(addr, name string) visitor {
	w.Helper()
	v, err := register(addr, name)
	if err != nil {
		w.Fatal(err)
	}
	return v
}
