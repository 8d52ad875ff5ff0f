package browser_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"

	"livesupport/cmd/internal/backend"
)

// TestNotifications is an agent who looks at something else.
func TestNotifications(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	away := desktop
	away.script = `window.Notification = class {
		static permission = "default";
		static asked = 0;
		static made = [];
		static async requestPermission() {
			this.asked++;
			return this.permission = "granted";
		}
		constructor(title, { body }) { Notification.made.push(title + ": " + body); }
		close() {}
	};
	Document.prototype.hasFocus = () => !window.elsewhere;`
	agent := s.agent(away, "Vika")
	agent.until("asked for once", `Notification.asked === 1`)
	agent.until("they are on", `$("#bell").getAttribute("aria-label") === "Turn notifications off"`)
	visitor := s.visitor(desktop)
	get[bool](agent, `window.elsewhere = true`)

	visitor.asks("Nika", "one")
	agent.until("told of the visitor", `Notification.made.join() === "New visitor: Nika is waiting."`)
	get[bool](agent, `window.elsewhere = false`)
	agent.takes("Nika")
	visitor.says("two")
	agent.conversation("one", "two")
	get[bool](agent, `window.elsewhere = true`)
	visitor.says("three")
	agent.until("told of the message, and not of the one that was seen", `Notification.made.slice(1).join() === "Nika: three"`)

	// Turned off, and kept so; the sound as well.
	agent.click("#bell")
	agent.click("#sound")
	agent.reload()
	agent.connected()
	agent.until("off after a reload", `$("#bell").getAttribute("aria-label") === "Turn notifications on" && $("#sound").getAttribute("aria-label") === "Turn sound on"`)
	agent.until("not asked again", `Notification.asked === 0`)
}

// TestQueueOrder has the longest waiting first, with the time since they came, also
// where nobody looked.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	first, second := s.visitor(phone), s.visitor(phone)
	first.asks("Nika", "one")
	first.shows(".status", "You are number")
	second.asks("Dodo", "two")
	second.shows(".status", "You are number")
	time.Sleep(2 * time.Second) // nobody looks
	agent := s.agent(desktop, "Vika")
	agent.until("in their order", `$$(".queue .name").map((one) => one.textContent).join() === "Nika,Dodo"`)
	waits := func() int {
		return get[int](agent, `((said) => said ? 60 * said[1] + Number(said[2]) : -1)(/^Waiting for (\d+):(\d\d)$/.exec($(".since")?.textContent))`)
	}
	before := waits()
	if before < 2 {
		t.Errorf("after two seconds the first has waited for %d", before)
	}
	agent.reload()
	agent.until("there again", `$$(".since").filter((one) => one.textContent).length === 2`)
	if after := waits(); after < before {
		t.Errorf("the time is %d after a reload, and was %d before", after, before)
	}
	agent.until("the title counts them", `document.title === "(2) Support console"`)
	agent.takes("Nika")
	agent.until("one is left", `$$(".queue .name").map((one) => one.textContent).join() === "Dodo"`)
}

// TestLongHistory uses client.js as anybody may, and looks at what it has written
// in the widget.
func TestLongHistory(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.MessageRate, cfg.FrameRate = 0, 0 })
	const all = 1000
	visitor := s.visitor(desktop)
	got := get[int](visitor, fmt.Sprintf(`import(%q + "client.js").then(async ({ Chat, register }) => {
		const base = %q;
		const chat = new Chat(base, await register(base, "Nika"));
		let heard = 0;
		chat.addEventListener("message", () => heard++);
		chat.open();
		for (let i = 1; i <= 100; i++) chat.send("message " + i);
		await new Promise((resolve) => chat.addEventListener("change", () => chat.outbox.length || resolve()));
		// The others go the short way, without waiting for each other.
		const socket = new WebSocket(base + "chat/" + chat.participant.chatId);
		const say = (type, args) => socket.send(JSON.stringify({ type, args: { ...args, userId: chat.participant.userId, from: "User" } }));
		socket.onmessage = ({ data }) => data === "ping" && socket.send("pong:user");
		await new Promise((resolve) => { socket.onopen = resolve; });
		say("Join", {});
		const until = (count) => new Promise((resolve) => {
			const look = () => (heard >= count ? resolve() : chat.addEventListener("message", look, { once: true }));
			look();
		});
		for (let i = 101; i <= %d; i++) {
			say("ChatMessage", { content: "message " + i });
			if (i %% 100 === 0) await until(i);
		}
		socket.close();
		chat.close();
		localStorage.setItem("livesupport " + base + " chat", JSON.stringify(chat.participant));
		return heard;
	})`, s.chat, s.chat, all))
	if got != all {
		t.Fatalf("%d of %d messages came back", got, all)
	}
	visitor.reload()
	visitor.click(".launcher")
	visitor.until("the last ones are there", `$$(".messages .bubble").at(-1)?.textContent === "message 1000" && $$(".messages .bubble").length < 1000`)
	visitor.until("the end is in view", `(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight < 2)($(".log"))`)
	for get[bool](visitor, `shown($(".earlier"))`) {
		before := get[int](visitor, `$(".log").scrollTop = 0, $$(".messages .bubble").length`)
		visitor.click(".earlier")
		visitor.until("more are there", fmt.Sprintf(`$$(".messages .bubble").length > %d`, before))
	}
	visitor.until("all are there, each once, in order", `$$(".messages .bubble").map((one) => one.textContent).join() === Array.from({ length: 1000 }, (_, i) => "message " + (i + 1)).join()`)

	// What comes while one reads further up does not move the view, and is announced.
	agent := s.agent(desktop, "Vika")
	agent.takes("Nika")
	visitor.until("a place in the middle", `($(".log").scrollTop = 5000) && $(".log").scrollTop === 5000`)
	agent.says("news")
	visitor.shows(".newer", "New messages")
	if at := get[float64](visitor, `$(".log").scrollTop`); at != 5000 {
		t.Errorf("the view has moved to %v", at)
	}
	before := visitor.busy()
	const frames = 60
	get[any](visitor, fmt.Sprintf(`new Promise((resolve) => {
		let left = %d;
		const step = () => {
			$(".log").scrollTop -= 40;
			if (--left) requestAnimationFrame(step);
			else resolve();
		};
		requestAnimationFrame(step);
	})`, frames))
	// 60 frames a second leave 16.7 ms to each.
	if each := (visitor.busy() - before) / frames; each > 16*time.Millisecond {
		t.Errorf("a frame of the scrolling conversation costs %s of processor time", each)
	} else {
		t.Logf("a frame of the scrolling conversation costs %s of processor time", each)
	}
	visitor.click(".newer")
	visitor.until("the news is in view", `$(".log").scrollHeight - $(".log").scrollTop - $(".log").clientHeight < 2`)
	visitor.hides(".newer")
}

// busy is the processor time that the page's thread has used.
func (w *window) busy() time.Duration {
	w.Helper()
	call(w, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	for _, metric := range call(w, performance.GetMetrics, cdp.Empty{}).Metrics {
		if metric.Name == "TaskDuration" {
			return time.Duration(metric.Value * float64(time.Second))
		}
	}
	w.Fatal("the browser does not tell how busy it is")
	return 0
}
