package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/embedded"
)

// TestPasteAcrossProcesses: two chat servers and two lobbies, each a process of its own,
// share a store, a broker and a folder. Visitor and agent are at different ones; what is
// pasted in the window of one appears in the window of the other.
func TestPasteAcrossProcesses(t *testing.T) {
	t.Parallel()
	startEngine(t)
	for broker, as := range map[string]look{
		"redis": {width: 1280, height: 800},
		"nats":  {width: 390, height: 844, phone: true},
	} {
		t.Run(broker, func(t *testing.T) {
			redis := brokertest.StartRedisServer(t)
			env := []string{
				"CHAT_ADDR=127.0.0.1:0", "LOBBY_ADDR=127.0.0.1:0", "LOG_FORMAT=json",
				"REDIS_URL=" + redis.URL(), "BROKER=" + broker, "FILES_URL=file://" + filepath.ToSlash(t.TempDir()),
			}
			if broker == "nats" {
				nats, err := embedded.StartNATS(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(nats.Close)
				env = append(env, "NATS_URL="+nats.URL())
			}
			chatserver, subscriber := buildCommand(t, "chatserver"), buildCommand(t, "subscriber")
			one, two := startProcess(t, chatserver, env...), startProcess(t, chatserver, env...)
			visitor := newWindow(t, as)
			visitor.visit(one)
			visitor.asks("Nika", "one")
			var agents []*window
			for _, chat := range []string{one, two} {
				w := newWindow(t, as)
				w.visit(startProcess(t, subscriber, append(env, "CHAT_PUBLIC_URL="+strings.TrimSuffix(chat, "/"))...))
				w.signsIn("Vika")
				w.shows(".queue", "Nika")
				agents = append(agents, w)
			}
			agent := agents[1]
			agent.takes("Nika")
			agents[0].until("the other lobby knows that she is taken", `!$(".queue").textContent.includes("Nika")`)
			visitor.shows(".status", "You’re chatting with Vika")

			pastes := func(from, to *window, of *window, count int) {
				t.Helper()
				from.takesFiles()
				screen := of.picture() // not by way of the clipboard: tests that run at the same time have one
				from.gives("pasted", sent{"image.png", "image/png", screen})
				from.ready(1)
				from.shot(fmt.Sprintf("%s-%d-ready", broker, count))
				from.click(".send")
				for who, w := range map[string]*window{"from": from, "to": to} {
					w.loaded(count)
					w.until("it is as it was", fmt.Sprintf(`(({ naturalWidth, naturalHeight }) => naturalWidth === %d && naturalHeight === %d)($$(".picture img").at(-1))`, as.width, as.height))
					w.shot(fmt.Sprintf("%s-%d-%s", broker, count, who))
				}
				got, kind := to.download(`$$(".picture").at(-1).href`)
				if a, b := decoded(t, screen), decoded(t, got); kind != "image/png" || a.Bounds() != b.Bounds() || a.At(5, 5) != b.At(5, 5) {
					t.Errorf("%s of %v came as %v", kind, a.Bounds(), b.Bounds())
				}
			}
			pastes(visitor, agent, visitor, 1)
			pastes(agent, visitor, agents[0], 2)
		})
	}
}

// picture is a screenshot of the window.
func (w *window) picture() (screen []byte) {
	w.Helper()
	w.do("take a picture", func(ctx context.Context) (err error) {
		screen, err = w.tab.picture(ctx)
		return err
	})
	return screen
}

// buildCommand builds one of the commands.
func buildCommand(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "livesupport/cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// startProcess runs a server until the test's end, and returns its URL, with a slash at
// the end, once it listens.
func startProcess(t *testing.T, path string, env ...string) string {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env = env
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	listens, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Level, Msg, Addr string }
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Level == "ERROR" {
				t.Errorf("%s says %s", filepath.Base(path), lines.Text())
			}
			if strings.HasSuffix(line.Msg, " listens") && line.Addr != "" {
				select {
				case listens <- "http://" + line.Addr + "/":
				default:
				}
			}
		}
		_ = cmd.Wait() // how it ends is what other tests look at
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-ended:
		case <-time.After(12 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("%s does not end", filepath.Base(path))
		}
	})
	select {
	case url := <-listens:
		return url
	case <-ended:
		t.Fatalf("%s has ended", filepath.Base(path))
	case <-time.After(patience):
		t.Fatalf("%s does not listen", filepath.Base(path))
	}
	return ""
}
