package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
)

// takesOne is a console whose agent talks with a visitor's end.
func (s *site) takesOne(as look) (visitor end, agent *window) {
	s.Helper()
	visitor, agent = s.visits(), s.agent(as, "Vika")
	visitor.run(`chat.send("one")`)
	agent.takes("Nika")
	visitor.until("connected", `chat.state === "connected"`)
	agent.conversation("one")
	return visitor, agent
}

// fate waits for the text below the agent's last message, which must stand nowhere else.
func (w *window) fate(words string) {
	w.Helper()
	w.until("below the last own message stands "+words,
		fmt.Sprintf(`$$(".fate").filter(shown).map((one) => one.textContent).join() === %q && $$(".message.own").at(-1).contains($$(".fate").find(shown))`, words))
}

// TestConsoleReceipts: the console shows how far the agent's last message has come.
func TestConsoleReceipts(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.takesOne(desktop)
	visitor.run(`chat.close()`)
	agent.says("two")
	agent.fate("Sent")
	visitor.joins(visitor.participant())
	agent.fate("Delivered")
	agent.accessible("delivered")
	visitor.run(`chat.receipts.read()`)
	agent.fate("Read")
	visitor.run(`chat.send("three")`)
	agent.conversation("one", "two", "three")
	agent.fate("Read")
	agent.reload()
	agent.conversation("one", "two", "three")
	agent.fate("Read")
	agent.says("four")
	agent.fate("Delivered")
	agent.offline(true)
	agent.says("five")
	agent.fate("Will be sent when you’re back online")
	agent.offline(false)
	agent.fate("Delivered")
}

// TestConsoleReads: a message that is not in view, in a visible tab, is not read.
func TestConsoleReads(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = elsewhere
	visitor, agent := s.takesOne(as)
	sends := func(text string) {
		t.Helper()
		visitor.run(fmt.Sprintf(`chat.send(%q)`, text))
	}
	all := `chat.outbox.length === 0 && chat.messages.every((one) => chat.receipts.of(one) === "read")`
	newest := func(how string) string {
		return fmt.Sprintf(`chat.outbox.length === 0 && chat.receipts.of(chat.messages.at(-1)) === %q`, how)
	}
	unread := func(count string) {
		t.Helper()
		agent.until(fmt.Sprintf("%q unread", count), fmt.Sprintf(`$(".tab .count").textContent === %q`, count))
	}
	visitor.until("one is read", all)

	// In a tab that is hidden: and the visitor is told that nobody looks.
	get[any](agent, `look(true)`)
	visitor.until("the agent is away", `chat.presence.other === "away"`)
	sends("two")
	unread("1")
	agent.shows(".bubble", "two")
	visitor.until("delivered", newest("delivered"))
	get[any](agent, `look(false)`)
	visitor.until("read", all+` && chat.presence.other === "online"`)
	unread("")

	// In another conversation.
	other := s.visitor(desktop)
	other.asks("Dodo", "hello")
	agent.takes("Dodo")
	sends("three")
	agent.shows(".tab:first-child .count", "1")
	visitor.until("delivered", newest("delivered"))
	agent.press("j", kb.ModifierAlt)
	visitor.until("read", all)

	// Further down than the agent looks.
	sends(strings.Repeat("long\n", 60))
	visitor.until("read", all)
	get[any](agent, `($(".log").scrollTop = 0, new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))))`)
	sends("four")
	sends("five")
	agent.shows(".newer", "New messages")
	agent.shows(".tab:first-child .count", "2")
	visitor.until("delivered", newest("delivered"))
	sends(strings.Repeat("long\n", 60))
	sends("six")
	agent.shows(".tab:first-child .count", "4")
	// As far as "five", and no further.
	get[any](agent, `void ($(".log").scrollTop += $$(".bubble").find((one) => one.textContent === "five").getBoundingClientRect().bottom - $(".log").getBoundingClientRect().bottom + 4)`)
	agent.shows(".tab:first-child .count", "2")
	visitor.until("read as far as five", `chat.messages.filter((one) => chat.receipts.of(one) !== "read").map((one) => one.content.slice(0, 4)).join() === "long,six"`)
	agent.click(".newer")
	visitor.until("read", all)
	unread("")
}

// TestConsoleUnreadEverywhere: an agent has two machines. What is read on one of them is read on
// the other.
func TestConsoleUnreadEverywhere(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret = agentSecret })
	visitor, first := s.visits(), newWindow(t, desktop)
	visitor.run(`chat.send("one")`)
	first.visit(s.lobby)
	first.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	first.takes("Nika")
	first.conversation("one")
	visitor.until("one is read", `chat.receipts.of(chat.messages[0]) === "read"`)

	// The other machine knows of the conversation, and nothing of what is read.
	record := get[string](first, `Object.entries(localStorage).find(([key]) => key.startsWith("livesupport-agent desk."))[1]`)
	away := desktop
	away.script = elsewhere
	second := newWindow(t, away)
	second.visit(s.lobby)
	get[any](second, fmt.Sprintf(`localStorage.setItem("livesupport-agent desk.1", JSON.stringify({ ...%[1]s, selected: "", chats: %[1]s.chats.map(({ read, ...one }) => one) }))`, record))
	second.showsToken(tokenFor(t, "vika", "Vika", time.Hour))
	second.shows(".tab .last", "one")
	counts := func(w *window, count string) {
		t.Helper()
		title := "Support console"
		if count != "" {
			title = "(" + count + ") " + title
		}
		w.until(fmt.Sprintf("%q unread", count), fmt.Sprintf(`$(".tab .count").textContent === %q && document.title.endsWith(%q)`, count, title))
	}
	counts(second, "")
	get[any](first, `void $(".log").focus()`)
	visitor.run(`chat.send("two")`)
	first.conversation("one", "two")
	visitor.until("two is read", `chat.receipts.of(chat.messages[1]) === "read"`)
	counts(first, "")
	second.shows(".tab .last", "two")
	counts(second, "")

	// Nobody looks; then the other machine's agent does.
	first.visit("about:blank")
	visitor.run(`chat.send("three")`)
	second.shows(".tab .last", "three")
	counts(second, "1")
	first.visit(s.lobby)
	first.conversation("one", "two", "three")
	counts(second, "")
	second.accessible("read elsewhere")
}

// TestConsolePresence: beside a visitor's name the console shows whether they are there and what
// they do, wherever the name stands.
func TestConsolePresence(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.TypingPreview = true })
	visitor, agent := s.takesOne(desktop)
	get[any](agent, `void (window.heard = [], new MutationObserver((changes) => {
		for (const { target } of changes) {
			const one = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
			const live = one.closest("[aria-live], [role=status], [role=alert]") && !one.closest("[aria-hidden=true]");
			if (live && one.getClientRects().length > 0) heard.push(one.textContent); // others, such as those of a view that is not shown, are not read out
		}
	}).observe(document.body, { childList: true, characterData: true, subtree: true }))`)
	shows := func(state, words string) {
		t.Helper()
		agent.until("the visitor is "+state, fmt.Sprintf(`shown($(".talk .presence")) && $(".talk .presence").textContent === %[2]q
			&& $(".tab .presence").getAttribute("aria-label") === %[2]q && $$(".presence").every((one) => one.dataset.presence === %[1]q)`, state, words))
	}
	hide := func(yes bool) {
		t.Helper()
		visitor.run(fmt.Sprintf(`(Object.defineProperty(document, "visibilityState", { configurable: true, value: %t ? "hidden" : "visible" }), document.dispatchEvent(new Event("visibilitychange")))`, yes))
	}
	shows("online", "Online")
	agent.accessible("online")
	hide(true)
	shows("away", "Away")
	agent.accessible("away")
	agent.shot("agent-away")
	hide(false)
	shows("online", "Online")
	left := visitor.participant()
	visitor.run(`chat.close()`)
	shows("offline", "Offline")
	agent.accessible("offline visitor")
	agent.shot("agent-offline-visitor")
	visitor.joins(left)
	shows("online", "Online")

	// They type, without and with a preview.
	types := func(yes bool) {
		t.Helper()
		agent.until(fmt.Sprintf("typing: %t", yes), fmt.Sprintf(`[".talk .types", ".tab .types"].every((one) => shown($(one)) === %t)`, yes))
	}
	visitor.types("half a sen")
	types(true)
	agent.shows(".conversation .typing", "Nika is typing…")
	agent.hides(".preview")
	agent.accessible("typing")
	agent.shot("agent-typing")
	visitor.pauses()
	visitor.run(`chat.typing.stop()`)
	types(false)
	agent.hides(".conversation .typing")
	visitor.run(`(chat.typing.preview = true)`)
	visitor.types("<b>half</b> a sen")
	types(true)
	agent.shows(".preview", "<b>half</b> a sen")
	agent.shows(".preview .fate", "Not sent yet.")
	agent.until("at the end of the view", `$(".log").scrollHeight - $(".log").scrollTop - $(".log").clientHeight < 2`)
	agent.accessible("a preview")
	agent.shot("agent-preview")
	agent.conversation("one") // it is no message
	visitor.pauses()
	visitor.run(`chat.send("half a sentence")`)
	agent.conversation("one", "half a sentence")
	types(false)
	agent.hides(".preview")
	agent.until("the message is read out", `heard.some((one) => one.includes("Nika: half a sentence"))`)
	if others := get[[]string](agent, `heard.filter((one) => one !== "" && !one.includes("Nika: half a sentence"))`); len(others) > 0 {
		t.Errorf("also read out: %q", others)
	}

	// The agent's typing is for the visitor; a canned reply is typing, too.
	agent.press("r", kb.ModifierAlt)
	agent.press(kb.Enter)
	visitor.until("the agent types", `chat.typing.other.typing && chat.typing.other.text === ""`)
	agent.press(kb.Escape) // leaves the field
	visitor.until("and has stopped", `!chat.typing.other.typing`)
	agent.press("m", kb.ModifierAlt)
	for deadline := time.Now().Add(patience); !get[bool](visitor.window, `chat.typing.other.typing`) && time.Now().Before(deadline); {
		agent.press("a")
	}
	agent.press("a", kb.ModifierCtrl)
	agent.press(kb.Backspace)
	visitor.until("has typed and emptied the field", `heard.filter(({ type, typing }) => type === "typing" && typing).length === 2 && !chat.typing.other.typing`)
}

// TestConsoleCloses: the agent ends a chat, or leaves one.
func TestConsoleCloses(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.takesOne(desktop)
	agent.write("half a sen")
	agent.press("w", kb.ModifierAlt)
	agent.shows("dialog[open]", "End the chat with Nika?")
	agent.accessible("closing")
	agent.shot("agent-closing")
	agent.press(kb.Escape)
	agent.hides("dialog[open]")
	agent.until("nothing has happened", `$(".state").dataset.state === "connected" && document.activeElement === $("#message") && $("#message").value === "half a sen"`)
	agent.press("a", kb.ModifierCtrl)
	agent.press(kb.Backspace)
	agent.press("w", kb.ModifierAlt)
	agent.shows("dialog[open]", "End the chat with Nika?")
	agent.press(kb.Enter)
	visitor.until("ended", `chat.state === "ended" && chat.ended.from === "Support"`)
	agent.shows(".state", "You ended this chat.")
	agent.shows(".tab .last", "You ended this chat.")
	agent.hides(".composer")
	agent.hides(".presence")
	agent.until("at the messages", `document.activeElement === $(".log")`)
	agent.until("no name stays in the question", `!$("[role=alertdialog]").textContent.includes("Nika")`)
	agent.hides(".rating > *")

	// The rating comes, and the last one counts; a reload keeps it.
	visitor.run(`chat.rate(4)`)
	agent.shows(".rating", "Rated 4 out of 5")
	agent.shows(".tab .last", "★★★★☆")
	visitor.run(`chat.rate(2, "Nobody knew <b>anything</b>.")`)
	agent.shows(".rating", "Rated 2 out of 5")
	agent.shows(".rating", "Nobody knew <b>anything</b>.")
	agent.accessible("rated")
	agent.shot("agent-rated")
	agent.reload()
	agent.shows(".state", "Support ended this chat.")
	agent.conversation("one")
	agent.shows(".rating", "Rated 2 out of 5")
	agent.press("w", kb.ModifierAlt)
	agent.until("closed without a question", `$$(".tab").length === 0 && !$("dialog[open]")`)
	agent.until("nothing is left of it", `!/Nika|anything/.test($(".office").innerHTML)`)

	// Left, the chat goes on, and another agent's end tells who has gone.
	second := s.visits()
	agent.takes("Nika")
	// The question is asked again before the browser has told that the last one is gone.
	get[any](agent, `($(".talk > header .quiet").click(), $("[role=alertdialog]").close(), void $(".talk > header .quiet").click())`)
	agent.shows("dialog[open]", "End the chat with Nika?")
	if get[bool](agent, `$("[role=alertdialog] [value=end]").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", repeat: true, bubbles: true, cancelable: true }))`) {
		t.Error("a key that is held down answers the question")
	}
	agent.click("dialog[open] [value=leave]")
	agent.until("left", `$$(".tab").length === 0`)
	second.until("the agent has gone, the chat has not", `chat.presence.other === "offline" && chat.state === "connected"`)
}

// TestVisitorCloses: the agent is told who has ended the chat.
func TestVisitorCloses(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.ChatTTL = 10 * time.Second })
	visitor, agent := s.takesOne(desktop)
	agent.write("half a sen")
	visitor.run(`chat.end()`)
	agent.shows(".state", "Nika ended this chat.")
	agent.shows(".tab .last", "Nika ended this chat.")
	agent.shows(".outbox .refused", "half a sen")
	agent.until("at the messages", `document.activeElement === $(".log")`)
	agent.accessible("ended by the visitor")
	agent.shot("agent-ended-by-visitor")
	agent.press("w", kb.ModifierAlt)
	agent.until("closed without a question", `$$(".tab").length === 0`)

	// One that is gone at the server by the time of a reload is not there any more.
	second := s.visits()
	second.run(`chat.send("two")`)
	agent.takes("Nika")
	second.run(`chat.end()`)
	agent.shows(".state", "Nika ended this chat.")
	agent.reload()
	agent.shows(".state", "Nika ended this chat.")
	agent.conversation("two")
	agent.visit("about:blank")
	second.until("gone", `chat.gone`)
	agent.visit(s.lobby)
	agent.until("online", `$(".lobby")?.dataset.state === "ready"`)
	agent.until("nothing of it", `$$(".tab").length === 0 && !Object.keys(localStorage).some((key) => key.includes("desk."))`)
}

// TestConsoleEndsOffline: what the agent has asked for is done as soon as there is a connection.
func TestConsoleEndsOffline(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.takesOne(desktop)
	agent.offline(true)
	agent.shows(".state", "Offline. Reconnecting…")
	agent.press("w", kb.ModifierAlt)
	agent.press(kb.Enter)
	agent.hides("dialog[open]")
	agent.shows(".state", "Offline. Reconnecting…")
	agent.offline(false)
	agent.shows(".state", "You ended this chat.")
	visitor.until("ended", `chat.state === "ended" && chat.ended.from === "Support"`)
}

// TestConsoleOnPhone tries all of it on a narrow screen, in the dark, from right to left.
func TestConsoleOnPhone(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.TypingPreview = true })
	as := phone
	as.dark, as.language = true, "ar"
	visitor, agent := s.visits(), s.agent(as, "فيكا")
	visitor.run(`chat.send("one")`)
	agent.click(".queue button")
	agent.connected()
	fits := func(state string) {
		t.Helper()
		agent.until(state+" is not wider than the screen", `document.documentElement.scrollWidth <= innerWidth && $$(".talk, .talk > header, .preview, .bubble, .rating, dialog[open], dialog[open] button, .tab").filter(shown).every((one) => {
			const { left, right } = one.getBoundingClientRect();
			return left >= 0 && right <= innerWidth + 0.5;
		})`)
		agent.accessible(state)
		agent.shot("agent-phone-arabic-" + state)
	}
	agent.says("two")
	visitor.until("two is there", `chat.messages.length === 2`)
	visitor.run(`(chat.receipts.read(), chat.typing.preview = true)`)
	agent.fate("تمت القراءة")
	visitor.types(strings.Repeat("Donaudampfschifffahrt", 20))
	agent.shows(".preview .fate", "لم تُرسل بعد")
	fits("preview")
	agent.click(".back")
	agent.until("it is in the list", `shown($(".tab .types"))`)
	fits("list")
	visitor.pauses()
	agent.click(".tab")
	agent.click(".talk > header .quiet")
	agent.shows("dialog[open]", "هل تريد إنهاء المحادثة")
	fits("closing")
	agent.click("dialog[open] [value=end]")
	agent.shows(".state", "أنهيتَ هذه المحادثة.")
	visitor.run(fmt.Sprintf(`chat.rate(3, %q)`, strings.Repeat("So-so. ", 140)))
	agent.shows(".rating", "التقييم: 3 من 5")
	fits("rated")
}
