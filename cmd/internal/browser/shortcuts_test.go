package browser_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// pressed is JavaScript that tells whether a page takes a key from the element with the focus.
func pressed(key, code, more string) string {
	return fmt.Sprintf(`!document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: %q, code: %q, altKey: true, bubbles: true, cancelable: true, %s }))`, key, code, more)
}

// TestShortcutsLeaveTyping: in a text field, a key that types a character belongs to the field, on
// any layout. The test tries every letter that the console listens to.
func TestShortcutsLeaveTyping(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, waiting := s.visitor(desktop), s.visitor(desktop)
	visitor.asks("Nika", "one")
	agent := s.agent(desktop, "Vika")
	agent.takes("Nika")
	waiting.asks("Dodo", "two")
	agent.shows(".queue .name", "Dodo")
	for _, letter := range []struct{ code, polish, mac string }{
		{"KeyN", "ń", "Dead"}, {"KeyJ", "ĵ", "∆"}, {"KeyK", "ķ", "˚"}, {"KeyM", "µ", "µ"}, {"KeyR", "ř", "®"},
	} {
		agent.click("#message")
		for _, key := range []string{letter.polish, letter.mac} {
			if get[bool](agent, pressed(key, letter.code, "")) {
				t.Errorf("%s at %s is taken from the message field", key, letter.code)
			}
		}
		if get[bool](agent, pressed("n", letter.code, "modifierAltGraph: true")) {
			t.Errorf("AltGr and %s is taken from the message field", letter.code)
		}
		if get[bool](agent, pressed("n", letter.code, "ctrlKey: true")) {
			t.Errorf("Ctrl, Alt and %s is taken from the message field", letter.code)
		}
	}
	if get[bool](agent, `shown($("dialog[open]")) || $$(".tab").length !== 1`) {
		t.Error("something has come of it")
	}
	// The text that the keys type arrives.
	agent.press("ń", kb.ModifierAlt)
	agent.write("ń")
	agent.until("typed", `$("#message").value.endsWith("ń")`)

	// Where a layout has other letters, the key's place counts, in the field as well,
	// once it is known what the key types by itself.
	get[bool](agent, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "к", code: "KeyR", bubbles: true }))`)
	if !get[bool](agent, pressed("к", "KeyR", "")) {
		t.Error("Alt and R do nothing on a Russian keyboard")
	}
	agent.shows("dialog[open]", "Canned replies")
	agent.press(kb.Escape)
	agent.hides("dialog[open]")
	// Where the letters are elsewhere, what is on the key counts.
	if !get[bool](agent, pressed("r", "KeyO", "")) {
		t.Error("Alt and R do nothing on a Dvorak keyboard")
	}
	agent.shows("dialog[open]", "Canned replies")
	agent.press(kb.Escape)
	agent.hides("dialog[open]")

	// A key that is held down acts once; one that ends a composition does nothing.
	if get[bool](agent, pressed("n", "KeyN", "isComposing: true")) || get[int](agent, `$$(".tab").length`) != 1 {
		t.Error("a composition takes a visitor")
	}
	get[bool](agent, pressed("n", "KeyN", "repeat: true"))
	if get[int](agent, `$$(".tab").length`) != 1 {
		t.Error("a key that is held down takes a visitor")
	}
	// Outside of a field it acts, whatever it would type.
	agent.press(kb.Escape)
	agent.until("the field is left", `document.activeElement.matches("[role=tab][aria-selected=true]")`)
	if !get[bool](agent, pressed("ń", "KeyN", "")) {
		t.Error("Option and N do nothing outside of a field")
	}
	agent.shows(".with h2", "Dodo")
}

// TestShortcutsOnApple: there, Alt is Option, which types a character with every letter. Together
// with Control it does not.
func TestShortcutsOnApple(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	mac := desktop
	mac.script = `Object.defineProperty(Navigator.prototype, "platform", { get: () => "MacIntel" });`
	visitor, agent := s.visitor(desktop), s.agent(mac, "Vika")
	visitor.asks("Nika", "one")
	agent.takes("Nika")
	agent.click("#message")
	if get[bool](agent, pressed("r", "KeyR", "")) {
		t.Error("Option and R are taken from the field")
	}
	if !get[bool](agent, pressed("®", "KeyR", "ctrlKey: true")) {
		t.Error("Control, Option and R do nothing")
	}
	agent.shows("dialog[open]", "Canned replies")
	agent.press(kb.Escape)
	agent.click("#help")
	agent.shows("dialog[open]", "hold Control as well")
	agent.shot("agent-shortcuts-apple")
}
