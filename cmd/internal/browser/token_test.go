package browser_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

const agentSecret = "the agents' secret has 32 bytes!"

func tokenFor(t *testing.T, sub, name string, ttl time.Duration) string {
	t.Helper()
	token, err := web.Token{Subject: sub, Name: name}.Sign(agentSecret, ttl)
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

// renews enters a token where the console asks for a new one.
func (w *window) renews(token string) {
	w.Helper()
	w.fill(".renewal #token", token)
	w.press(kb.Enter)
}

// TestTokenRunsOut: the console asks for another token and takes nothing away, not even the next
// key.
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
	agent.write("half a sen")
	agent.shows(".renewal", "Your access token has expired.")
	agent.shows(".lobby", "Access token expired")
	agent.until("shut out of the chat", `$(".state").dataset.state === "closed"`)
	agent.accessible("run out")
	agent.shot("agent-run-out")
	agent.write("tence")
	agent.until("nothing is taken away", `$("#message").value === "half a sentence" && document.activeElement === $("#message")`)
	agent.press(kb.Enter)
	agent.shows(".outbox .fate", "Will be sent when you’re back online")
	agent.write("and more")
	visitor.says("two")

	agent.renews("something else")
	agent.shows(".renewal .hint", "This token is invalid")
	agent.press("a", kb.ModifierCtrl)
	agent.write(tokenFor(t, "vika", "Vika", time.Hour))
	agent.press(kb.Enter)
	agent.connected()
	agent.hides(".renewal")
	agent.until("back where the work is", `$("#message").value === "and more" && document.activeElement === $("#message")`)
	agent.conversation("one", "two", "half a sentence")
	visitor.conversation("one", "two", "half a sentence")

	// A reload with one that has run out meanwhile keeps the same.
	get[any](agent, fmt.Sprintf(`sessionStorage.setItem("livesupport-agent token", JSON.stringify(%q))`, tokenFor(t, "vika", "Vika", -time.Hour)))
	agent.reload()
	agent.shows(".renewal", "Your access token has expired.")
	agent.until("the draft is there", `$("#message").value === "and more"`)
	agent.renews(tokenFor(t, "vika", "Vika", time.Hour))
	agent.connected()
	agent.press(kb.Enter)
	visitor.conversation("one", "two", "half a sentence", "and more")
}

// TestTokenWarning: a warning comes once, ten minutes before, and a new token is taken without a
// break.
func TestTokenWarning(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	later := desktop
	later.script = `window.ahead = 0; (() => { const { now } = Date; Date.now = () => now() + window.ahead; })()`
	agent := newWindow(t, later)
	agent.visit(s.lobby)
	agent.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	agent.hides(".renewal")
	get[any](agent, `ahead = 49.5 * 60_000`)
	get[any](agent, `new Promise((resolve) => setTimeout(resolve, 1_200))`) // its clock ticks each second
	agent.hides(".renewal")
	get[any](agent, `ahead = 50.5 * 60_000`)
	agent.until("warned, with the time", `/^Your access token expires at \d+:\d\d.[AP]M\./.test($(".renewal > p").textContent)`)
	agent.accessible("warned")
	agent.shot("agent-warned")
	agent.until("the focus stays", `document.activeElement !== $("#token")`)
	agent.renews(tokenFor(t, "vika", "Vika", 3*time.Hour))
	agent.hides(".renewal")
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	get[any](agent, `ahead = 175 * 60_000`)
	agent.shows(".renewal", "Your access token expires at")
	agent.click(".renewal .quiet")
	agent.hides(".renewal")
	agent.reload()
}

// TestPastedToken: a token may be pasted together with what chats, terminals and documents put
// around it.
func TestPastedToken(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	token := tokenFor(t, "vika", "Vika", time.Hour)
	agent := newWindow(t, desktop)
	agent.visit(s.lobby)
	for _, pasted := range []string{
		"Bearer " + token, "bearer\t" + token, "Authorization: Bearer " + token, "bearer." + token,
		`"` + token + `"`, "“" + token + "”", "`" + token + "`,", `{"token":"` + token + `"}`,
		"  " + token + "\n", token[:40] + "\n" + token[40:], token[:40] + " " + token[40:], "\ufeff" + token + "\u200b", "<" + token + ">",
	} {
		agent.showsToken(pasted)
		agent.until(fmt.Sprintf("%q is taken", pasted), `$(".lobby").dataset.state === "ready"`)
		agent.click(".me")
		agent.click(".account .out")
	}
	agent.showsToken(token + "x")
	agent.shows(".sign-in .notice", "This token is invalid")
}

// TestTokenInTime: the lobby and the chat server may notice up to a second apart that a token has
// expired. A conversation that ends when the console already has a new token goes on, too.
func TestTokenInTime(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	late := desktop
	late.script = slowToHear + `
		tap.hears = ((hears) => (socket, event, handle) => {
			if (!socket.url.includes("/chat/")) return handle(event);
			if (event.type === "close") window.shut = event.code;
			hears(socket, event, handle);
		})(tap.hears);`
	agent := newWindow(t, late)
	agent.visit(s.lobby)
	agent.showsToken(tokenFor(t, "vika", "Vika", 5*time.Second))
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	agent.takes("Nika")
	agent.connected()
	get[any](agent, `held = []`)
	agent.shows(".renewal", "Your access token has expired.")
	agent.until("shut out of the chat", `window.shut === 1008`)
	agent.renews(tokenFor(t, "vika", "Vika", time.Hour))
	agent.hides(".renewal")
	get[any](agent, `release()`)
	visitor.says("two")
	agent.conversation("one", "two")
	agent.says("three")
	visitor.conversation("one", "two", "three")
}
