package browser_test

import (
	"fmt"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// TestVerified: the site knows the visitor. The widget asks for no name, and the agent sees
// "Verified".
func TestVerified(t *testing.T) {
	t.Parallel()
	const secret = "the visitors' secret has 33 bytes"
	s := startSite(t, func(cfg *backend.Config) { cfg.VisitorSecret = secret })
	agent := s.agent(desktop, "Vika")
	s.visitor(desktop).asks("Nika", "anybody may say so")
	agent.shows(".queue .name", "Nika")
	agent.until("nobody is verified", `!shown($(".queue .verified"))`)

	open := func(ttl time.Duration) *window {
		token, err := web.Token{Subject: "4711", Name: "Ana María"}.Sign(secret, ttl)
		if err != nil {
			t.Fatal(err)
		}
		w := newWindow(t, desktop)
		w.visit(s.host("", s.line(fmt.Sprintf("data-token=%q", token))))
		w.click(".launcher")
		w.until("no name is asked for", `$("#name").offsetParent === null && root.activeElement === $("#first")`)
		w.accessible("start with a token")
		w.fill("#first", "one")
		w.click(".start .primary")
		return w
	}
	visitor := open(time.Minute)
	visitor.shows(".status", "You are number")
	agent.until("the second one is verified", `$(".queue li:nth-child(2) .name").textContent === "Ana María" && $(".queue li:nth-child(2) .verified").innerText.trim().endsWith("Verified")`)
	agent.accessible("queue with a verified visitor")
	agent.takes("Ana María")
	agent.until("the conversation says so too", `!$(".talk .verified").hidden`)
	agent.accessible("conversation with a verified visitor")
	agent.reload()
	agent.connected()
	agent.until("after a reload as well", `!$(".talk .verified").hidden`)
	agent.takes("Nika")
	agent.until("not the other", `$(".talk .verified").hidden`)

	late := open(-time.Hour)
	late.shows(".start .hint", "Your session on this site has expired. Please reload the page.")
}
