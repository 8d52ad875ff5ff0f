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
)

// takenFrom is the end of Vika, who takes the visitor of a widget.
func (s *site) takenFrom(visitor *window) end {
	s.Helper()
	e := s.takes(visitor, "Vika")
	visitor.connected()
	return e
}

// takes is the end of an agent who takes the visitor of a widget.
func (s *site) takes(visitor *window, name string) end {
	s.Helper()
	participant := `JSON.parse(Object.entries(localStorage).find(([name]) => name.endsWith(" chat"))[1])`
	visitor.until("a chat has begun", participant)
	e := s.end()
	e.joins(fmt.Sprintf(`{ ...%s, role: "Support", supportUserName: %q, supportId: undefined }`, get[string](visitor, `JSON.stringify(`+participant+`)`), name))
	return e
}

// isHidden makes a page believe that its tab is hidden, or visible again.
func (w *window) isHidden(yes bool) {
	w.Helper()
	get[any](w, fmt.Sprintf(`(() => {
		Object.defineProperty(document, "hidden", { configurable: true, value: %t });
		Object.defineProperty(document, "visibilityState", { configurable: true, value: %t ? "hidden" : "visible" });
		document.dispatchEvent(new Event("visibilitychange"));
	})()`, yes, yes))
}

// heard is what has been read out of the conversation since it was shown.
const heard = `window.heard = [];
	addEventListener("load", () => setInterval(() => {
		const live = document.querySelector("livesupport-chat")?.shadowRoot.querySelector("[aria-live]");
		if (!live || live.watched) return;
		live.watched = true;
		new MutationObserver((all) => all.forEach(({ addedNodes }) => addedNodes.forEach((one) => heard.push(one.textContent)))).observe(live, { childList: true, subtree: true });
	}, 20));`

// TestWidgetTyping: each side sees that the other one types, and a screen reader says nothing of
// it.
func TestWidgetTyping(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = heard
	visitor := s.visitor(as)
	visitor.asks("Nika", "one")
	agent := s.takenFrom(visitor)
	agent.types("H")
	visitor.shows(".typing", "Vika is typing…")
	visitor.accessible("typing")
	visitor.shot("widget-typing")
	if !get[bool](visitor, `$(".typing").closest("[aria-hidden=true]") !== null && !$(".typing").closest("[role=status], [aria-live]")`) {
		t.Error("screen readers hear of the typing")
	}
	agent.pauses()
	agent.run(`chat.send("two")`)
	visitor.conversation("one", "two")
	visitor.hides(".typing")
	agent.types("H")
	visitor.shows(".typing", "Vika is typing…")
	agent.pauses()
	agent.run(`chat.typing.stop()`)
	visitor.hides(".typing")
	if said := get[string](visitor, `heard.join()`); said != "Vika: two" {
		t.Errorf("read out was %q", said)
	}

	visitor.fill("#message", "thr")
	agent.until("the visitor types, and nothing is shown of it", `chat.typing.other.typing && chat.typing.other.text === ""`)
	visitor.click(".log")
	agent.until("no longer, outside of the field", `!chat.typing.other.typing`)
}

// TestWidgetReceipts: how far the last message has come is below it, and is not read
// out.
func TestWidgetReceipts(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = heard
	visitor := s.visitor(as)
	visitor.asks("Nika", "one")
	fate := func(words, below string) {
		t.Helper()
		visitor.until(words+" is below "+below, fmt.Sprintf(`$$(".fate").filter(shown).map((one) => one.textContent).join() === %q && $(".fate").parentNode.querySelector(".bubble").textContent === %q`, words, below))
	}
	fate("Sent", "one")
	agent := s.takenFrom(visitor)
	fate("Delivered", "one")
	agent.run(`chat.send("two")`)
	visitor.conversation("one", "two")
	fate("Delivered", "one")
	agent.run(`chat.receipts.read()`)
	fate("Read", "one")
	visitor.says("three")
	fate("Delivered", "three")
	visitor.offline(true)
	visitor.shows(".status", "Connection lost")
	visitor.says("four")
	visitor.until("only the one on the way says something", `$$(".fate").filter(shown).length === 1 && shown($(".outbox .fate"))`)
	visitor.offline(false)
	fate("Delivered", "four")
	agent.run(`chat.receipts.read()`)
	fate("Read", "four")
	visitor.reload()
	fate("Read", "four")
	if said := get[string](visitor, `heard.join()`); strings.Contains(said, "Read") || strings.Contains(said, "Delivered") {
		t.Errorf("read out was %q", said)
	}
}

// TestWidgetReads: a message counts as read when the visitor can have seen it.
func TestWidgetReads(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := s.takenFrom(visitor)
	says := func(text string) {
		t.Helper()
		agent.run(fmt.Sprintf(`chat.send(%q)`, text))
		visitor.until(text+" has come", fmt.Sprintf(`$$(".messages .bubble").at(-1)?.textContent === %q`, text))
	}
	stands := func(how string) {
		t.Helper()
		agent.until("the last one is "+how, fmt.Sprintf(`chat.outbox.length === 0 && chat.receipts.of(chat.messages.at(-1)) === %q`, how))
	}
	says("two")
	stands("read")

	visitor.click(".panel [aria-label='Minimize chat']")
	says("three")
	stands("delivered")
	visitor.until("it is unread", `$(".launcher").getAttribute("aria-label") === "Open chat, 1 unread"`)
	visitor.click(".launcher")
	stands("read")

	visitor.isHidden(true)
	says("four")
	stands("delivered")
	visitor.isHidden(false)
	stands("read")

	for at := range 20 {
		says(fmt.Sprintf("more %d", at))
	}
	stands("read")
	get[any](visitor, `void $(".log").scrollTo(0, 0)`)
	visitor.until("scrolled up", `$(".log").scrollTop === 0`)
	says("five")
	visitor.shows(".newer", "New messages")
	stands("delivered")
	visitor.click(".newer")
	stands("read")

	// What another device has read is read here as well.
	visitor.click(".panel [aria-label='Minimize chat']")
	says("six")
	visitor.until("it is unread", `$(".launcher").getAttribute("aria-label") === "Open chat, 1 unread"`)
	device := s.end()
	device.joins(agent.asVisitor())
	device.run(`chat.receipts.read()`)
	stands("read")
	visitor.until("nothing is unread", `$(".launcher").getAttribute("aria-label") === "Open chat"`)
}

// TestWidgetPresence: the header says whether the agent is there.
func TestWidgetPresence(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	visitor.hides(".presence")
	agent := s.takenFrom(visitor)
	visitor.shows("header .presence", "Vika is online")
	height := get[float64](visitor, `$("header").offsetHeight`)
	agent.isHidden(true)
	visitor.shows("header .presence", "Vika is away")
	visitor.accessible("away")
	visitor.shot("widget-away")
	left := agent.participant()
	agent.run(`chat.close()`)
	visitor.shows("header .presence", "Vika is offline")
	agent.isHidden(false)
	agent.joins(left)
	visitor.shows("header .presence", "Vika is online")
	visitor.offline(true)
	visitor.hides(".presence")
	if now := get[float64](visitor, `$("header").offsetHeight`); now != height {
		t.Errorf("the header's height changes from %v to %v", height, now)
	}
	visitor.offline(false)
	visitor.shows("header .presence", "Vika is online")

	agent.until("the visitor is online", `chat.presence.other === "online"`)
	visitor.isHidden(true)
	agent.until("the visitor is away", `chat.presence.other === "away"`)
	visitor.isHidden(false)
	agent.until("the visitor is back", `chat.presence.other === "online"`)
}

// TestWidgetPlace: a waiting visitor is told their place, and nothing that is not known.
func TestWidgetPlace(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	first, second := s.visitor(desktop), s.visitor(desktop)
	first.asks("Nika", "one")
	first.shows(".status", "You are number 1 in line.")
	second.asks("Dodo", "two")
	second.shows(".status", "You are number 2 in line.")
	second.accessible("waiting")
	second.shot("widget-place")
	s.takenFrom(first)
	second.shows(".status", "You are number 1 in line.")
	get[bool](second, fmt.Sprintf(`import(%q + "client.js").then(async ({ Lobby }) => {
		const lobby = new Lobby(%q);
		lobby.open();
		while (!lobby.users.size) await new Promise((next) => setTimeout(next, 20));
		return lobby.claim([...lobby.users.values()][0]);
	})`, s.chat, s.lobby))
	second.shows(".status", "An agent is about to join.")

	for _, one := range []struct{ language, place, status, want string }{
		{"en", `null`, `null`, "An agent will be with you shortly. Feel free to add details."},
		{"en", `{ position: 3, estimate: 120 }`, `null`, "You are number 3 in line, about 2 minutes."},
		{"en", `{ position: 1, estimate: 1 }`, `null`, "You are number 1 in line, about 1 minute."},
		{"en", `{ position: 1, estimate: 0 }`, `{ agents: 0 }`, "You are number 1 in line, about 1 minute."},
		{"en", `{ position: 1234, estimate: 7300 }`, `null`, "You are number 1,234 in line, about 2 hours."},
		{"en", `{ position: 3, estimate: null }`, `{ agents: 2 }`, "You are number 3 in line."},
		{"en", `{ position: 3, estimate: null }`, `{ agents: 0 }`, "No agent is available at the moment. You are number 3 in line."},
		{"en", `{ position: 0, estimate: null }`, `{ agents: 0 }`, "An agent is about to join."},
		{"ar", `{ position: 3, estimate: 120 }`, `null`, "أنت رقم 3 في الانتظار، نحو دقيقتين."},
		{"ar", `{ position: 3, estimate: 300 }`, `null`, "أنت رقم 3 في الانتظار، نحو 5 دقائق."},
		{"ar", `{ position: 3, estimate: 720 }`, `null`, "أنت رقم 3 في الانتظار، نحو 12 دقيقة."},
		{"ar", `{ position: 3, estimate: 7200 }`, `null`, "أنت رقم 3 في الانتظار، نحو ساعتين."},
	} {
		got := get[string](first, fmt.Sprintf(`(async () => {
			const base = performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/visitor.js")).name;
			const { learn, speak } = await import(new URL("strings.js", base));
			const { waitingWords } = await import(new URL("place.js", base));
			await learn(%[1]q);
			return waitingWords(speak(%[1]q).t, %[2]s, %[3]s);
		})()`, one.language, one.place, one.status))
		western := strings.NewReplacer("٣", "3", "٥", "5", "١", "1", "٢", "2").Replace(got)
		if western != one.want {
			t.Errorf("%s %s: %q, want %q", one.place, one.status, got, one.want)
		}
	}
}

// TestWidgetEnd: the visitor ends the chat for both, rates it, saves it and begins another one, all
// by keyboard.
func TestWidgetEnd(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	// What is saved stays in the page.
	as.script = `URL.createObjectURL = (blob) => {
			window.blob = blob;
			return "data:,";
		};
		HTMLAnchorElement.prototype.click = function () {
			blob.text().then((text) => { window.saved = this.download + "\n" + text; });
		};`
	visitor := s.visitor(as)
	visitor.asks("Nika", "one")
	agent := s.takenFrom(visitor)
	agent.run(`chat.send("two\nlines")`)
	visitor.conversation("one", "two\nlines")

	visitor.click(".line button")
	visitor.shows(".question", "End this chat?")
	visitor.accessible("asked")
	visitor.shot("widget-end")
	visitor.until("going on has the focus", `root.activeElement.textContent === "Keep chatting"`)
	visitor.press(kb.Escape)
	visitor.hides(".question")
	visitor.until("back at the button, and the panel stays", `root.activeElement === $(".line button") && shown($(".panel"))`)
	visitor.press(kb.Enter)
	visitor.shows(".question", "End this chat?")
	visitor.press(kb.Enter)
	visitor.hides(".question")
	visitor.press(kb.Enter)
	visitor.press(kb.Tab)
	visitor.press(kb.Enter)
	visitor.shows(".status", "You ended this chat.")
	agent.until("it has ended there, too", `chat.state === "ended" && chat.ended.from === "User"`)
	visitor.hides(".composer")
	visitor.hides(".question")
	visitor.hides(".line button")
	visitor.hides(".presence")
	agent.run(`chat.receipts.read()`)
	visitor.shows(".fate", "Read")

	visitor.until("the rating has the focus", `root.activeElement === $(".rating")`)
	visitor.hides(".rating textarea")
	visitor.press(kb.Tab)
	visitor.press(" ")
	visitor.until("one star", `root.activeElement.value === "1" && root.activeElement.checked && $$(".star.on").length === 1`)
	for range 3 {
		visitor.press(kb.ArrowRight)
	}
	visitor.until("four stars", `$$(".star.on").length === 4 && $("input[value='4']").checked`)
	visitor.accessible("rating")
	visitor.shot("widget-rating")
	visitor.press(kb.Tab)
	visitor.write(strings.Repeat("x", 1001))
	visitor.shows(".rating .hint", "1,001 of 1,000 characters")
	visitor.press("a", kb.ModifierCtrl)
	visitor.write("Quick")
	visitor.press(kb.Tab)
	visitor.press(kb.Enter)
	agent.until("it is rated", `chat.rating?.score === 4 && chat.rating.comment === "Quick"`)
	visitor.shows(".rating [role=status]", "Thank you for your rating.")
	visitor.until("the focus goes on", `root.activeElement === $(".over button")`)
	visitor.accessible("rated")
	visitor.shot("widget-rated")

	visitor.press(kb.Tab)
	visitor.press(kb.Enter)
	visitor.until("all of it is in the file", `/^chat-\d{4}-\d\d-\d\d\.txt\nNika, \w+day, \w+ \d+, \d{4} at \d+:\d\d.[AP]M\none\n\nVika, \w+day, \w+ \d+, \d{4} at \d+:\d\d.[AP]M\ntwo\nlines\n$/.test(window.saved)`)

	visitor.press(kb.Tab, kb.ModifierShift)
	visitor.press(kb.Enter)
	visitor.until("a new one can begin", `root.activeElement === $("#first") && $("#name").value === "Nika"`)
	visitor.until("nothing of the last one is in the page", `$$(".bubble").length === 0 && !root.textContent.includes("two") && !root.textContent.includes("Vika") && $("#comment").value === "" && $$(".star.on").length === 0`)
	visitor.write("three")
	visitor.click(".start .primary")
	visitor.conversation("three")
	visitor.hides(".rating")
	visitor.hides(".over")
	agent = s.takenFrom(visitor)

	// Now the agent ends it, under the visitor's hands, in the middle of a question.
	visitor.click(".line button")
	visitor.shows(".question", "End this chat?")
	visitor.fill("#message", "half a sen")
	agent.run(`chat.end()`)
	visitor.shows(".status", "Vika ended this chat.")
	visitor.hides(".question")
	visitor.until("keys do nothing", `root.activeElement === $(".rating") && $$(".star.on").length === 0`)
	visitor.shows(".outbox .fate", "Not sent. The chat has ended.")
	visitor.accessible("ended by the agent")
	visitor.shot("widget-ended")
	visitor.click(".over button")
	visitor.until("the text goes on", `$("#first").value === "half a sen"`)
	agent.run(`chat.close()`)
}

// TestWidgetEndWaiting: a visitor who has waited in vain is not asked for a rating.
func TestWidgetEndWaiting(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.visitor(desktop), s.agent(desktop, "Vika")
	visitor.asks("Nika", "one")
	agent.shows(".queue .name", "Nika")
	visitor.click(".line button")
	visitor.click(".question .primary")
	visitor.shows(".status", "You ended this chat.")
	agent.shows(".waiting .empty", "No one is waiting.")
	visitor.hides(".rating")
	visitor.until("the focus goes on", `root.activeElement === $(".over button")`)

	// The other tab of the same visitor knows it, too.
	tab := visitor.another(desktop)
	tab.visit(s.chat)
	tab.click(".launcher")
	tab.until("a fresh start", `shown($("#name"))`)

	// Without a connection it ends as soon as there is one again.
	tab.fill("#name", "Nika")
	tab.fill("#first", "two")
	tab.click(".start .primary")
	tab.shows(".line button", "End chat")
	tab.offline(true)
	tab.shows(".status", "Connection lost")
	tab.click(".line button")
	tab.click(".question .primary")
	tab.shows(".question .primary", "Ending…")
	tab.accessible("ending")
	tab.offline(false)
	tab.shows(".status", "You ended this chat.")
	agent.shows(".waiting .empty", "No one is waiting.")
}

// TestWidgetRatesInTime: a chat takes a rating until it is gone.
func TestWidgetRatesInTime(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.ChatTTL = 6 * time.Second })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := s.takenFrom(visitor)
	agent.run(`chat.end()`)
	visitor.shows(".status", "Vika ended this chat.")
	visitor.click(".star:nth-of-type(5)")
	visitor.fill("#comment", "Well")
	visitor.shows(".rating [role=status]", "This chat can no longer be rated.")
	visitor.hides(".rating form")
	visitor.shows(".status", "Vika ended this chat.")
	visitor.until("the focus goes on", `root.activeElement === $(".over button")`)
}

// TestWidgetPreview: if agents see what is being typed, the visitor is told before.
func TestWidgetPreview(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		s := startSite(t, func(cfg *backend.Config) { cfg.TypingPreview = on })
		visitor := s.visitor(desktop)
		visitor.asks("Nika", "one")
		agent := s.takenFrom(visitor)
		visitor.until("the field is described by it", fmt.Sprintf(`shown($("#message-preview")) === %t && $("#message").getAttribute("aria-describedby").includes("message-preview")`, on))
		visitor.accessible("preview")
		visitor.fill("#message", "Hel")
		if on {
			visitor.shot("widget-preview")
			visitor.shows("#message-preview", "The agent can see what you type before you send it.")
			agent.until("Hel is seen", `chat.typing.other.text === "Hel"`)
			continue
		}
		agent.until("typing is seen", `chat.typing.other.typing`)
		if text := get[string](agent.window, `chat.typing.other.text`); text != "" {
			t.Errorf("%q is seen", text)
		}
	}
}

// TestWidgetAsksWhoIsThere: a server may tell more than the queue does.
func TestWidgetAsksWhoIsThere(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	to, err := url.Parse(s.chat)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"open":true,"agents":0,"preview":true}`)) // the browser may be gone
	}))
	t.Cleanup(server.Close)
	visitor := newWindow(t, desktop)
	visitor.visit(server.URL)
	visitor.asks("Nika", "one")
	visitor.shows(".status", "No agent is available at the moment. You are number 1 in line.")
	visitor.shows("#message-preview", "The agent can see what you type")
}

// messagesOnly makes a server answer as one that knows nothing but messages.
const messagesOnly = tapped + `
	tap.sends = (socket, text, send) => send(text.replace(/"features":\[[^\]]*\]/, '"features":["messageId"]'));`

// TestWidgetOfOldServer: the widget shows nothing that such a server cannot do.
func TestWidgetOfOldServer(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = messagesOnly
	visitor, agent := s.visitor(as), s.agent(desktop, "Vika")
	visitor.asks("Nika", "one")
	visitor.shows(".status", "An agent will be with you shortly")
	agent.takes("Nika")
	agent.says("two")
	visitor.says("three")
	visitor.conversation("one", "two", "three")
	visitor.shows(".fate", "Sent")
	for _, hidden := range []string{".line button", ".presence", ".typing", "#message-preview", ".rating", ".question"} {
		visitor.hides(hidden)
	}
}

// TestWidgetStates has the states of a chat in other looks.
func TestWidgetStates(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.TypingPreview = true })
	dark := phone
	dark.dark = true
	arabic := phone
	arabic.language = "ar"
	for name, as := range map[string]look{"phone": phone, "dark": dark, "arabic": arabic, "low": {width: 560, height: 320}} {
		visitor := newWindow(t, as)
		visitor.visit(s.pages(map[string]string{"/": s.line(fmt.Sprintf(`data-language="%.2s"`, as.language))}))
		fits := func(state string) {
			t.Helper()
			visitor.until(name+" "+state+": all is inside of the panel", `$$(".panel *").filter(shown).filter((one) => !one.closest(".unseen, .log")).every((one) => {
				const { left, right, top, bottom } = one.getBoundingClientRect();
				return left >= -0.5 && right <= innerWidth + 0.5 && (one.closest(".rating, textarea") || (top >= -0.5 && bottom <= innerHeight + 0.5));
			}) && $(".log").clientHeight >= 40`)
			visitor.accessible(name + " " + state)
			visitor.shot("widget-" + name + "-" + state)
		}
		visitor.asks("Nika", "one")
		visitor.until("a place", `/\d|[٠-٩]/.test($(".status").textContent)`)
		fits("place")
		agent := s.takenFrom(visitor)
		visitor.says("two")
		agent.until("two has come", `chat.messages.length === 2`)
		agent.run(`(chat.send("three"), chat.receipts.read())`)
		visitor.shows(".presence", "Vika")
		agent.types("H")
		visitor.shows(".typing", "Vika")
		fits("typing")
		agent.pauses()
		visitor.click(".line button")
		visitor.until("asked", `shown($(".question"))`)
		fits("asked")
		visitor.click(".question .primary")
		visitor.until("ended", `$(".livesupport").dataset.state === "ended"`)
		visitor.click(".star:nth-of-type(3)")
		visitor.until("three stars", `$$(".star.on").length === 3 && shown($("#comment"))`)
		fits("rating")
		visitor.click(".rating .primary")
		visitor.until("rated", `!shown($(".rating form")) && shown($(".rating"))`)
		fits("rated")
	}
}
