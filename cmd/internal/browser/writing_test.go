package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
)

// TestTouchKeyboard: it has no Shift to hold, so Enter makes a new line, and a button sends.
func TestTouchKeyboard(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.visitor(phone), s.agent(phone, "Vika")
	visitor.asks("Nika", "hello")
	agent.click(".queue button")
	agent.connected()
	for _, w := range []*window{visitor, agent} {
		w.click("#message")
		w.write("one")
		w.press(kb.Enter)
		w.write("two")
		w.until("Enter is a new line", `$("#message").value === "one\ntwo" && $("#message").enterKeyHint === "enter"`)
		w.click(".send")
		w.until("sent, and the keyboard stays", `$("#message").value === "" && root.activeElement === $("#message")`)
		w.write("three")
		w.press(kb.Enter, kb.ModifierCtrl) // of a keyboard beside the screen
		w.until("sent", `$("#message").value === ""`)
	}
	visitor.conversation("hello", "one\ntwo", "three", "one\ntwo", "three")

	desk := s.visitor(desktop)
	desk.asks("Dodo", "hello")
	desk.until("the key says what it does", `$("#message").enterKeyHint === "send"`)
	desk.click("#message")
	desk.write("one")
	desk.press(kb.Enter, kb.ModifierAlt, kb.ModifierCtrl) // AltGr
	desk.press(kb.Enter, kb.ModifierCtrl)
	desk.conversation("hello", "one")
}

// TestComposition: the Enter of an input method chooses a suggestion and sends nothing.
func TestComposition(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := s.visitor(desktop)
	w.asks("Nika", "hello")
	w.click("#message")
	call(w, input.ImeSetComposition, input.ImeSetCompositionParams{Text: "にほん", SelectionStart: 3, SelectionEnd: 3})
	get[any](w, `void $("#message").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }))`)
	get[any](w, `void $("#message").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))`)
	w.write("日本")
	w.until("nothing is sent", `$("#message").value === "日本"`)
	w.press(kb.Enter)
	w.conversation("hello", "日本")
}

// TestLongTexts: texts are counted in characters, wherever they are written, and never cut.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := s.visitor(desktop)
	w.click(".launcher")
	w.fill("#name", strings.Repeat("😀", 65))
	w.fill("#first", strings.Repeat("😀", 8_001))
	w.until("all of it is there", `[...$("#first").value].length === 8001 && [...$("#name").value].length === 65`)
	w.shows(".start .hint", "Your message is too long: 8,001 of 8,000 characters.")
	w.until("read out once", `$(".start [role=alert].unseen").textContent.includes("8,001")`)
	w.click(".start .primary")
	w.shows(".start .hint", "Your name is too long: 65 of 64 characters.")
	w.until("the name has the focus", `root.activeElement === $("#name") && $("#name").getAttribute("aria-invalid") === "true"`)
	w.press(kb.Backspace)
	w.click(".start .primary")
	w.click("#first")
	w.press(kb.End, kb.ModifierCtrl)
	w.press(kb.Backspace)
	w.until("it is not too long any more", `$(".start .hint").textContent === ""`)
	w.press(kb.Enter, kb.ModifierCtrl)
	w.until("it is sent as a whole", `[...$(".messages .bubble").textContent].length === 8000`)

	// The composer counts likewise.
	w.click("#message")
	w.write(strings.Repeat("😀", 8_000))
	w.press(kb.Enter)
	w.until("sent", `$$(".messages .bubble").length === 2`)
	const giant = 300_000
	w.write(strings.Repeat("x", giant))
	w.shows(".composer .hint", "300,000 of 8,000 characters")
	w.press(kb.Enter)
	w.until("all of it is still there", fmt.Sprintf(`$("#message").value.length === %d`, giant))
}

// TestInvisibleTexts: they are not sent, and are shown as empty when they come.
func TestInvisibleTexts(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := s.visitor(desktop)
	w.click(".launcher")
	w.fill("#name", "\u2800")
	w.click(".start .primary")
	w.shows(".start .hint", "Please enter your name.")
	w.until("the name has the focus", `root.activeElement === $("#name")`)
	w.press("a", kb.ModifierCtrl)
	w.write("Nika")
	w.fill("#first", "\u200b\u3164 ")
	w.click(".start .primary")
	w.shows(".start .hint", "Please enter a message.")
	w.press("a", kb.ModifierCtrl)
	w.write("one")
	w.click(".start .primary")
	w.conversation("one")
	w.click("#message")
	w.write("\u200b\u2800")
	w.press(kb.Enter)
	w.says("two")
	w.conversation("one", "\u200b\u2800two")
	get[any](w, fmt.Sprintf(`import(%q + "client.js").then(async ({ Chat }) => {
		const participant = JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(" chat"))[1]);
		const chat = new Chat(%q, participant);
		chat.open();
		chat.send("\u200b");
		await new Promise((resolve) => chat.addEventListener("change", () => chat.outbox.length || resolve()));
		chat.close();
	})`, s.chat, s.chat))
	w.shows(".bubble.blank", "Empty message")
}

// module is an expression that imports one of the modules of the visitor's page.
func module(name string) string {
	return fmt.Sprintf(`import(document.querySelector("link[href$='chat.css']").href.replace("chat.css", %q))`, name)
}

// TestLinks: a link ends before what belongs to the sentence, in every script.
func TestLinks(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := s.visitor(desktop)
	w.asks("Nika", "hello")
	const plain = "https://shop.example/a"
	for text, address := range map[string]string{
		plain + "، شكرا":                     plain,
		plain + "؟":                          plain,
		plain + "؛ نعم":                      plain,
		plain + "。":                          plain,
		plain + "，谢谢":                        plain,
		plain + "！":                          plain,
		plain + "।":                          plain,
		plain + "։":                          plain,
		plain + "…":                          plain,
		plain + "...":                        plain,
		"（" + plain + "）":                    plain,
		"「" + plain + "」です":                  plain,
		"“" + plain + "”":                    plain,
		"‘" + plain + "’":                    plain,
		"«" + plain + "»":                    plain,
		"(" + plain + ").":                   plain,
		plain + "\u202egpj.exe":              plain, // turns its direction
		plain + "\u200b.evil.example":        plain, // looks as if it went on
		plain + "/":                          plain + "/",
		plain + "?q=[1]":                     plain + "?q=[1]",
		"(see " + plain + "_(b))":            plain + "_(b)",
		"https://shop.example/Musée_d’Orsay": "https://shop.example/Musée_d’Orsay",
		"https://shop.example/日本・語":          "https://shop.example/日本・語",
		"https://shop.example/می\u200cخواهم": "https://shop.example/می\u200cخواهم",
	} {
		found := get[[]string](w, fmt.Sprintf(`%s.then(({ paragraphs }) => [...paragraphs(%q).querySelectorAll("a")].map((one) => one.textContent))`, module("text.js"), text))
		if len(found) != 1 || found[0] != address {
			t.Errorf("the link in %q is %q, want %q", text, found, address)
		}
	}
	// A long row of punctuation takes no time.
	start := time.Now()
	get[any](w, module("text.js")+`.then(({ paragraphs }) => {
		paragraphs("https://x.example/" + ")".repeat(8000) + "a");
		paragraphs("https://x.example/" + ".".repeat(8000));
	})`)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestDirections: each paragraph of a message has the direction of its text, in all its lines. An
// address reads from left to right in any of them.
func TestDirections(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := s.visitor(phone)
	address := "https://shop.example/" + strings.Repeat("path/", 30)
	text := "انظر " + address + " من فضلك\n\nand then " + address + " please\n" + address
	w.asks("Nika", text)
	w.until("the whole text is there", fmt.Sprintf(`$(".bubble").textContent === %q && $(".bubble").innerText.replace(/\n+/g, "\n") === %[1]q.replace(/\n+/g, "\n")`, text))
	w.until("an empty line is as high as another one", `(([first, empty]) => empty.offsetHeight > 10 && empty.offsetHeight < first.offsetHeight / 2)($$(".bubble p"))`)
	for at, side := range []string{"right", "", "left", "left"} {
		if side == "" {
			continue
		}
		w.until(fmt.Sprintf("all lines of paragraph %d begin at the %s", at, side), fmt.Sprintf(`((p) => {
			const edge = p.getBoundingClientRect()[%[2]q];
			const lines = [...p.querySelector("a").getClientRects()].slice(1); // the first has other words before it
			return lines.length > 2 && lines.every((line) => Math.abs(line[%[2]q] - edge) < 8) && getComputedStyle(p.querySelector("a")).direction === "ltr";
		})($$(".bubble p")[%[1]d])`, at, side))
	}
	w.shot("directions")
}

// TestUnsentTexts: unsent texts are kept for the next chat, whatever takes the form away.
func TestUnsentTexts(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.ChatTTL = 5 * time.Second })
	visitor, agent := s.visitor(desktop), s.agent(desktop, "Vika")
	visitor.click(".launcher")
	visitor.fill("#name", "Nika")
	visitor.fill("#first", "half a sen")
	visitor.reload()
	visitor.until("the form is as it was", `$("#name")?.value === "Nika" && $("#first").value === "half a sen"`)
	visitor.visit(s.lobby) // a link
	visitor.visit(s.chat)
	visitor.until("the form is as it was", `$("#name")?.value === "Nika" && $("#first").value === "half a sen"`)
	visitor.click("#first")
	visitor.press(kb.End)
	visitor.write("tence")
	visitor.click(".start .primary")
	visitor.until("the composer is empty", `shown($(".composer")) && $("#message").value === ""`)
	agent.takes("Nika")
	agent.conversation("half a sentence")

	// The chat ends while both write.
	visitor.fill("#message", "a long answer")
	agent.fill("#message", "a long question")
	visitor.shows(".status", "This chat ended")
	visitor.until("the focus is where it goes on", `root.activeElement === $(".over button")`)
	agent.shows(".outbox .bubble", "a long question")
	agent.shows(".outbox .fate", "Not sent. The chat has ended.")
	visitor.reload()
	visitor.until("the text is in the new form", `shown($("#first")) && $("#first").value === "a long answer"`)
	visitor.fill("#name", "Nika")
	visitor.click(".start .primary")
	visitor.until("it is sent, once", `$$(".bubble").map((one) => one.textContent).join() === "a long answer" && $("#message").value === ""`)

	// A message that could not be sent goes on, too.
	agent.takes("Nika")
	visitor.offline(true)
	visitor.shows(".status", "Connection lost")
	visitor.says("offline")
	visitor.fill("#message", "and a half")
	agent.until("the chat has ended", `$(".state").dataset.state === "ended"`)
	visitor.offline(false)
	visitor.shows(".status", "This chat ended")
	visitor.shows(".outbox .fate", "Not sent. The chat has ended.")
	visitor.click(".over button")
	visitor.until("both are in the new form", `$("#first").value === "offline\nand a half" && root.activeElement === $("#first")`)
}
