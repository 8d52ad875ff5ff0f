package browser_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp/kb"
)

// TestMoments has times and dates as the reader writes them.
func TestMoments(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	for language, want := range map[string][]string{
		"en-US": {`^Monday, October 23, 2023$`, `^3:18\sAM$`, `October 23, 2023 at 3:18\sAM$`, `^Tuesday, October 24, 2023$`},
		"en-GB": {`^Monday,? 23 October 2023$`, `^0?3:18$`, `23 October 2023 at 0?3:18$`, `^Tuesday,? 24 October 2023$`},
		"sv-SE": {`^Monday,? 23 October 2023$`, `^0?3:18$`, `23 October 2023 at 0?3:18$`, `^Tuesday,? 24 October 2023$`}, // English, which this is, as written there
		"de-AT": {`^Montag, 23. Oktober 2023$`, `^0?3:18$`, `23. Oktober 2023 um 0?3:18$`, `^Dienstag, 24. Oktober 2023$`},
		"ar-EG": {`٢٣ أكتوبر ٢٠٢٣$`, `^٣:١٨\sص$`, `٢٣ أكتوبر ٢٠٢٣ في ٣:١٨\sص$`, `٢٤ أكتوبر ٢٠٢٣$`},
	} {
		as := desktop
		as.language = language
		w := newWindow(t, as)
		call(w, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
		w.visit(s.chat)
		got := get[[]string](w, fmt.Sprintf(`Promise.all([%s, %s]).then(async ([{ Conversation }, { learn, speak }]) => {
			await learn(navigator.language);
			const { t, lang } = speak(navigator.language);
			const chat = Object.assign(new EventTarget(), {
				participant: { chatId: "1", role: "User" }, state: "connected", outbox: [],
				receipts: { unread: 0 }, notes: [], nameOf: () => "Vika", typing: { other: { typing: false, text: "" } },
				messages: ["2023-10-22T18:18:59.360855Z", "2023-10-22T18:19:00.000000Z", "2023-10-23T18:18:59.360855Z"]
					.map((timestamp) => ({ from: "Support", content: "one", timestamp })),
			});
			const conversation = new Conversation(t, lang, { get: () => null, set() {} });
			conversation.show(chat);
			const all = (selector) => [...conversation.element.querySelectorAll(selector)];
			const [first, second] = all(".message");
			const full = first.querySelector("time.unseen").textContent;
			return [
				...all(".day").map((one) => one.textContent),
				first.querySelector(".who time").textContent, full,
				first.title === full && first.querySelector(".who time").title === full ? "" : "no title",
				second.title && second.querySelector("time.unseen").textContent === second.title ? "" : "no title on the second",
			];
		})`, module("conversation.js"), module("strings.js")))
		if len(got) != 6 {
			t.Fatalf("%s: %q", language, got)
		}
		for i, one := range []string{got[0], got[2], got[3], got[1]} {
			if !regexp.MustCompile(want[i]).MatchString(one) {
				t.Errorf("%s: %q is not like %s", language, one, want[i])
			}
		}
		if problems := got[4] + got[5]; problems != "" {
			t.Errorf("%s: %s", language, problems)
		}
	}
}

// TestReadOut is what a screen reader gets: each message once, and a second one
// with the same text, too.
func TestReadOut(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.couple()
	get[any](visitor, `void (window.heard = [], new MutationObserver((changes) => {
		for (const { addedNodes } of changes) for (const { textContent } of addedNodes) heard.push(textContent);
	}).observe($(".unseen[aria-live]"), { childList: true, characterData: true, subtree: true }))`)
	agent.says("yes")
	agent.says("yes")
	agent.says(strings.Repeat("😀", 301))
	visitor.until("all are there", `$$(".messages .bubble").length === 4`)
	want := []string{"Vika: yes", "Vika: yes", "Vika: " + strings.Repeat("😀", 300) + "…"}
	if got := get[[]string](visitor, `heard`); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	visitor.says("no")
	agent.says("good")
	visitor.shows(".bubble", "good")
	if got := get[string](visitor, `heard.slice(3).join()`); got != "Vika: good" {
		t.Errorf("then heard %q", got)
	}
}

// loudness measures what a page plays, and notes whether its tones can be heard
// when they begin.
const loudness = `
	window.starts = [];
	window.peak = 0;
	const { connect } = AudioNode.prototype;
	AudioNode.prototype.connect = function (to, ...rest) {
		if (to !== this.context.destination) return connect.call(this, to, ...rest);
		if (!this.context.meter) {
			const meter = this.context.meter = this.context.createAnalyser();
			const values = new Float32Array(meter.fftSize);
			setInterval(() => {
				meter.getFloatTimeDomainData(values);
				for (const value of values) window.peak = Math.max(window.peak, Math.abs(value));
			}, 10);
		}
		return connect.call(this, this.context.meter);
	};
	const { start } = OscillatorNode.prototype;
	OscillatorNode.prototype.start = function (...when) {
		window.starts.push(this.context.state);
		return start.apply(this, when);
	};`

// TestSoundsDoNotPileUp in a page that nobody has touched yet.
func TestSoundsDoNotPileUp(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = loudness
	agent := s.agent(as, "Vika")
	agent.reload()
	agent.until("online", `$(".lobby").dataset.state === "ready"`)
	visitors := s.visitor(desktop)
	come := func(names string) {
		get[any](visitors, fmt.Sprintf(`import(%q + "client.js").then(async ({ Chat, register }) => {
			for (const name of %q.split(" ")) new Chat(%q, await register(%q, name)).open();
		})`, s.chat, names, s.chat, s.chat))
	}
	come("a b c d e f g h i j k l m n o p q r s t")
	agent.until("twenty wait", `$$(".queue li").length === 20`)
	agent.click("h1")
	if starts := get[[]string](agent, `starts`); len(starts) != 0 {
		t.Errorf("tones for nobody: %q", starts)
	}
	come("u")
	agent.until("a chime", `starts.length > 0`)
	come("v w x")
	agent.until("all wait", `$$(".queue li").length === 24`)
	agent.until("heard", `peak > 0.01`)
	if starts, peak := get[string](agent, `starts.join()`), get[float64](agent, `peak`); strings.Contains(starts, "suspended") || peak > 0.1 {
		t.Errorf("tones in %s, with a peak of %v", starts, peak)
	}
}

// TestReadElsewhere is a visitor with two tabs, of which one shows the chat.
func TestReadElsewhere(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = elsewhere
	reading, agent := s.visitor(as), s.agent(desktop, "Vika")
	reading.asks("Nika", "one")
	agent.takes("Nika")
	hidden := reading.another(as)
	hidden.visit(s.chat)
	hidden.until("the chat is there", `$(".livesupport")?.dataset.state === "connected"`)
	hidden.do("use the page", func(ctx context.Context) error { return hidden.tab.click(ctx, 20, 20) })
	get[any](hidden, `look(true)`)
	agent.says("two")
	reading.conversation("one", "two")
	agent.says("three")
	reading.conversation("one", "two", "three")
	get[any](reading, `look(true)`)
	agent.says("four")
	for _, w := range []*window{reading, hidden} {
		w.until("only the last is told of", `document.title === "(1) New message"`)
	}
	sounds := func() int { return get[int](reading, `sounds`) + get[int](hidden, `sounds`) }
	for start := time.Now(); sounds() < 2 && time.Since(start) < patience; pause(start) {
	}
	if all := sounds(); all != 2 {
		t.Errorf("%d notes, want the 2 of one chime", all)
	}
	get[any](reading, `look(false)`)
	hidden.until("the other tab's title is its own again", `document.title === "Livesupport"`)
}

// TestBackCloses the panel where it covers the page.
func TestBackCloses(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := phone
	w := newWindow(t, as)
	w.visit("about:blank")
	w.visit(s.chat)
	get[any](w, `history.replaceState({ page: 1 }, "")`)
	w.click(".launcher")
	w.until("the page keeps its state", `history.state.page === 1 && shown($(".panel"))`)
	get[any](w, `history.back()`)
	w.hides(".panel")
	if at := get[string](w, `location.href`); at != s.chat {
		t.Errorf("Back leads to %s", at)
	}

	// After a reload as well.
	w.click(".launcher")
	w.reload()
	w.until("still open", `shown($(".panel"))`)
	get[any](w, `history.back()`)
	w.hides(".panel")

	// Closed otherwise, it leaves nothing to go back from.
	w.click(".launcher")
	w.click("header [aria-label='Minimize chat']")
	w.until("the entry is gone", `!shown($(".panel")) && history.state.page === 1 && !history.state.livesupport`)
	w.click(".launcher")
	w.press(kb.Escape)
	get[any](w, `void $(".launcher").click()`) // again, at once
	w.until("open", `shown($(".panel")) && history.state.livesupport`)
	get[any](w, `history.back()`)
	w.hides(".panel")
	get[any](w, `void setTimeout(() => history.back())`)
	w.until("the page is left", `location.href === "about:blank"`)
}

// TestKeyboardOnScreen: it lies over the page, and the panel keeps out of its way.
func TestKeyboardOnScreen(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := phone
	as.script = `const view = Object.assign(new EventTarget(), { height: 720, offsetTop: 0, scale: 1 });
		Object.defineProperty(window, "visualViewport", { value: view });
		window.keyboard = (height, offsetTop, scale) => {
			Object.assign(view, { height, offsetTop, scale });
			view.dispatchEvent(new Event("resize"));
		};`
	w := s.visitor(as)
	w.click(".launcher")
	covers := func(top, bottom int) {
		t.Helper()
		w.until(fmt.Sprintf("the panel goes from %d to %d", top, bottom), fmt.Sprintf(`(({ top, bottom }) => top === %d && bottom === %d)($(".panel").getBoundingClientRect())`, top, bottom))
	}
	covers(0, 720)
	get[any](w, `keyboard(400, 50, 1)`)
	covers(50, 450)
	get[any](w, `keyboard(360, 0, 2)`) // no keyboard: the page is zoomed in
	covers(0, 720)
	get[any](w, `keyboard(300, 0, 1)`)
	covers(0, 300)
	get[any](w, `keyboard(664, 0, 1)`) // the browser's own bars
	covers(0, 720)
}

// TestNarrowAndLow are windows with scrollbars that take room.
func TestNarrowAndLow(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	for name, as := range map[string]look{
		"desktop":       desktop,
		"narrow":        {width: 300, height: 600},
		"low":           {width: 900, height: 300},
		"at 200 %":      {width: 600, height: 380},
		"right to left": {width: 320, height: 480, language: "ar"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			narrowAndLow(s, newWindow(t, as), name, as.language)
		})
	}
}

func narrowAndLow(s *site, w *window, name, language string) {
	w.visit(s.host(`main { display: block; block-size: 3000px }`, s.line(fmt.Sprintf(`data-language="%.2s" data-position=%q`, language, map[bool]string{true: "left", false: "right"}[name == "narrow"]))))
	w.click(".launcher")
	inside := `[".panel", ".panel > header", ".start", ".conversation", ".composer", ".field", ".send"].map($).filter(shown).every((one) => {
		const { left, right, top, bottom } = one.getBoundingClientRect();
		return left >= 0 && right <= document.documentElement.clientWidth && top >= 0 && bottom <= innerHeight;
	})`
	w.until(name+": the form is inside of the page", inside)
	if name != "desktop" {
		w.until(name+": the panel is as wide as the page", `$(".panel").getBoundingClientRect().width === document.documentElement.clientWidth`)
	}
	w.until(name+": the field takes the room there is", `$(".start .primary").getBoundingClientRect().top - $("#first").getBoundingClientRect().bottom < 40`)
	w.accessible(name)
	w.fill("#name", "Nika")
	w.fill("#first", "one")
	w.press(kb.Enter, kb.ModifierCtrl)
	w.conversation("one")
	w.until(name+": the composer is inside of the page", inside)
	bar := `$("#message").offsetWidth - $("#message").clientWidth - 2`
	w.until(name+": an empty field has no scrollbar", bar+` === 0 && $("#message").scrollHeight <= $("#message").clientHeight`)
	w.click("#message")
	w.write("two\nthree")
	w.until(name+": it grows", bar+` === 0 && $("#message").scrollHeight <= $("#message").clientHeight && $("#message").clientHeight > 50`)
	w.write(strings.Repeat("\nmore", 40))
	w.until(name+": at its highest it scrolls", bar+` > 0 && `+inside)
	w.until(name+": the messages can still be seen", `$(".log").clientHeight > 40`)
	w.press("a", kb.ModifierCtrl)
	w.press(kb.Backspace)
	w.until(name+": and shrinks", bar+` === 0`)
}
