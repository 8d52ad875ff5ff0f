package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// guarded is a proxy in front of a server that asks for a password (HTTP Basic). The first URL
// contains it.
func (s *site) guarded(server string) (login, without string) {
	s.Helper()
	target, err := url.Parse(server)
	if err != nil {
		s.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "shop" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	s.Cleanup(front.Close)
	return strings.Replace(front.URL, "://", "://shop:secret@", 1) + "/", front.URL + "/"
}

// TestPasswordInFront is a console behind HTTP Basic.
func TestPasswordInFront(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor, agent := s.visitor(desktop), newWindow(t, desktop)
	visitor.asks("Nika", "one")
	login, _ := s.guarded(s.lobby)
	agent.visit(login)
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

// TestPasswordInFrontOfVisitors: a chat server is behind HTTP Basic, and its site vouches for
// visitors. Neither a refused token nor a good one makes the browser forget the password.
func TestPasswordInFrontOfVisitors(t *testing.T) {
	t.Parallel()
	const secret = "the visitors' secret has 33 bytes"
	s := startSite(t, func(cfg *backend.Config) { cfg.VisitorSecret = secret })
	login, chat := s.guarded(s.chat)
	agent, w := s.agent(desktop, "Vika"), newWindow(t, desktop)
	w.visit(login)
	runs := func(ttl time.Duration) {
		t.Helper()
		token, err := web.Token{Subject: "4711", Name: "Nika"}.Sign(secret, ttl)
		if err != nil {
			t.Fatal(err)
		}
		get[any](w, fmt.Sprintf(`void document.querySelectorAll("script").forEach((one) => { one.dataset.token = %q; })`, token))
		w.until("not asked for a name", `$("#name").offsetParent === null`)
	}
	w.click(".launcher")
	runs(-time.Hour)
	w.fill("#first", "one")
	w.click(".start .primary")
	w.shows(".start .hint", "Your session on this site has expired. Please reload the page.")
	w.visit(chat)
	w.until("the password is still known", `shown($(".panel"))`)
	runs(time.Hour)
	w.click("#first")
	w.press("a", kb.ModifierCtrl)
	w.write("two")
	w.click(".start .primary")
	w.conversation("two")
	agent.takes("Nika")
	agent.shows(".with", "Verified")
	w.reload()
	w.until("the password is still known", `shown($(".panel"))`)
}

// TestSignOut: the next agent at the same browser gets nothing of the last one's work; the last one
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
	agent.shows("dialog[open]", "your visitors are left without an agent")
	agent.accessible("account")
	agent.shot("agent-account-token")
	agent.click(".account .out")
	agent.until("asked for a token", `document.activeElement === $("#token") && document.title === "Support console"`)
	agent.until("nothing of the conversation is in the page", `$$(".bubble, .tab").length === 0 && !/Nika|half a sen/.test(document.documentElement.outerHTML + $("#message").value)`)
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
	agent, colleague := s.agent(desktop, "Vika"), s.agent(phone, "Lulu")
	colleague.shows(".colleagues .name", "Vika")
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
	colleague.shows(".colleagues .name", "Kiku")
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

// TestRejoin: an agent's supportId is not the chat's, because they have taken it on another
// machine. The console asks again with the token, and gets the chat.
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
	agent.connected()
	agent.conversation("one")
	agent.says("two")
	visitor.conversation("one", "two")
	agent.reload()
	agent.until("asked with the right one by now", `joins.length === 1 && /^[0-9a-f]{32}$/.test(joins[0]) && joins[0] !== "`+other+`"`)
	agent.connected()
	agent.conversation("one", "two")

	// Another agent's browser has no use for it.
	stranger := newWindow(t, desktop)
	stranger.visit(s.lobby)
	stranger.showsToken(tokenFor(t, "kiku", "Kiku", time.Hour))
	stranger.until("online", `$(".lobby").dataset.state === "ready"`)
	stranger.until("nothing of it", `$$(".tab").length === 0`)
}
