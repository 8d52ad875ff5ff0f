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

// processes are two chat servers and two lobbies, each a process of its own, with the
// agents of a lobby on a chat server of their own.
type processes struct{ chats, lobbies [2]string }

func startProcesses(t *testing.T, broker string, more ...string) (p processes) {
	t.Helper()
	redis := brokertest.StartRedisServer(t)
	env := append([]string{
		"CHAT_ADDR=127.0.0.1:0", "LOBBY_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "REDIS_URL=" + redis.URL(), "BROKER=" + broker,
	}, more...)
	if broker == "nats" {
		nats, err := embedded.StartNATS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nats.Close)
		env = append(env, "NATS_URL="+nats.URL())
	}
	chatserver, subscriber := buildCommand(t, "chatserver"), buildCommand(t, "subscriber")
	for i := range p.chats {
		p.chats[i] = startProcess(t, chatserver, env...)
		p.lobbies[i] = startProcess(t, subscriber, append(env, "CHAT_PUBLIC_URL="+strings.TrimSuffix(p.chats[i], "/"))...)
	}
	return p
}

// acrossProcesses runs a test with each broker, with one of them on a phone.
func acrossProcesses(t *testing.T, test func(t *testing.T, broker string, as look)) {
	t.Parallel()
	startEngine(t)
	for broker, as := range map[string]look{
		"redis": {width: 1280, height: 800},
		"nats":  {width: 390, height: 844, phone: true},
	} {
		t.Run(broker, func(t *testing.T) { test(t, broker, as) })
	}
}

// TestPasteAcrossProcesses: two chat servers and two lobbies, each a process of its own,
// share a store, a broker and a folder. Visitor and agent are at different ones; what is
// pasted in the window of one appears in the window of the other.
func TestPasteAcrossProcesses(t *testing.T) {
	acrossProcesses(t, func(t *testing.T, broker string, as look) {
		p := startProcesses(t, broker, "FILES_URL=file://"+filepath.ToSlash(t.TempDir()))
		visitor := newWindow(t, as)
		visitor.visit(p.chats[0])
		visitor.asks("Nika", "one")
		var agents []*window
		for _, lobby := range p.lobbies {
			w := newWindow(t, as)
			w.visit(lobby)
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

// TestLiveAcrossProcesses: two windows on different servers show each other all that is
// live, from the place in the queue to the rating.
func TestLiveAcrossProcesses(t *testing.T) {
	acrossProcesses(t, func(t *testing.T, broker string, as look) {
		p := startProcesses(t, broker, "TYPING_PREVIEW=true")
		as.script = elsewhere
		visitor, agent := newWindow(t, as), newWindow(t, as)
		visitor.visit(p.chats[0])
		visitor.asks("Nika", "one")
		visitor.shows(".status", "You are number 1")
		both := func(state string) {
			t.Helper()
			visitor.shot(broker + "-visitor-" + state)
			agent.shot(broker + "-agent-" + state)
		}
		agent.visit(p.lobbies[1])
		agent.signsIn("Vika")
		agent.shows(".queue", "Nika")
		both("waiting")
		agent.takes("Nika")
		visitor.shows(".status", "You’re chatting with Vika")
		visitor.shows(".presence", "Vika is online")
		agent.shows(".talk .presence", "Online")

		// Both type; the agent sees what.
		visitor.fill("#message", "two")
		agent.shows(".preview", "two")
		agent.write("three")
		visitor.shows(".typing", "Vika is typing…")
		both("typing")
		visitor.click(".send")
		agent.hides(".preview")
		agent.click(".send")
		visitor.conversation("one", "two", "three")
		visitor.hides(".typing")

		// What is looked at is read.
		agent.fate("Read")
		visitor.shows(".fate", "Read")
		get[any](visitor, `look(true)`)
		agent.shows(".talk .presence", "Away")
		agent.says("four")
		agent.fate("Delivered")
		both("away")
		get[any](visitor, `look(false)`)
		agent.fate("Read")
		agent.shows(".talk .presence", "Online")
		get[any](agent, `look(true)`)
		visitor.shows(".presence", "Vika is away")
		get[any](agent, `look(false)`)
		visitor.shows(".presence", "Vika is online")
		visitor.visit("about:blank")
		agent.shows(".talk .presence", "Offline")
		visitor.visit(p.chats[0])
		agent.shows(".talk .presence", "Online")
		visitor.conversation("one", "two", "three", "four")

		// The visitor ends it, rates it, and begins anew.
		visitor.click(".line button")
		visitor.click(".question button.primary")
		visitor.shows(".status", "You ended this chat.")
		agent.shows(".state", "Nika ended this chat.")
		visitor.click(".star:nth-of-type(4)")
		visitor.fill("#comment", "Quick")
		visitor.click(".rating button")
		visitor.shows(".rating [role=status]", "Thank you for your rating.")
		agent.shows(".rating", "Rated 4 out of 5")
		agent.shows(".rating", "Quick")
		both("rated")
		visitor.click(".over button")
		visitor.fill("#first", "five")
		visitor.click(".start .primary")
		visitor.shows(".status", "You are number 1")

		// The agent ends the next one.
		if as.phone {
			agent.click(".back")
		}
		agent.takes("Nika")
		visitor.shows(".status", "You’re chatting with Vika")
		agent.click(".talk > header .quiet")
		agent.click("dialog[open] [value=end]")
		visitor.shows(".status", "Vika ended this chat.")
		agent.shows(".state", "You ended this chat.")
	})
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
