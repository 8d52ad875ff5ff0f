package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
)

// TestPasswordInFront is a console behind HTTP Basic.
func TestPasswordInFront(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	target, err := url.Parse(s.lobby)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "shop" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(guarded.Close)

	visitor, agent := s.visitor(desktop), newWindow(t, desktop)
	visitor.asks("Nika", "one")
	agent.visit(strings.Replace(guarded.URL, "://", "://shop:secret@", 1) + "/")
	agent.showsToken("not a token")
	agent.shows(".sign-in .notice", "This token is invalid")
	agent.showsToken(tokenFor(t, "vika", "Vika", -time.Hour))
	agent.until("refused by the lobby", `$("#token").value !== "" && $(".sign-in .notice").textContent !== ""`)
	agent.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	agent.until("online", `$(".lobby")?.dataset.state === "ready"`)
	agent.shows(".queue .name", "Nika")
	agent.reload()
	agent.until("online after a reload", `$(".lobby")?.dataset.state === "ready"`)
}

// TestSignOut: the next agent at the same browser gets nothing of the last one's, who
// gets it back.
func TestSignOut(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := newWindow(t, desktop)
	agent.visit(s.lobby)
	agent.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	agent.takes("Nika")
	agent.write("half a sen")
	agent.click(".me")
	agent.shows("dialog[open]", "your visitors stay without an agent")
	agent.accessible("account")
	agent.shot("agent-account-token")
	agent.click(".account .out")
	agent.until("asked for a token", `document.activeElement === $("#token") && document.title === "Support console"`)
	if get[bool](agent, `JSON.stringify({ ...sessionStorage, ...localStorage }).includes("eyJ")`) {
		t.Error("the token is still in the browser")
	}
	agent.reload()
	agent.showsToken(tokenFor(t, "kiku", "Kiku", time.Hour))
	agent.until("online", `$(".lobby")?.dataset.state === "ready"`)
	agent.until("nothing of Vika's is there", `$$(".tab").length === 0 && !document.body.textContent.includes("Nika")`)

	// In another window, while Kiku goes on in this one.
	back := agent.another(desktop)
	back.visit(s.lobby)
	back.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	back.connected()
	back.conversation("one")
	back.until("the draft is there", `$("#message").value === "half a sen"`)
	back.press(kb.End)
	back.write("tence")
	back.press(kb.Enter)
	visitor.conversation("one", "half a sentence")

	// Another agent's token in the place of one's own: the same as by way of the door.
	get[any](back, `sessionStorage.setItem("livesupport-agent token", JSON.stringify("`+tokenFor(t, "vika", "Vika", -time.Hour)+`"))`)
	back.reload()
	back.shows(".renewal", "Your access token has expired.")
	back.renews(tokenFor(t, "dodo", "Dodo", time.Hour))
	back.shows(".me", "Dodo")
	back.until("nothing of Vika's is there", `$$(".tab").length === 0 && !document.body.textContent.includes("Nika")`)
}

// TestRename is where agents choose their name.
func TestRename(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	first, second := s.visitor(desktop), s.visitor(desktop)
	first.asks("Nika", "one")
	agent := s.agent(desktop, "Vika")
	agent.takes("Nika")
	agent.click(".me")
	agent.until("the name can be written over", `$("#own-name").value === "Vika"`)
	agent.click("#own-name")
	agent.press("a", kb.ModifierCtrl)
	agent.write("  ")
	agent.press(kb.Enter)
	agent.shows(".account .hint", "This name can’t be used.")
	agent.press("a", kb.ModifierCtrl)
	agent.write("Kiku")
	agent.accessible("account")
	agent.shot("agent-account")
	agent.press(kb.Enter)
	agent.hides("dialog[open]")
	agent.shows(".me", "Kiku")
	agent.until("back at the name", `document.activeElement === $(".me")`)
	second.asks("Dodo", "two")
	agent.takes("Dodo")
	second.shows(".status", "Kiku")
	agent.reload()
	agent.connected()
	agent.shows(".me", "Kiku")
	agent.until("both conversations", `$$(".tab").length === 2`)

	// Signed out and back, and signed out for somebody else.
	agent.click(".me")
	agent.click(".account .out")
	agent.until("asked for the name, which is not kept", `document.activeElement === $("#name") && $("#name").value === ""`)
	agent.reload()
	agent.signsIn("Vika")
	agent.until("nothing of Kiku's", `$$(".tab").length === 0`)
	agent.click(".me")
	agent.click(".account .out")
	agent.signsIn("Kiku")
	agent.until("both conversations", `$$(".tab").length === 2`)
}

// TestRejoin: an agent whose supportId is not the chat's any more, since they have the
// chat from another machine, asks once more as who their token is about, and is told
// if that does not help.
func TestRejoin(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	noting := desktop
	noting.script = tapped + `
		window.joins = [];
		tap.sends = (socket, text, send) => {
			if (text.startsWith('{"type":"Join"')) joins.push(JSON.parse(text).args.supportId ?? "none");
			send(text);
		};`
	visitor, agent := s.visitor(desktop), newWindow(t, noting)
	visitor.asks("Nika", "one")
	agent.visit(s.lobby)
	agent.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	agent.takes("Nika")
	// What the storage of the machine that was left would hold.
	const other = "0123456789abcdef0123456789abcdef"
	agent.connected()
	kept := get[string](agent, `JSON.stringify(Object.entries(localStorage).find(([key]) => key.startsWith("livesupport-agent desk.")))`)
	get[any](agent, `(() => {
		const [key, record] = `+kept+`;
		const stale = JSON.stringify({ ...JSON.parse(record), chats: JSON.parse(record).chats.map((one) => ({ ...one, supportId: "`+other+`" })) });
		addEventListener("pagehide", () => localStorage.setItem(key, stale));
	})()`)
	agent.reload()
	agent.until("asked with the supportId, then without", `joins.join() === "`+other+`,none"`)
	agent.until("the chat is there, or it is said that it is not", `$(".notice p").textContent.includes("Nika") || $(".state").dataset.state === "connected"`)
}
