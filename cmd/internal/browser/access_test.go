package browser_test

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// checks is what a machine can check of WCAG 2.2: see the file.
//
//go:embed testdata/accessibility.js
var checks string

// accessible looks for faults in what the window shows.
func (w *window) accessible(state string) {
	w.Helper()
	for _, fault := range get[[]string](w, "("+strings.TrimSpace(checks)+")(root, shown)") {
		w.Errorf("%s: %s", state, fault)
	}
}

func TestAccessibility(t *testing.T) {
	for name, as := range map[string]look{"desktop": desktop, "phone": phone} {
		for _, dark := range []bool{false, true} {
			as.dark = dark
			t.Run(fmt.Sprintf("%s/dark=%t", name, dark), func(t *testing.T) {
				t.Parallel()
				accessibleStates(t, as)
			})
		}
	}
}

func accessibleStates(t *testing.T, as look) {
	s := startSite(t, nil)
	visitor, agent := s.visitor(as), newWindow(t, as)
	visitor.accessible("closed")
	visitor.click(".launcher")
	visitor.accessible("start")
	agent.visit(s.lobby)
	agent.until("asked for the name", `document.activeElement === $("#name")`)
	agent.accessible("sign in")
	agent.signsIn("Vika")
	agent.accessible("empty")
	visitor.fill("#name", "Nika")
	visitor.fill("#first", "one https://example.com/")
	visitor.click(".start .primary")
	visitor.shows(".status", "You are number")
	visitor.accessible("waiting")
	agent.shows(".queue .name", "Nika")
	agent.accessible("queue")
	agent.takes("Nika")
	agent.says("two")
	visitor.conversation("one https://example.com/", "two")
	visitor.accessible("chat")
	agent.accessible("conversation")
	visitor.offline(true)
	visitor.shows(".status", "Connection lost")
	visitor.says("three")
	visitor.accessible("offline")
	agent.click(".talk > header .quiet")
	agent.shows("dialog[open]", "End the chat with Nika?")
	agent.accessible("closing")
	agent.press(kb.Escape)
	agent.click("#help")
	agent.shows("dialog[open]", "Keyboard shortcuts")
	agent.accessible("shortcuts")
	agent.press(kb.Escape)
	agent.press("r", kb.ModifierAlt)
	agent.shows("dialog[open]", "Canned replies")
	agent.accessible("replies")
	agent.click(".replies .choice button:first-child")
	agent.accessible("replies edited")
	agent.press(kb.Escape)
	agent.offline(true)
	agent.shows(".state", "Offline")
	agent.accessible("offline")
}

// TestKeyboard is a chat without a mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.visitor(desktop), newWindow(t, desktop)

	// tabTo goes on with the tab key until something has the focus, and sees that it
	// shows. It must not go past the page's ends, where the browser's own buttons are.
	tabTo := func(w *window, selector string, modifiers ...kb.Modifier) {
		t.Helper()
		for range 40 {
			w.press(kb.Tab, modifiers...)
			if get[bool](w, `root.activeElement?.matches("`+selector+`") ?? false`) {
				w.until("the focus is seen at "+selector, `[root.activeElement, root.activeElement.closest(".field")].some((one) => one && getComputedStyle(one).outlineStyle !== "none")`)
				return
			}
		}
		t.Fatalf("the tab key does not get to %s", selector)
	}
	tabTo(visitor, ".launcher")
	visitor.press(kb.Enter)
	visitor.until("the name has the focus", `root.activeElement === $("#name")`)
	visitor.write("Nika")
	tabTo(visitor, "#first")
	visitor.write("one")
	tabTo(visitor, ".start .primary")
	visitor.press(kb.Enter)
	visitor.until("the message field has the focus", `root.activeElement === $("#message")`)
	visitor.write("two")
	visitor.press(kb.Enter, kb.ModifierShift)
	visitor.write("lines")
	visitor.press(kb.Enter)

	agent.visit(s.lobby)
	agent.signsIn("Vika")
	agent.shows(".queue .name", "Nika")
	tabTo(agent, ".queue button")
	agent.press(kb.Enter)
	agent.until("the message field has the focus", `document.activeElement === $("#message")`)
	agent.write("three")
	agent.press(kb.Enter)
	agent.conversation("one", "two\nlines", "three")
	visitor.conversation("one", "two\nlines", "three")
	visitor.until("it is read out", `$(".unseen[aria-live=polite]").textContent === "Vika: three"`)

	visitor.press(kb.Escape)
	visitor.until("closed, and the button has the focus", `!shown($(".panel")) && root.activeElement === $(".launcher")`)
	tabTo(agent, "[role=tab]", kb.ModifierShift)
	tabTo(agent, ".talk > header .quiet")
	agent.press(kb.Enter)
	agent.shows("dialog[open]", "End the chat with Nika?")
	agent.press(kb.Escape)
	agent.hides("dialog[open]")
	agent.press("m", kb.ModifierAlt)
	agent.until("the message field has the focus", `document.activeElement === $("#message")`)
}

// TestPhone has texts of every kind on a narrow screen.
func TestPhone(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	narrow := phone
	narrow.width = 320
	visitor, agent := s.visitor(narrow), s.agent(narrow, "Vika")
	visitor.asks(strings.Repeat("W", 64), "hello")
	agent.click(".queue button")
	agent.connected()
	for _, text := range []string{
		strings.Repeat("Donaudampfschifffahrt", 20),
		strings.Repeat("long ", 1600)[:8000],
		"مرحبا بالعالم, and on in English",
		"https://example.com/" + strings.Repeat("path/", 40),
		"👍🏽 🎉",
	} {
		visitor.says(text)
	}
	for _, w := range []*window{visitor, agent} {
		w.until("all messages are there", `$$(".messages .bubble").length === 6`)
		w.until("nothing is wider than the screen", `document.documentElement.scrollWidth <= innerWidth && $$(".log, .panel, .talk, .composer, .message, .bubble").every((one) => one.getBoundingClientRect().right <= innerWidth + 0.5 && one.scrollWidth <= one.clientWidth + 1)`)
		w.until("the end is in view", `(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight < 2)($(".log"))`)
		w.until("emoji alone are large", `$$(".bubble.emoji").length === 1`)
		w.accessible("on a phone")
	}
	agent.shot("phone-texts")

	// One character more than there may be is said, and not sent.
	visitor.click("#message")
	visitor.write(strings.Repeat("x", 8001))
	visitor.shows(".hint", "Your message is too long: 8,001 of 8,000 characters.")
	visitor.click(".send")
	visitor.press(kb.Backspace)
	visitor.hides(".hint")
	visitor.click(".send")
	agent.until("the whole of it is there", `$$(".messages .bubble").at(-1).textContent.length === 8000`)

	agent.click(".back")
	agent.shows(".tab .last", "xxx")
}
