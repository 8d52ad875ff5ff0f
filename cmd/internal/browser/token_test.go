package browser_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

const agentSecret = "the agents' secret has 32 bytes!"

func tokenFor(t *testing.T, sub, name string, ttl time.Duration) string {
	t.Helper()
	token, err := web.SignToken(agentSecret, sub, name, "", "", ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// showsToken enters a token where the console asks for one.
func (w *window) showsToken(token string) {
	w.Helper()
	w.until("asked for the token", `document.activeElement === $("#token")`)
	w.write(token)
	w.press(kb.Enter)
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")

	agent := newWindow(t, desktop)
	agent.visit(s.lobby)
	agent.showsToken("Vika")
	agent.shows(".sign-in .notice", "This token is invalid or has expired. Please enter a new one.")
	agent.showsToken(tokenFor(t, "vika", "Vika", -time.Hour))
	agent.shows(".sign-in .notice", "This token is invalid or has expired. Please enter a new one.")
	agent.accessible("asked for a token")

	// The name is the token's. A reload keeps it, another window does not have it.
	agent.showsToken(tokenFor(t, "vika", "Vika Ć", time.Hour))
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	agent.shows(".me", "Vika Ć")
	agent.takes("Nika")
	visitor.shows(".status", "You’re chatting with Vika Ć")
	agent.says("two")
	visitor.conversation("one", "two")
	agent.reload()
	agent.connected()
	agent.conversation("one", "two")
	agent.says("three")
	visitor.conversation("one", "two", "three")
	other := agent.another(desktop)
	other.visit(s.lobby)
	other.until("asked for the token", `document.activeElement === $("#token")`)
	if kept := get[string](agent, `JSON.stringify(localStorage)`); len(kept) > 0 && get[bool](agent, `JSON.stringify(localStorage).includes("eyJ")`) {
		t.Errorf("the token stays in the browser: %s", kept)
	}
}

// TestTokenRunsOut: the console asks for another token, and goes on with the
// conversations.
func TestTokenRunsOut(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := newWindow(t, desktop)
	agent.visit(s.lobby)
	agent.showsToken(tokenFor(t, "vika", "Vika", 5*time.Second)) // and 5 s for clocks that are off
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	agent.takes("Nika")
	agent.shows(".sign-in .notice", "This token is invalid or has expired. Please enter a new one.")
	visitor.says("two")
	agent.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	agent.connected()
	agent.conversation("one", "two")
	agent.says("three")
	visitor.conversation("one", "two", "three")
}

// TestTokenInTime: the lobby and the chat server notice up to a second apart that a
// token has run out. A conversation whose end comes when the console has another one
// by now goes on, too.
func TestTokenInTime(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	late := desktop
	late.script = `
		window.held = Promise.resolve();
		window.WebSocket = class extends WebSocket {
			turn = Promise.resolve();
			later(handle) {
				return (event) => {
					const chat = this.url.includes("/chat/");
					if (chat && event.type === "close") window.shut = event.code;
					this.turn = this.turn.then(() => chat && event.data !== "ping" && window.held).then(() => handle(event));
				};
			}
			set onmessage(handle) { super.onmessage = this.later(handle); }
			set onclose(handle) { super.onclose = this.later(handle); }
		};`
	agent := newWindow(t, late)
	agent.visit(s.lobby)
	agent.showsToken(tokenFor(t, "vika", "Vika", 5*time.Second))
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	agent.takes("Nika")
	agent.connected()
	get[bool](agent, `window.held = new Promise((release) => window.release = release), true`)
	agent.shows(".sign-in .notice", "This token is invalid or has expired. Please enter a new one.")
	agent.until("shut out of the chat", `window.shut === 1008`)
	agent.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	agent.until("let in again", `$(".door").hidden`)
	get[bool](agent, `release(), true`)
	visitor.says("two")
	agent.conversation("one", "two")
	agent.says("three")
	visitor.conversation("one", "two", "three")
}
