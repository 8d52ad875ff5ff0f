package brokertest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// RequireRedis is the environment variable that says what to do without a
// redis-server: 1 fails the tests that need one instead of skipping them. 0 skips
// them even where there is one.
const RequireRedis = "LIVESUPPORT_REQUIRE_REDIS"

// RedisServer is a redis-server process with an append-only file.
type RedisServer struct {
	t    testing.TB
	dir  string
	addr string
	args []string // before the usual ones
	cmd  *exec.Cmd
	log  *bytes.Buffer // of the running process; read after it has ended
}

// StartRedisServer starts the installed redis-server on a free port of 127.0.0.1, with
// arguments if need be. The server ends with the test. If none is installed, the test is
// skipped: see RequireRedis. The methods of the result are for the test's goroutine.
func StartRedisServer(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	if os.Getenv(RequireRedis) == "0" {
		t.Skipf("%s=0", RequireRedis)
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv(RequireRedis) == "1" {
			t.Fatalf("%s=1, but there is no redis-server: %v", RequireRedis, err)
		}
		t.Skip("no redis-server installed")
	}
	s := &RedisServer{t: t, dir: t.TempDir(), args: args}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.Kill()
		}
	})
	var err error
	for range 3 { // another test may take the port before redis-server does
		s.addr = FreeAddr(t)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("start redis-server: %v", err)
	return nil
}

// URL returns redis://127.0.0.1:port. Restart does not change it.
func (s *RedisServer) URL() string { return "redis://" + s.addr }

// Addr returns 127.0.0.1:port.
func (s *RedisServer) Addr() string { return s.addr }

// Dir returns the folder with the server's files.
func (s *RedisServer) Dir() string { return s.dir }

// Kill ends the process at once, as kill -9 does.
func (s *RedisServer) Kill() {
	s.t.Helper()
	if s.cmd == nil {
		s.t.Fatal("redis-server is not running")
	}
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Errorf("kill redis-server: %v", err)
	}
	_ = s.cmd.Wait() // "signal: killed"
	s.cmd = nil
}

// Restart starts the process again after Kill, with the data it had.
func (s *RedisServer) Restart() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("restart redis-server: %v", err)
	}
}

func (s *RedisServer) start() error {
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return err
	}
	s.log = new(bytes.Buffer)
	cmd := exec.Command("redis-server", append(slices.Clone(s.args), "--bind", "127.0.0.1", "--port", port, "--dir", s.dir,
		"--appendonly", "yes", "--save", "", "--daemonize", "no")...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s.answers() {
			return nil
		}
	}
	s.Kill()
	return fmt.Errorf("no answer within 10 s; it says:\n%s", s.log)
}

// answers reports whether this process is ready, and not another one on its port.
func (s *RedisServer) answers() bool {
	info := s.info("")
	return strings.Contains(info, fmt.Sprintf("process_id:%d\r", s.cmd.Process.Pid)) && !strings.Contains(info, "\nloading:1")
}

// info returns the answer to INFO about a section, "" if there is none.
func (s *RedisServer) info(section string) string { return s.ask("INFO " + section) }

// ask sends a command. It returns the bulk string of the reply or, if it has none, the
// first line; "" without a reply.
func (s *RedisServer) ask(command string) string {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // fails only on a closed connection
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return ""
	}
	reply := bufio.NewReader(conn)
	line, err := reply.ReadString('\n')
	if err != nil {
		return ""
	}
	var size int
	if _, err := fmt.Sscanf(line, "$%d", &size); err != nil {
		return line
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(reply, text); err != nil {
		return ""
	}
	return string(text)
}

// FreeAddr returns a 127.0.0.1:port on which nobody listens, for a server that starts later
// or comes back. The system does not hand out this port for :0 or for connections, so it
// stays free in the meantime.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return addr
	}
	t.Fatal("no free port found")
	return ""
}
