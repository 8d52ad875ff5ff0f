package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"livesupport/cmd/internal/backend"
)

// An end is a window whose page uses client.js as anybody may, without the widget or
// the console: `chat` is its Chat, `heard` what that has told.
type end struct{ *window }

// end opens a window in which client.js is loaded.
func (s *site) end() end {
	s.Helper()
	e := end{newWindow(s.T, desktop)}
	e.visit(s.chat)
	e.imports(s)
	return e
}

func (e end) imports(s *site) {
	e.Helper()
	e.run(fmt.Sprintf(`import(%q + "client.js").then((client) => {
		window.join = (participant) => {
			window.chat = new client.Chat(%q, participant);
			window.heard = [];
			for (const type of ["message", "receipt", "typing", "presence", "queue", "rated"]) {
				chat.addEventListener(type, ({ detail }) => heard.push({ type, ...detail }));
			}
			chat.open();
		};
		window.register = (more) => client.register(%q, "Nika", "", more);
	})`, s.chat, s.chat, s.chat))
}

// run evaluates statements that may take their time.
func (e end) run(statements string) {
	e.Helper()
	get[bool](e.window, fmt.Sprintf("(async () => { await (%s); return true; })()", statements))
}

// participant is what the end's chat has to come back with, in JSON.
func (e end) participant() string {
	e.Helper()
	return get[string](e.window, `JSON.stringify(chat.participant)`)
}

func (e end) joins(participant string) {
	e.Helper()
	e.run(fmt.Sprintf(`join(%s)`, participant))
	e.until("joined", `["waiting", "connected", "ended"].includes(chat.state)`)
}

// visits is the end of a new visitor, who waits.
func (s *site) visits() end {
	s.Helper()
	e := s.end()
	e.run(`register().then(join)`)
	e.until("waiting", `chat.state === "waiting"`)
	return e
}

// answers is the end of an agent who takes a visitor.
func (s *site) answers(visitor end) end {
	s.Helper()
	e := s.end()
	e.joins(fmt.Sprintf(`{ ...%s, role: "Support", supportUserName: "Vika" }`, visitor.participant()))
	for _, one := range []end{visitor, e} {
		one.until("connected", `chat.state === "connected"`)
	}
	return e
}

// also is another device of the same participant.
func (s *site) also(other end) end {
	s.Helper()
	e := s.end()
	e.joins(other.participant())
	return e
}

// TestClientReceipts: how far a message has come, and what is unread, is the same on
// all devices, and stays so.
func TestClientReceipts(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visits()
	visitor.run(`chat.send("one")`)
	visitor.until("one is sent", `chat.receipts.of(chat.messages[0]) === "sent"`)
	agent := s.answers(visitor)
	visitor.until("one is delivered", `chat.receipts.of(chat.messages[0]) === "delivered"`)
	agent.until("one is unread", `chat.receipts.unread === 1`)
	phone := s.also(agent)
	phone.until("one is unread there too", `chat.receipts.unread === 1`)
	phone.run(`chat.receipts.read()`)
	for _, one := range []end{agent, phone} {
		one.until("it is read on both devices", `chat.receipts.unread === 0`)
	}
	visitor.until("one is read", `chat.receipts.of(chat.messages[0]) === "read"`)

	// Read, and the page is left at once.
	visitor.run(`chat.send("two")`)
	agent.until("two is unread", `chat.receipts.unread === 1`)
	left := agent.participant()
	agent.run(`(chat.receipts.read(), chat.close())`)
	visitor.until("two is read", `chat.receipts.of(chat.messages[1]) === "read"`)
	phone.until("two is read there too", `chat.receipts.unread === 0`)

	// Who comes later knows all of it.
	agent.joins(left)
	agent.until("nothing is unread", `chat.messages.length === 2 && chat.receipts.unread === 0`)
	visitor.reload()
	visitor.imports(s)
	visitor.joins(phone.asVisitor())
	visitor.until("both are read after a reload", `chat.messages.length === 2 && chat.messages.every((one) => chat.receipts.of(one) === "read")`)

	// Nor does a new version of the server forget.
	s.restart()
	for _, one := range []end{visitor, agent, phone} {
		one.until("connected again", `chat.state === "connected"`)
	}
	visitor.run(`chat.send("three")`)
	visitor.until("three is delivered", `chat.receipts.of(chat.messages[2]) === "delivered"`)
	visitor.until("the others are read still", `chat.messages.slice(0, 2).every((one) => chat.receipts.of(one) === "read")`)
	agent.until("three alone is unread", `chat.receipts.unread === 1`)
}

// asVisitor is the participant of the other side.
func (e end) asVisitor() string {
	e.Helper()
	return get[string](e.window, `JSON.stringify({ ...chat.participant, role: "User" })`)
}

// types lets an end go on typing; what it has written is the text.
func (e end) types(text string) {
	e.Helper()
	e.run(fmt.Sprintf(`(window.typist = setInterval(() => chat.typing.key(%q), 100))`, text))
}

func (e end) pauses() {
	e.Helper()
	e.run(`clearInterval(typist)`)
}

// TestClientTyping: the other side's typing comes and goes.
func TestClientTyping(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visits()
	agent := s.answers(visitor)
	for _, ends := range [][2]end{{visitor, agent}, {agent, visitor}} {
		writes, sees := ends[0], ends[1]
		writes.types("H")
		sees.until("it is seen", `chat.typing.other.typing && chat.typing.other.text === ""`)
		writes.pauses()
		writes.run(`chat.typing.key("")`)
		sees.until("an empty field ends it", `!chat.typing.other.typing`)
		writes.types("He")
		sees.until("it is seen again", `chat.typing.other.typing`)
		writes.pauses()
		writes.run(`chat.typing.stop()`)
		sees.until("leaving the field ends it", `!chat.typing.other.typing`)
		writes.types("Hello")
		sees.until("it is seen once more", `chat.typing.other.typing`)
		writes.pauses()
		writes.run(`chat.send("Hello")`)
		sees.until("the message ends it", `!chat.typing.other.typing && chat.messages.at(-1).content === "Hello"`)
	}
	visitor.types("Bye")
	agent.until("it is seen", `chat.typing.other.typing`)
	visitor.run(`chat.close()`)
	agent.until("a tab that is closed ends it", `!chat.typing.other.typing`)
}

// TestClientPresence: an end that is hidden is away; one that has gone is offline.
func TestClientPresence(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visits()
	agent := s.answers(visitor)
	for _, one := range []end{visitor, agent} {
		one.until("the other one is online", `chat.presence.other === "online"`)
	}
	hide := func(e end, yes bool) {
		e.run(fmt.Sprintf(`(Object.defineProperty(document, "visibilityState", { configurable: true, value: %t ? "hidden" : "visible" }), document.dispatchEvent(new Event("visibilitychange")))`, yes))
	}
	hide(agent, true)
	visitor.until("away", `chat.presence.other === "away"`)
	phone := s.also(agent)
	visitor.until("online by another device", `chat.presence.other === "online"`)
	phone.run(`chat.close()`)
	visitor.until("away again", `chat.presence.other === "away"`)
	left := agent.participant()
	agent.run(`chat.close()`)
	visitor.until("offline", `chat.presence.other === "offline"`)
	hide(agent, false)
	agent.joins(left)
	visitor.until("back", `chat.presence.other === "online"`)
}

// TestClientQueue: who waits knows their place.
func TestClientQueue(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	first := s.visits()
	first.until("next", `chat.queue?.position === 1 && chat.queue.estimate === null`)
	second := s.visits()
	second.until("behind", `chat.queue?.position === 2 && chat.queue.waiting === 2`)
	s.answers(first)
	first.until("no place any more", `chat.queue === null`)
	second.until("next", `chat.queue?.position === 1 && chat.queue.waiting === 1`)
}

// TestClientRegistration: what is to be known of a visitor comes to the agents who ask
// for it.
func TestClientRegistration(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.end()
	visitor.run(`register({ team: "billing", details: { page: "https://shop.example/cart" } }).then(join)`)
	visitor.until("waiting", `chat.state === "waiting"`)
	visitor.run(fmt.Sprintf(`new Promise((resolve) => {
		const lobby = new WebSocket(%q);
		lobby.onopen = () => lobby.send(JSON.stringify({ type: "Load", args: { features: ["details"] } }));
		lobby.onmessage = ({ data }) => {
			if (data === "ping") return;
			window.waits = JSON.parse(data);
			lobby.close();
			resolve();
		};
	})`, strings.Replace(s.lobby, "http", "ws", 1)+"users"))
	visitor.until("the agent knows", `waits.team === "billing" && waits.details.page === "https://shop.example/cart"`)
}

// TestClientEnd: either side ends a chat for both, and the visitor can still rate it.
func TestClientEnd(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor := s.visits()
	agent := s.answers(visitor)
	agent.run(`chat.send("Goodbye")`)
	visitor.until("goodbye", `chat.messages.length === 1`)
	agent.run(`chat.end()`)
	for _, one := range []end{visitor, agent} {
		one.until("ended", `chat.state === "ended" && chat.ended.from === "Support" && chat.ended.timestamp !== ""`)
	}
	visitor.run(`(chat.receipts.read(), chat.rate(4, "Quick"))`)
	agent.until("it is read and rated", `chat.receipts.of(chat.messages[0]) === "read" && chat.rating?.score === 4 && chat.rating.comment === "Quick"`)
	visitor.run(`chat.rate(5)`)
	agent.until("the last rating counts", `chat.rating.score === 5 && !chat.rating.comment`)

	// Who comes now finds it so.
	visitor.reload()
	visitor.imports(s)
	visitor.joins(agent.asVisitor())
	visitor.until("ended", `chat.state === "ended" && chat.ended.from === "Support" && chat.rating.score === 5 && chat.messages.length === 1`)

	waiting := s.visits()
	waiting.run(`chat.end()`)
	waiting.until("ended by themselves", `chat.state === "ended" && chat.ended.from === "User"`)
}

// TestClientPreview: an agent sees what is being written where the site wants it.
func TestClientPreview(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.TypingPreview = true })
	visitor := s.visits()
	agent := s.answers(visitor)
	visitor.run(`(chat.typing.preview = true)`)
	visitor.types("Hello")
	agent.until("Hello is seen", `chat.typing.other.text === "Hello"`)
	visitor.pauses()
	visitor.run(`chat.send("Hello")`)
	agent.until("it is over", `!chat.typing.other.typing && chat.typing.other.text === ""`)
}
