package browser_test

import (
	"flag"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestPictures walks through the main states and takes their pictures, which are
// for people to look at: see the package's comment.
func TestPictures(t *testing.T) {
	if flag.Lookup("test.artifacts").Value.String() != "true" {
		t.Skip("nobody asks for pictures with -artifacts")
	}
	t.Parallel()
	s := startSite(t, nil)
	wide := look{width: 1280, height: 800}
	visitor := s.visitor(wide)
	visitor.shot("visitor-closed")
	visitor.click(".launcher")
	visitor.shot("visitor-start")
	visitor.fill("#name", "Nika")
	visitor.fill("#first", "Hello! My order 1042 has not arrived yet, could you have a look?")
	visitor.click(".start .primary")
	visitor.shows(".status", "You are number")
	visitor.shot("visitor-waiting")

	agent := newWindow(t, wide)
	agent.visit(s.lobby)
	agent.until("asked for the name", `document.activeElement === $("#name")`)
	agent.shot("agent-sign-in")
	agent.signsIn("Vika")
	agent.shot("agent-queue")
	agent.takes("Nika")
	agent.says("Hello Nika, of course. One moment please.")
	agent.says("It left our house on Monday: https://parcel.example/track/1042 says that it is on its way to you.")
	visitor.says("Great, that is all I needed to know. Thank you!")
	visitor.shot("visitor-chat")

	dark := desktop
	dark.dark = true
	second := s.visitor(dark)
	second.asks("Dodo", "Do you ship to Iceland?")
	agent.takes("Dodo")
	agent.says("We do. It takes about a week.")
	second.shows(".bubble", "We do.")
	second.shot("visitor-dark")
	visitor.says("One more thing: can I change the address?")
	onPhone := newWindow(t, phone)
	onPhone.visit(s.lobby)
	onPhone.signsIn("Kiku")
	onPhone.shot("agent-phone-empty")
	small := s.visitor(phone)
	small.shot("phone-closed")
	small.asks("Maria Magdalena Fernández de la Cruz", "Hi, is the blue one back in stock?")
	small.shot("phone-waiting")
	agent.click(".tab:first-child")
	agent.shows(".bubble", "can I change the address?")
	agent.press("i", kb.ModifierAlt)
	agent.write("Her parcel has been in Leipzig since Tuesday.")
	agent.press(kb.Enter)
	agent.shows(".team-note", "since Tuesday")
	agent.press("i", kb.ModifierAlt)
	agent.says("Sure, what is the new one?")
	second.says("A week is fine, thank you!")
	agent.shows(".tab:last-child .count", "1")
	agent.shows(".queue .since", "Waiting for ")
	agent.shot("agent-chats")
	tab := agent.another(dark)
	tab.visit(s.lobby)
	tab.until("asked for the name", `document.activeElement === $("#name")`)
	tab.press("\r")
	tab.takes("Maria Magdalena Fernández de la Cruz")
	tab.says("It is, since this morning. Shall I put one aside?")
	tab.shot("agent-dark")
	small.shows(".bubble", "It is, since")
	small.shot("phone-chat")

	kiku := s.visitor(desktop)
	kiku.asks("Ana", "Hello?")
	onPhone.shows(".queue .name", "Ana")
	onPhone.shot("agent-phone-queue")
	onPhone.takes("Ana")
	onPhone.says("Hello Ana!")
	onPhone.shot("agent-phone-chat")
	agent.click("#help")
	agent.shows("dialog[open]", "Keyboard shortcuts")
	agent.shot("agent-shortcuts")
	agent.press("\x1b")
	agent.press("r", kb.ModifierAlt)
	agent.shows("dialog[open]", "Canned replies")
	agent.shot("agent-replies")
	agent.press("\x1b")
	visitor.offline(true)
	visitor.shows(".status", "Connection lost")
	visitor.says("Are you there?")
	visitor.shot("visitor-offline")
	agent.offline(true)
	agent.shows(".state", "Offline")
	agent.shot("agent-offline")
}
