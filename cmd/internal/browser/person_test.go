package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// TestWhoseChat: several people use one computer. A chat is shown only to the person who has
// started it.
func TestWhoseChat(t *testing.T) {
	t.Parallel()
	const secret = "the visitors' secret has 33 bytes"
	s := startSite(t, func(cfg *backend.Config) { cfg.VisitorSecret = secret })
	line := func(sub, name string, ttl time.Duration) string {
		token, err := web.Token{Subject: sub, Name: name}.Sign(secret, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return s.line(fmt.Sprintf("data-token=%q", token))
	}
	shop := s.pages(map[string]string{
		"/nika":  line("1", "Nika", time.Hour),
		"/later": line("1", "Nika N.", time.Minute), // the same person by another token
		"/bob":   line("2", "Bob", time.Hour),
		"/@1":    line("@1 ", "A name like a key", time.Hour),
		"/out":   "{{line}}",
	})
	w := newWindow(t, desktop)
	fresh := func(who string) {
		t.Helper()
		w.until(who+" gets a new form", `shown($(".start")) && $("#first").value === "" && !$(".bubble")`)
	}
	open := func(who string) {
		t.Helper()
		w.visit(shop + "/" + who)
		w.onlyOne()
		w.until("open", `shown($(".panel"))`)
	}

	// Somebody who was not signed in goes on after they have signed in.
	w.visit(shop + "/out")
	w.asks("Somebody", "one")
	open("nika")
	w.conversation("one")
	w.says("two")
	w.fill("#message", "half written")
	open("later")
	w.conversation("one", "two")
	w.until("the half written is there", `$("#message").value === "half written"`)

	// Signed out: nobody else gets the chat, but it is still hers.
	open("out")
	fresh("nobody")
	open("later")
	w.conversation("one", "two")

	// The next person to sign in gets nothing of it, and it is forgotten.
	tab := w.another(desktop)
	tab.visit(shop + "/nika")
	tab.click(".launcher")
	tab.conversation("one", "two")
	open("bob")
	fresh("Bob")
	tab.until("the other tab lets go of it", `shown($(".start")) && !$(".bubble")`)
	if kept := get[string](w, `Object.entries(localStorage).concat(Object.entries(sessionStorage)).flat().join()`); strings.Contains(kept, "chatId") || strings.Contains(kept, "half") {
		t.Errorf("the browser keeps %s", kept)
	}
	w.fill("#first", "three")
	w.click(".start .primary")
	w.conversation("three")
	open("nika")
	fresh("Nika")
	open("@1")
	fresh("a stranger")
	open("out")
	fresh("nobody")
}

// TestSignInWithoutLoading: on a page that is not reloaded, the token of the line appears, changes
// and goes.
func TestSignInWithoutLoading(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	token := func(sub string) string {
		token, err := web.Token{Subject: sub, Name: sub}.Sign("any: the server has no secret here", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	w := newWindow(t, desktop)
	w.visit(s.pages(map[string]string{"/": s.line(`id="chat" data-title="Ask us"`)}))
	w.asks("Somebody", "one")
	set := func(sub string) {
		value := ""
		if sub != "" {
			value = token(sub)
		}
		get[any](w, fmt.Sprintf(`(({ dataset }) => { if (%[1]q) dataset.token = %[1]q; else delete dataset.token; })(document.querySelector("#chat"))`, value))
	}
	set("nika")
	w.until("not asked for a name any more", `$("#name").offsetParent === null`)
	w.conversation("one")
	set("bob")
	w.until("a new form", `shown($(".start")) && !$(".bubble") && $(".panel h2").textContent === "Ask us"`)
	w.fill("#first", "two")
	w.click(".start .primary")
	w.conversation("two")
	set("")
	w.until("a new form, with a name", `shown($("#name")) && !$(".bubble")`)
	set("bob")
	w.conversation("two")
	w.onlyOne()

	// On the next page of the same document another line runs.
	get[any](w, fmt.Sprintf(`(() => {
		history.pushState(null, "", "/next");
		const body = document.createElement("body");
		const line = document.createElement("script");
		line.src = %q;
		line.dataset.title = "Ask them";
		document.body.replaceWith(body);
		body.append(line);
	})()`, s.chat+"widget.js"))
	w.until("the page's own title, and nobody's chat", `$(".panel h2").textContent === "Ask them" && shown($("#name")) && !$(".bubble")`)
	w.onlyOne()
}

// TestTooManyTabs: a tab for which there is no socket left says so, takes nothing from the others,
// and joins as soon as there is one.
func TestTooManyTabs(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.couple()
	get[any](visitor, `(() => {
		const { chatId, userId, username, supportId } = JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(" chat"))[1]);
		window.more = Array.from({ length: 14 }, () => {
			const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat/" + chatId);
			socket.onopen = () => socket.send(JSON.stringify({ type: "Join", args: { userId, username, supportId, from: "User" } }));
			socket.onmessage = ({ data }) => { socket.joined ||= data !== "ping"; };
			return socket;
		});
	})()`)
	visitor.until("all of them have joined", `more.every((socket) => socket.joined)`)
	tab := visitor.another(desktop)
	tab.visit(s.chat)
	tab.click(".launcher")
	tab.shows(".status", "This chat is open in too many tabs.")
	visitor.says("two")
	agent.says("three")
	visitor.conversation("one", "two", "three")
	tab.shows(".status", "This chat is open in too many tabs.")
	visitor.until("the chat is remembered", `Object.keys(localStorage).some((key) => key.endsWith(" chat"))`)
	get[any](visitor, `more.forEach((socket) => socket.close())`)
	tab.conversation("one", "two", "three")
	tab.connected()
	agent.until("one conversation", `$$(".tab").length === 1`)
}
