package backend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// processTimeout bounds the life of every process of the tests.
const processTimeout = 60 * time.Second

const chatPath = "/chat/00000000000000000000000000000000"

// buildCommands builds the commands and returns the folder with the binaries.
func buildCommands(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", dir,
		"livesupport/cmd/chatserver", "livesupport/cmd/subscriber", "livesupport/cmd/livesupport").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

func TestCommands(t *testing.T) {
	dir := buildCommands(t)
	t.Run("stop the start with one line", func(t *testing.T) { testRefusals(t, dir) })
	t.Run("help", func(t *testing.T) {
		for _, name := range []string{"chatserver", "subscriber", "livesupport"} {
			code, stdout, stderr := runToEnd(t, filepath.Join(dir, name), []string{"--help"}, nil)
			require.Zero(t, code)
			require.Contains(t, stdout, "Usage: "+name)
			require.Empty(t, stderr)
		}
	})
	t.Run("version", func(t *testing.T) {
		code, stdout, stderr := runToEnd(t, filepath.Join(dir, "chatserver"), []string{"--version"}, nil)
		require.Zero(t, code)
		require.Equal(t, versionLine("chatserver")+"\n", stdout)
		require.Empty(t, stderr)
	})
	t.Run("healthcheck", func(t *testing.T) {
		p := startProcess(t, filepath.Join(dir, "livesupport"), nil)
		chat, _ := p.logged(t, "chat server listens")["addr"].(string)
		lobby, _ := p.logged(t, "lobby listens")["addr"].(string)
		check := func(env ...string) (code int, stderr string) {
			code, stdout, stderr := runToEnd(t, filepath.Join(dir, "livesupport"), []string{"--healthcheck"}, env)
			require.Empty(t, stdout)
			return code, stderr
		}
		require.Eventually(t, func() bool {
			code, _ := check("CHAT_ADDR="+chat, "LOBBY_ADDR="+lobby)
			return code == 0
		}, 10*time.Second, 20*time.Millisecond)
		code, stderr := check("CHAT_ADDR="+chat, "LOBBY_ADDR="+closedPort(t))
		require.Equal(t, 1, code)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	})
	t.Run("the start warns that everybody is an agent", func(t *testing.T) { testStartWarns(t, dir) })
	t.Run("settings", func(t *testing.T) { testSettings(t, dir) })
	t.Run("the log keeps secrets", func(t *testing.T) { testLogIsDiscreet(t, dir) })
	redisURL, nowhere := startRedis(t), "redis://"+closedPort(t)
	for name, test := range map[string]struct {
		command string
		env     []string
		signal  os.Signal
		paths   map[string]string // by the log line that has the address
	}{
		"chatserver":         {"chatserver", []string{"REDIS_URL=" + redisURL}, syscall.SIGTERM, map[string]string{"chat server listens": chatPath}},
		"subscriber":         {"subscriber", []string{"REDIS_URL=" + redisURL}, syscall.SIGTERM, map[string]string{"lobby listens": "/users"}},
		"livesupport":        {"livesupport", nil, syscall.SIGTERM, map[string]string{"chat server listens": chatPath, "lobby listens": "/users"}},
		"interrupted":        {"livesupport", nil, os.Interrupt, map[string]string{"chat server listens": chatPath, "lobby listens": "/users"}},
		"redis out of reach": {"livesupport", []string{"REDIS_URL=" + nowhere}, syscall.SIGTERM, map[string]string{"chat server listens": chatPath, "lobby listens": "/users"}},
	} {
		t.Run("end with a signal/"+name, func(t *testing.T) {
			p := startProcess(t, filepath.Join(dir, test.command), test.env)
			var sockets []*websocket.Conn
			for line, path := range test.paths {
				addr, _ := p.logged(t, line)["addr"].(string)
				sockets = append(sockets, dialSocket(t, addr, path))
			}
			require.NoError(t, p.cmd.Process.Signal(test.signal))
			for _, socket := range sockets {
				require.Equal(t, websocket.StatusGoingAway, closeCode(t, socket))
			}
			p.endsWell(t)
		})
	}
	t.Run("few open files", func(t *testing.T) { testFewFiles(t, filepath.Join(dir, "chatserver"), redisURL) })
	t.Run("a second signal kills", func(t *testing.T) {
		p := startProcess(t, filepath.Join(dir, "livesupport"), nil)
		addr, _ := p.logged(t, "chat server listens")["addr"].(string)
		dialSocket(t, addr, chatPath) // does not answer the close frame, so the shutdown waits for it
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for timeout := time.After(10 * time.Second); ; {
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails once it has ended
			select {
			case err := <-p.ended:
				require.ErrorContains(t, err, "signal: terminated")
				return
			case <-again.C:
			case <-timeout:
				t.Fatal("still running")
			}
		}
	})
	t.Run("livesupport with an embedded NATS", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		p := startProcess(t, filepath.Join(dir, "livesupport"), []string{"BROKER=nats", "DATA_DIR=" + data})
		line := p.logged(t, "REDIS_URL is not set: an embedded Redis keeps the chats until this process ends; NATS_URL is not set: an embedded NATS carries the events, with its files in "+data+"; ARCHIVE_URL is not set: ended chats are kept in "+filepath.Join(data, "archive.db")+"; FILES_URL is not set: files are kept in "+filepath.Join(data, "files"))
		page, _ := line["visitor"].(string)
		require.Eventually(t, func() bool {
			status, _ := get(t, page+"readyz")
			return status == http.StatusOK
		}, 10*time.Second, 20*time.Millisecond)
		code, _, stderr := runToEnd(t, filepath.Join(dir, "livesupport"), nil, []string{"BROKER=nats", "DATA_DIR=" + data})
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "in use by another process")
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, <-p.ended)
	})
	t.Run("livesupport keeps its chats over a restart", func(t *testing.T) { testChatsOverRestart(t, dir) })
	t.Run("livesupport says what it embeds", func(t *testing.T) {
		data := t.TempDir()
		p := startProcess(t, filepath.Join(dir, "livesupport"), []string{"DATA_DIR=" + data})
		line := p.logged(t, "REDIS_URL is not set: an embedded Redis keeps the chats until this process ends; "+
			"ARCHIVE_URL is not set: ended chats are kept in "+filepath.Join(data, "archive.db")+"; FILES_URL is not set: files are kept in "+filepath.Join(data, "files"))
		for _, page := range []string{"visitor", "agent"} {
			url, _ := line[page].(string)
			require.Regexp(t, `^http://127\.0\.0\.1:\d+/$`, url)
			status, body := get(t, url)
			require.Equal(t, http.StatusOK, status)
			require.Contains(t, strings.ToLower(body), "<!doctype html>")
		}
	})
}

// testStartWarns: in one line, and only where it is so.
func testStartWarns(t *testing.T, dir string) {
	for _, test := range []struct {
		env   []string
		lines int
	}{
		{nil, 1},
		{[]string{"VISITOR_SECRET=" + testSecret}, 1},
		{[]string{"AGENT_SECRET=" + testSecret}, 0},
		{[]string{"AGENT_JWKS_URL=http://" + closedPort(t), "AGENT_AUDIENCE=a"}, 0},
	} {
		p := startProcess(t, filepath.Join(dir, "livesupport"), test.env)
		lines := 0
		for line := range p.lines {
			message, _ := line["msg"].(string)
			if strings.Contains(message, "not authenticated") {
				require.Equal(t, "WARN", line["level"])
				lines++
			}
			if message == "chat server listens" {
				require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			}
		}
		p.endsWell(t)
		require.Equal(t, test.lines, lines, test.env)
	}
}

// testLogIsDiscreet: at info, nothing that people write or are called is logged, nor
// an id, whatever goes wrong.
func testLogIsDiscreet(t *testing.T, dir string) {
	const name, content = "Hortensia", "my card number"
	store := closedPort(t)
	p := startProcess(t, filepath.Join(dir, "livesupport"), []string{"FRAME_RATE=10"})
	chat, _ := p.logged(t, "chat server listens")["addr"].(string)
	lobby, _ := p.logged(t, "lobby listens")["addr"].(string)
	var user struct{ UserID, ChatID string }
	require.Eventually(t, func() bool {
		_, body := get(t, "http://"+chat+"/user/join/"+name)
		return json.Unmarshal([]byte(body), &user) == nil && user.ChatID != ""
	}, 10*time.Second, 20*time.Millisecond)
	socket, agent := dialSocket(t, chat, "/chat/"+user.ChatID), dialSocket(t, lobby, "/users")
	for _, frame := range []string{
		`{"type":"Join","args":{"userId":"` + user.UserID + `","from":"User","username":"` + name + `"}}`,
		`{"type":"ChatMessage","args":{"from":"User","content":"` + content + `"}}`,
		`{"type":"ChatMessage","args":{"from":"Support","content":"` + content + `"}}`,
		content,
	} {
		require.NoError(t, socket.Write(t.Context(), websocket.MessageText, []byte(frame)))
		require.NoError(t, agent.Write(t.Context(), websocket.MessageText, []byte(frame)))
	}
	for _, frame := range []string{`{"type":"Load"}`, `{"type":"JoinUser","args":{"userId":"` + user.UserID + `","chatId":"` + user.ChatID + `","username":"` + name + `"}}`} {
		require.NoError(t, agent.Write(t.Context(), websocket.MessageText, []byte(frame)))
	}
	get(t, "http://"+chat+"/user/join/"+name+"/"+name)
	for range 100 {
		_ = socket.Write(t.Context(), websocket.MessageText, []byte("pong:user")) // until it is cut
	}
	require.EqualValues(t, 1008, closeCode(t, socket))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.EqualValues(t, 1001, closeCode(t, agent))

	away := startProcess(t, filepath.Join(dir, "chatserver"), []string{"REDIS_URL=redis://u:s3cret@" + store})
	chat, _ = away.logged(t, "chat server listens")["addr"].(string)
	get(t, "http://"+chat+"/user/join/"+name)
	socket = dialSocket(t, chat, "/chat/"+user.ChatID)
	require.NoError(t, socket.Write(t.Context(), websocket.MessageText, []byte(`{"type":"Join","args":{"userId":"`+user.UserID+`","from":"User"}}`)))
	for answer := "ping"; answer == "ping"; {
		_, frame, err := socket.Read(t.Context())
		require.NoError(t, err)
		answer = string(frame)
		require.True(t, answer == "ping" || strings.Contains(answer, `"unavailable"`), answer)
	}
	require.NoError(t, away.cmd.Process.Signal(syscall.SIGTERM))
	for _, p := range []*process{p, away} {
		<-p.ended
		named := 0
		for line := range p.lines {
			text, err := json.Marshal(line)
			require.NoError(t, err)
			for _, secret := range []string{name, content, "s3cret", user.UserID, user.ChatID} {
				require.NotContains(t, string(text), secret)
			}
			if strings.Contains(string(text), user.ChatID[:8]) {
				named++
			}
		}
		require.NotZero(t, named, "lines about the chat")
	}
}

func testRefusals(t *testing.T, dir string) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	bad := filepath.Join(t.TempDir(), "settings.json")
	require.NoError(t, os.WriteFile(bad, []byte("{\n\"hours\": {\"week\": {\"mon\": [\"09:00-12:00\", \"13:00-25:00\"]}}\n}"), 0o600))
	const url = "REDIS_URL=redis://127.0.0.1:1"
	for _, test := range []struct {
		command string
		args    []string
		env     []string
		code    int
		stderr  string
	}{
		{"chatserver", nil, []string{"CHAT_TTL=2 minutes"}, 2, `chatserver: CHAT_TTL="2 minutes": want a duration above zero such as 120s`},
		{"subscriber", []string{"--log-level=loud"}, nil, 2, `subscriber: --log-level="loud": want debug, info, warn or error`},
		{"livesupport", nil, []string{"REDIS_URL=redis://u:s3cret@h:x"}, 2, `livesupport: REDIS_URL="redis://***@h:x": want a URL such as `},
		{"livesupport", []string{"--verbose"}, nil, 2, `livesupport: unknown flag --verbose (see --help)`},
		{"chatserver", nil, nil, 2, "chatserver: REDIS_URL is not set: "},
		{"subscriber", nil, nil, 2, "subscriber: REDIS_URL is not set: "},
		{"subscriber", nil, []string{url, "BROKER=nats"}, 2, "subscriber: NATS_URL is not set: "},
		{"chatserver", nil, []string{url, "BROKER=nats", "NATS_URL=nats://127.0.0.1:1", "NATS_CA=/nowhere"}, 2, `chatserver: NATS_CA="/nowhere": want the name of a file that can be read`},
		{"livesupport", nil, []string{"BROKER=nats", "DATA_DIR=" + filepath.Join(dir, "livesupport")}, 1, `livesupport: DATA_DIR="` + filepath.Join(dir, "livesupport") + `": embedded: start NATS: `},
		{"subscriber", nil, []string{url, "SETTINGS=" + bad}, 2, `subscriber: SETTINGS="` + bad + `": hours.week.mon[1]: "25:00" is not a time`},
		{"livesupport", []string{"--settings", bad}, nil, 2, `livesupport: --settings="` + bad + `": hours.week.mon[1]: "25:00" is not a time`},
		{"chatserver", nil, []string{url, "SETTINGS=/nowhere"}, 2, `chatserver: SETTINGS="/nowhere": want the name of a file that can be read`},
		{"livesupport", nil, []string{"AGENT_SECRET=s3cret"}, 2, `livesupport: AGENT_SECRET="***": want at least 32 bytes`},
		{"livesupport", nil, []string{"AGENT_JWKS_URL=http://127.0.0.1:1"}, 2, "livesupport: AGENT_JWKS_URL is set without AGENT_AUDIENCE: "},
		{"livesupport", nil, []string{"AGENT_ISSUER=x"}, 2, "livesupport: AGENT_AUDIENCE or AGENT_ISSUER is set, but agents' tokens are not checked: "},
		{"chatserver", nil, []string{url, "CHAT_ADDR=" + addr}, 1, `chatserver: CHAT_ADDR="` + addr + `": `},
		{"livesupport", []string{"--lobby-addr", addr}, nil, 1, `livesupport: --lobby-addr="` + addr + `": `},
	} {
		code, stdout, stderr := runToEnd(t, filepath.Join(dir, test.command), test.args, test.env)
		require.Equal(t, test.code, code, stderr)
		require.Empty(t, stdout)
		require.True(t, strings.HasPrefix(stderr, test.stderr), stderr)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
		require.NotContains(t, stderr, "s3cret")
	}
}

// command is a process on free ports that inherits nothing of the tests' own
// environment.
func command(t *testing.T, path string, args, env []string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), processTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append([]string{"CHAT_ADDR=127.0.0.1:0", "LOBBY_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "DATA_DIR=" + t.TempDir()}, env...)
	return cmd
}

func runToEnd(t *testing.T, path string, args, env []string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, path, args, append([]string{"LOG_LEVEL=error"}, env...))
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	require.NoError(t, cmd.Start())
	_ = cmd.Wait() // the exit code says it
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

type process struct {
	cmd   *exec.Cmd
	lines chan map[string]any       // what it logs
	seen  map[string]map[string]any // the lines that logged has taken, by message
	ended chan error                // what Wait returned
}

func startProcess(t *testing.T, path string, env []string) *process {
	t.Helper()
	p := &process{cmd: command(t, path, nil, env), lines: make(chan map[string]any, 1000), seen: make(map[string]map[string]any), ended: make(chan error, 1)}
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			line := map[string]any{"msg": lines.Text()}
			_ = json.Unmarshal(lines.Bytes(), &line) // a line that is no JSON is the message
			select {
			case p.lines <- line:
			default: // nobody reads so many
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // most have ended
		<-done
	})
	return p
}

// logged waits for the line with the message.
func (p *process) logged(t *testing.T, message string) map[string]any {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for p.seen[message] == nil {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("ended without the line %q; logged %v", message, p.seen)
			}
			text, _ := line["msg"].(string)
			p.seen[text] = line
		case <-deadline:
			t.Fatalf("no line %q; logged %v", message, p.seen)
		}
	}
	return p.seen[message]
}

// endsWell waits for the end after a signal, with exit code 0.
func (p *process) endsWell(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		require.NoError(t, err, "the exit code")
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after the signal")
	}
}

func dialSocket(t *testing.T, addr, path string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, "ws://"+addr+path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.CloseNow() }) // most have been closed by the server
	_, frame, err := socket.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, "ping", string(frame))
	return socket
}

// closeCode reads to the end of the socket.
func closeCode(t *testing.T, socket *websocket.Conn) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, _, err := socket.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// The production images must not carry the embedded servers.
func TestBackendsLinkNoEmbeddedServer(t *testing.T) {
	for _, name := range []string{"chatserver", "subscriber"} {
		out, err := exec.Command("go", "list", "-deps", "livesupport/cmd/"+name).Output()
		require.NoError(t, err)
		deps := strings.Fields(string(out))
		require.Contains(t, deps, "livesupport/broker")
		for _, dep := range deps {
			for _, barred := range []string{"livesupport/broker/embedded", "github.com/alicebob/miniredis", "github.com/nats-io/nats-server"} {
				require.False(t, strings.HasPrefix(dep, barred), "%s links %s", name, dep)
			}
		}
	}
}
