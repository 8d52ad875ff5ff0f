package browser_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// A site is a backend of its own.
type site struct {
	*testing.T
	cfg         backend.Config
	backend     *backend.Backend
	chat, lobby string // URLs, with a slash at the end
}

// startSite starts a backend as the one command does, on free ports.
func startSite(t *testing.T, tune func(*backend.Config)) *site {
	t.Helper()
	startEngine(t) // or skip before anything else is begun
	redis := brokertest.StartEmbeddedRedis(t)
	cfg, err := backend.Parse("livesupport", nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	cfg.ChatAddr, cfg.LobbyAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.LogLevel = slog.LevelError
	cfg.RedisURL = redis.URL()
	if tune != nil {
		tune(&cfg)
	}
	s := &site{T: t, cfg: cfg}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.Helper()
	b, err := backend.Start(context.Background(), s.cfg, backend.Chat|backend.Lobby)
	if err != nil {
		s.Fatal(err)
	}
	s.backend = b
	s.chat, s.lobby = "http://"+b.ChatAddr()+"/", "http://"+b.LobbyAddr()+"/"
}

func (s *site) stop() {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.backend.Shutdown(ctx); err != nil {
		s.Errorf("shutdown: %v", err)
	}
}

// restart is a new version of both servers at the old addresses.
func (s *site) restart() {
	s.Helper()
	s.cfg.ChatAddr, s.cfg.LobbyAddr = s.backend.ChatAddr(), s.backend.LobbyAddr()
	s.stop()
	s.start()
}

// visitor opens the page of the chat server.
func (s *site) visitor(as look) *window {
	s.Helper()
	w := newWindow(s.T, as)
	w.visit(s.chat)
	w.until("the chat button is there", `shown($(".launcher"))`)
	return w
}

// asks opens the widget and begins a chat.
func (w *window) asks(name, text string) {
	w.Helper()
	w.click(".launcher")
	// What the form says of who is there moves what is below.
	w.until("it is known who is there", `performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/status"))`)
	w.fill("#name", name)
	w.fill("#first", text)
	w.click(".start .primary")
	w.shows(".bubble", text)
}

// agent opens the console and signs in.
func (s *site) agent(as look, name string) *window {
	s.Helper()
	w := newWindow(s.T, as)
	w.visit(s.lobby)
	w.signsIn(name)
	return w
}

func (w *window) signsIn(name string) {
	w.Helper()
	w.until("asked for the name", `document.activeElement === $("#name")`)
	w.write(name)
	w.press(kb.Enter)
	w.until("online", `$(".lobby").dataset.state === "ready"`)
}

// takes claims a visitor from the queue.
func (w *window) takes(name string) {
	w.Helper()
	w.click(fmt.Sprintf(".queue button[aria-label='Take the chat with %s']", name))
	w.shows(".with h2", name)
	w.connected()
}

func (w *window) connected() {
	w.Helper()
	w.until("connected", `($(".state") ?? $(".livesupport")).dataset.state === "connected"`)
}

// says writes into the composer and sends.
func (w *window) says(text string) {
	w.Helper()
	w.click("#message")
	w.write(text)
	w.sends()
	w.until("the composer is empty", `$("#message").value === ""`)
}

// sends presses Enter, or on a touch screen the button.
func (w *window) sends() {
	w.Helper()
	if get[bool](w, `matchMedia("(pointer: coarse)").matches`) {
		w.click(".send")
	} else {
		w.press(kb.Enter)
	}
}

// conversation waits until the conversation has these messages and no other, in
// this order, none of them unsent.
func (w *window) conversation(texts ...string) {
	w.Helper()
	want := strings.Join(texts, "|")
	w.until("the conversation is "+want,
		fmt.Sprintf(`$$(".messages .bubble").map((one) => one.textContent).join("|") === %q && $$(".outbox li").length === 0`, want))
}

// couple is a visitor and an agent who talk.
func (s *site) couple() (visitor, agent *window) {
	s.Helper()
	visitor = s.visitor(desktop)
	agent = s.agent(desktop, "Vika")
	visitor.asks("Nika", "one")
	agent.takes("Nika")
	visitor.shows(".status", "You’re chatting with Vika")
	agent.conversation("one")
	visitor.conversation("one")
	return visitor, agent
}
