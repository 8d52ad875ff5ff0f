package browser_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
)

// TestFocusStays: when the element with the focus goes away, the focus moves to where the work goes
// on, and never to the body or to another visitor's message field.
func TestFocusStays(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	late := desktop
	late.script = slowToHear
	agent, rival := s.agent(late, "Vika"), s.agent(desktop, "Kiku")
	agent.until("signed in", `document.activeElement === $(".waiting")`)
	nika, dodo := s.visitor(desktop), s.visitor(desktop)
	nika.asks("Nika", "one")

	// The visitor on whose button it is goes to another agent.
	agent.shows(".queue .name", "Nika")
	get[any](agent, `$(".queue button").focus()`)
	get[any](agent, `held = []`)
	rival.takes("Nika")
	agent.press(kb.Enter)
	get[any](agent, `release()`)
	agent.shows(".notice", "Nika")
	agent.until("at the list", `document.activeElement === $(".waiting")`)

	// A notice disappears with the next action.
	dodo.asks("Dodo", "two")
	agent.takes("Dodo")
	agent.until("in the message field", `document.activeElement === $("#message")`)
	agent.until("the notice is gone", `$(".notice p").textContent === ""`)
	rival.click(".talk > header .quiet")
	rival.click("dialog[open] [value=leave]")
	rival.until("at the list", `document.activeElement === $(".waiting")`)

	// After a question is answered with no, the focus is back where it was. Then a conversation is
	// closed.
	agent.reload()
	agent.connected()
	agent.until("in the message field after a reload", `document.activeElement === $("#message")`)
	agent.click(".talk > header .quiet")
	agent.press(kb.Escape)
	agent.until("at the button", `document.activeElement === $(".talk > header .quiet")`)
	agent.press(kb.Enter)
	agent.click("dialog[open] [value=leave]")
	agent.until("no conversation, and at the list", `$$(".tab").length === 0 && document.activeElement === $(".waiting")`)
}

// TestNoticesGo: notices disappear by themselves, too, and can be dismissed.
func TestNoticesGo(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	agent := s.agent(desktop, "Vika") // the browser allows no notifications
	agent.click("#bell")
	agent.shows(".notice p", "Your browser is blocking notifications from this page.")
	agent.accessible("a notice")
	agent.shot("agent-notice")
	agent.click(".notice button")
	agent.until("gone", `$(".notice p").textContent === ""`)
	agent.until("at the list", `document.activeElement === $(".waiting")`)
	agent.click("#bell")
	agent.shows(".notice p", "Your browser is blocking")
	agent.until("gone by itself", `$(".notice p").textContent === ""`)
}

// TestEndedWhileWriting: a text that can no longer be sent can still be read, also after a reload,
// and the next key closes nothing.
func TestEndedWhileWriting(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.ChatTTL = 4 * time.Second })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := s.agent(desktop, "Vika")
	agent.takes("Nika")
	agent.write("half a sentence")
	agent.until("ended", `$(".state").dataset.state === "ended"`)
	agent.shows(".outbox .refused", "half a sentence")
	agent.until("at the messages", `document.activeElement === $(".log")`)
	agent.press(" ")
	agent.accessible("ended while writing")
	agent.shot("agent-ended-writing")
	agent.reload()
	agent.shows(".outbox .refused", "half a sentence")
	agent.click(".talk > header .quiet")
	agent.until("closed", `$$(".tab").length === 0`)
	agent.until("nothing is left of it", `!Object.keys(localStorage).some((key) => key.includes("draft."))`)
}

// TestRepliesDraft: a half-written list of replies survives when its dialog is taken away.
func TestRepliesDraft(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := s.agent(desktop, "Vika")
	agent.takes("Nika")
	edit := func() {
		t.Helper()
		agent.press("r", kb.ModifierAlt)
		agent.click(".replies .choice button:first-child")
	}
	edit()
	agent.press("a", kb.ModifierCtrl)
	agent.write("Goodbye!")
	agent.press(kb.Escape)
	agent.hides("dialog[open]")
	agent.reload()
	agent.connected()
	edit()
	agent.until("it is there", `$(".replies textarea").value === "Goodbye!"`)
	agent.click(".replies form button[type=button]")
	agent.shows(".choices", "How can I help you?")
	agent.click(".replies .choice button:first-child")
	agent.until("cancelled is cancelled", `$(".replies textarea").value.startsWith("Hi!")`)
	agent.press("a", kb.ModifierCtrl)
	agent.press(kb.Delete)
	agent.click(".replies form .primary")
	agent.until("an empty list can be edited", `document.activeElement.textContent === "Edit replies"`)
}

// TestPhoneCountsOthers: in a conversation a phone shows of the lists only how many visitors wait
// or have written.
func TestPhoneCountsOthers(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	agent := s.agent(phone, "Vika")
	nika, dodo, third := s.visitor(desktop), s.visitor(desktop), s.visitor(desktop)
	nika.asks("Nika", "one")
	agent.takes("Nika")
	agent.until("nobody else", `$(".back").getAttribute("aria-label") === "Back to conversations" && $(".back .count").textContent === ""`)
	dodo.asks("Dodo", "two")
	agent.until("one waits", `$(".back .count").textContent === "1"`)
	agent.click(".back")
	agent.until("at the conversation that was left", `document.activeElement.matches(".tab")`)
	agent.takes("Dodo")
	agent.until("nobody else", `$(".back .count").textContent === ""`)
	nika.says("three")
	nika.says("four")
	third.asks("Maria", "five")
	agent.until("two messages and one who waits", `$(".back .count").textContent === "3" && $(".back").getAttribute("aria-label").endsWith(": 3")`)
	dodo.says("six") // is seen
	agent.conversation("two", "six")
	agent.until("still three", `$(".back .count").textContent === "3"`)
	agent.accessible("others wait")
	agent.shot("agent-phone-others")
	agent.click(".back")
	agent.shows(".tab .count", "2")
}
