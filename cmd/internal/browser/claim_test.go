package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// slowToHear lets a page hold back what comes through its sockets.
const slowToHear = tapped + `
	window.held = null;
	tap.hears = (socket, event, handle) => {
		if (held && event.data !== "ping") held.push(() => handle(event));
		else handle(event);
	};
	window.release = () => {
		const before = held;
		window.held = null;
		for (const handle of before) handle();
	};`

func TestClaimRace(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	late := desktop
	late.script = slowToHear
	visitor, vika, kiku := s.visitor(desktop), s.agent(desktop, "Vika"), s.agent(late, "Kiku")
	visitor.asks("Nika", "one")
	kiku.shows(".queue .name", "Nika")

	// Kiku claims a visitor whom Vika has claimed, before the news is there.
	get[any](kiku, `held = []`)
	vika.takes("Nika")
	kiku.click(".queue button")
	get[any](kiku, `release()`)
	kiku.shows(".notice", "Another agent has just taken the chat with Nika.")
	kiku.shows(".waiting .empty", "No one is waiting.")
	kiku.shot("agent-claim-lost")
	if tabs := get[int](kiku, `$$(".tab").length`); tabs != 0 {
		t.Errorf("who lost the claim has %d conversations", tabs)
	}
	visitor.shows(".status", "You’re chatting with Vika")

	// The next one is Kiku's, who takes by the keyboard.
	second := s.visitor(phone)
	second.asks("Dodo", "hello")
	kiku.shows(".queue .name", "Dodo")
	kiku.press("n", kb.ModifierAlt)
	kiku.shows(".with h2", "Dodo")
	second.shows(".status", "You’re chatting with Kiku")
	kiku.conversation("hello")
	vika.conversation("one")
	vika.shows(".waiting .empty", "No one is waiting.")
}

// TestSeveralConversations is an agent with two visitors: badges, the last
// message, drafts, canned replies, closing, and a window that is closed.
func TestSeveralConversations(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	agent := s.agent(desktop, "Vika")
	nika, dodo := s.visitor(desktop), s.visitor(desktop)
	nika.asks("Nika", "from Nika")
	agent.takes("Nika")
	dodo.asks("Dodo", "from Dodo")
	agent.takes("Dodo")
	agent.until("two tabs, the second selected", `$$(".tab").map((one) => one.getAttribute("aria-selected")).join() === "false,true"`)

	nika.says("again")
	agent.shows(".tab:first-child .count", "1")
	agent.shows(".tab:first-child .last", "again")
	agent.until("the title counts", `document.title === "(1) Support console"`)
	agent.accessible("unread")
	agent.fill("#message", "half a sen")
	agent.press("j", kb.ModifierAlt)
	agent.shows(".with h2", "Nika")
	agent.conversation("from Nika", "again")
	agent.hides(".tab .count")
	agent.until("the title counts no more", `document.title === "Support console"`)
	agent.press("k", kb.ModifierAlt)
	agent.shows(".with h2", "Dodo")
	agent.until("the draft is there", `$("#message").value === "half a sen"`)
	agent.reload()
	agent.connected()
	agent.until("the draft is there after a reload", `$("#message").value === "half a sen"`)
	agent.click("#message")
	agent.press(kb.End)
	agent.write("tence")
	agent.press(kb.Enter)
	dodo.shows(".bubble", "half a sentence")

	// The list of canned replies is edited, and one is sent.
	agent.press("r", kb.ModifierAlt)
	agent.shows(".replies .choices", "How can I help you?")
	agent.click(".replies .choice button:first-child")
	agent.press("a", kb.ModifierCtrl)
	agent.write("Goodbye!\n\n  Have a nice day.  ")
	agent.click(".replies .primary")
	agent.until("two replies", `$$(".choices button").map((one) => one.textContent).join("|") === "Goodbye!|Have a nice day."`)
	agent.press(kb.Enter) // the first has the focus
	agent.until("it is in the composer", `$("#message").value === "Goodbye!" && document.activeElement === $("#message")`)
	agent.press(kb.Enter)
	dodo.until("both are there", `$$(".bubble").length === 3 && $$(".bubble")[2].textContent === "Goodbye!"`)

	// Another window does not take over what is still open, and does when it is closed.
	second := agent.another(desktop)
	second.visit(s.lobby)
	second.until("asked for the name, which is kept", `$("#name").value === "Vika"`)
	agent.visit("about:blank")
	second.visit(s.lobby)
	second.until("both conversations", `$$(".tab").length === 2`)
	second.connected()
	second.says("still here")
	dodo.shows(".bubble", "still here")

	// One is closed, after a question.
	second.click(".talk > header .quiet")
	second.click("dialog[open] [value=leave]")
	second.until("one conversation", `$$(".tab").length === 1`)
	second.shows(".with h2", "Nika")
}
