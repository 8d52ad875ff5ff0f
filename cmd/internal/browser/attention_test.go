package browser_test

import "testing"

// elsewhere lets a page believe that it is hidden, and counts its sounds, also where
// the machine has nothing to play them with: Firefox waits for that.
const elsewhere = `
	window.elsewhere = false;
	window.sounds = 0;
	Object.defineProperty(Document.prototype, "hidden", { get: () => window.elsewhere });
	Object.defineProperty(Document.prototype, "visibilityState", { get: () => (window.elsewhere ? "hidden" : "visible") });
	window.AudioContext = class extends AudioContext {
		get state() { return "running"; }
		createOscillator() {
			window.sounds++;
			return super.createOscillator();
		}
	};
	window.look = (away) => {
		window.elsewhere = away;
		document.dispatchEvent(new Event("visibilitychange"));
	}`

// TestUnreadMessages is a visitor who looks at another tab.
func TestUnreadMessages(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	// For the sounds the time stands still: two messages come at once, however slow the machine is.
	as.script = elsewhere + `;
		performance.now = () => 10_000;`
	visitor, agent := s.visitor(as), s.agent(desktop, "Vika")
	visitor.asks("Nika", "one")
	agent.takes("Nika")
	agent.says("two")
	visitor.conversation("one", "two")
	if title, sounds := get[string](visitor, `document.title`), get[int](visitor, `sounds`); title != "Livesupport" || sounds != 0 {
		t.Errorf("what is seen is told with the title %q and %d sounds", title, sounds)
	}
	get[any](visitor, `look(true)`)
	agent.says("three")
	agent.says("four")
	visitor.until("the title says so", `document.title === "(2) New messages"`)
	visitor.until("heard once, with two notes", `sounds === 2`)
	get[any](visitor, `look(false)`)
	visitor.until("the title is the page's own", `document.title === "Livesupport"`)

	visitor.click(".panel [aria-label='Turn sound off']")
	get[any](visitor, `look(true)`)
	agent.says("five")
	visitor.until("the title says so", `document.title === "(1) New message"`)
	visitor.until("nothing is heard", `sounds === 2`)
	visitor.reload()
	visitor.until("off after a reload", `$(".panel [aria-label='Turn sound on']")`)
}

// refusing is a server that does not take a certain message, as one that is full.
const refusing = tapped + `
	window.refuses = true;
	tap.sends = (socket, text, send) => {
		if (!refuses || !text.includes('"content":"too much"')) return send(text);
		const { messageId } = JSON.parse(text).args;
		const answer = { type: "Error", args: { code: "chat_full", message: "Full.", messageId } };
		setTimeout(() => socket.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(answer) })));
	};`

func TestRefusedMessage(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = refusing
	visitor := s.visitor(as)
	visitor.asks("Nika", "one")
	visitor.conversation("one")
	visitor.says("too much")
	visitor.shows(".refused .fate", "Not sent. This chat is full.")
	visitor.accessible("refused")
	visitor.shot("visitor-refused")
	visitor.says("two") // goes on without it
	visitor.until("sent", `$$(".messages .bubble").length === 2`)
	visitor.reload()
	visitor.shows(".refused .fate", "Not sent. This chat is full.")
	visitor.click(".refused .link:first-child")
	visitor.shows(".refused .fate", "Not sent. This chat is full.")
	get[any](visitor, `void (refuses = false)`)
	visitor.click(".refused .link:first-child")
	visitor.conversation("one", "two", "too much")
	get[any](visitor, `void (refuses = true)`)
	visitor.says("too much")
	visitor.click(".refused .link:last-child")
	visitor.conversation("one", "two", "too much")
}
