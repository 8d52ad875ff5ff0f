package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// works opens the console of an agent with a token; role may be "supervisor".
func (s *site) works(as look, sub, name, role string, teams ...string) *window {
	s.Helper()
	token, err := web.Token{Subject: sub, Name: name, Role: role, Teams: teams}.Sign(agentSecret, time.Hour)
	if err != nil {
		s.Fatal(err)
	}
	w := newWindow(s.T, as)
	w.visit(s.lobby)
	w.showsToken(token)
	w.until("online", `$(".lobby")?.dataset.state === "ready" && shown($("#own-status"))`)
	return w
}

func tokens(cfg *backend.Config) { cfg.AgentSecret = agentSecret }

// settings is the path of a file with them.
func settings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// transfers gives the selected conversation to a target of the dialog, by the keyboard.
func (w *window) transfers(to, note string) {
	w.Helper()
	w.until("it can be transferred", `shown($("#transfer"))`)
	w.press("t", kb.ModifierAlt)
	w.until("asked for whom", `$(".transfer[open]") && document.activeElement.value === "queue"`)
	at := fmt.Sprintf(`$$(".targets input").findIndex(({ dataset }) => dataset.name.startsWith(%q))`, to)
	w.until(to+" is in the list", at+` >= 0`)
	for range get[int](w, at) {
		w.press(kb.ArrowDown)
	}
	if note != "" {
		w.press(kb.Tab)
		w.write(note)
		w.press(kb.Enter, kb.ModifierCtrl)
	} else {
		w.press(kb.Enter)
	}
	w.hides(".transfer[open]")
}

// considers an offer for a moment.
func (w *window) considers() {
	w.Helper()
	w.until("a second has gone by", `/^0:(1[0-8]|0\d) /.test($(".offers .left").textContent)`)
}

// TestWidgetHandedOver: a visitor is told that the agent has handed over or was lost,
// the place in the queue, and who comes.
func TestWidgetHandedOver(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.SupportGrace = 2 * time.Second })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	vika := s.takenFrom(visitor)
	vika.run(`chat.send("from Vika")`)
	visitor.conversation("one", "from Vika")
	vika.run(`chat.transfer({ to: "queue" })`)
	visitor.shows(".status", "Vika has transferred your chat. Another agent will be with you soon. You are number 1 in line.")
	visitor.until("waiting", `$(".livesupport").dataset.state === "waiting" && !shown($(".presence"))`)
	visitor.accessible("handed over")
	visitor.shot("widget-handed-over")
	visitor.says("still here")
	visitor.reload()
	visitor.shows(".status", "Vika has transferred your chat.")

	dodo := s.takes(visitor, "Dodo")
	visitor.shows(".status", "You’re chatting with Dodo")
	visitor.shows(".presence", "Dodo is online")
	dodo.run(`chat.send("from Dodo")`)
	names := `$$(".message.first .who > span").map((one) => one.textContent).join()`
	visitor.conversation("one", "from Vika", "still here", "from Dodo")
	visitor.until("each message has its agent's name", names+` === "You,Vika,You,Dodo"`)
	visitor.reload()
	visitor.until("also after a reload", names+` === "You,Vika,You,Dodo"`)

	// Dodo's machine is gone.
	dodo.visit("about:blank")
	visitor.shows(".status", "The connection to Dodo was lost. Another agent will be with you soon.")
	visitor.accessible("agent lost")
	visitor.shot("widget-agent-lost")
	s.takes(visitor, "Lulu")
	visitor.shows(".status", "You’re chatting with Lulu")
	visitor.click(".line .link")
	visitor.click(".question .primary")
	visitor.shows(".status", "You ended this chat.")
	visitor.shows(".rating", "How was this chat?")
}

// TestWidgetHandedOverInArabic is the same on a phone, in the dark, from right to left.
func TestWidgetHandedOverInArabic(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := phone
	as.dark, as.language = true, "ar"
	visitor := newWindow(t, as)
	visitor.visit(s.pages(map[string]string{"/": s.line(`data-language="ar"`)}))
	visitor.click(".launcher")
	visitor.fill("#name", "ليلى")
	visitor.fill("#first", "متى يصل طلبي؟")
	visitor.click(".start .primary")
	vika := s.takenFrom(visitor)
	vika.run(`chat.transfer({ to: "queue" })`)
	visitor.shows(".status", "إلى موظف آخر")
	visitor.accessible("handed over, in Arabic")
	visitor.shot("widget-handed-over-arabic")
}

// TestOffer: a conversation is given to a colleague, who accepts by Enter; the next
// one is declined by Escape.
func TestOffer(t *testing.T) {
	t.Parallel()
	s := startSite(t, tokens)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	vika, dodo := s.works(desktop, "vika", "Vika", ""), s.works(desktop, "dodo", "Dodo", "")
	vika.takes("Nika")
	vika.says("from Vika")
	visitor.conversation("one", "from Vika")
	vika.transfers("Dodo", "She has paid twice.")
	vika.shows(".notice", "You transferred the chat with Nika to Dodo.")
	vika.until("it is gone, and the keyboard is somewhere", `$$(".tab").length === 0 && document.activeElement === $(".waiting")`)
	dodo.shows(".offers .name", "Nika")
	dodo.shows(".offers .from", "From Vika")
	dodo.shows(".offers .handed", "She has paid twice.")
	dodo.until("the time runs", `/^0:(1\d|20) left to accept$/.test($(".offers .left").textContent)`)
	dodo.until("the focus is there, and it has been said", `document.activeElement === $(".offers .primary") && $("body > .unseen[role=status]").textContent === "Vika wants to give you the chat with Nika."`)
	dodo.until("the title counts it", `document.title.startsWith("(1) ")`)
	dodo.accessible("an offer")
	dodo.shot("agent-offer")
	vika.shows(".waiting .empty", "No one is waiting.")
	visitor.shows(".status", "Vika has transferred your chat.")
	dodo.considers()
	dodo.press(kb.Enter)
	dodo.connected()
	dodo.shows(".team-note .whose", "Note by Vika")
	dodo.shows(".team-note .text", "She has paid twice.")
	visitor.shows(".status", "You’re chatting with Dodo")
	dodo.until("Vika's message is not Dodo's", `$$(".message.first .who > span").map((one) => one.textContent).join() === "Nika,Vika"`)
	dodo.says("from Dodo")
	visitor.conversation("one", "from Vika", "from Dodo")
	dodo.hides(".offered")

	// Whoever writes keeps the focus; Alt+O leads to the offer, Escape declines it.
	vika.until("nobody else is offered", `$$(".offers li").length === 0`)
	dodo.transfers("Vika", "")
	vika.shows(".offers .name", "Nika")
	vika.press("o", kb.ModifierAlt)
	vika.until("at the offer", `document.activeElement === $(".offers .primary")`)
	vika.considers()
	vika.press(kb.Escape)
	vika.hides(".offered")
	vika.shows(".queue .name", "Nika") // it waits for all
	dodo.shows(".queue .name", "Nika")
	visitor.shows(".status", "Dodo has transferred your chat.")
}

// TestTransferWhileColleaguesComeAndGo: while an agent chooses, the list follows those who come and
// go, and nobody in it moves under the pointer.
func TestTransferWhileColleaguesComeAndGo(t *testing.T) {
	t.Parallel()
	s := startSite(t, tokens)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	vika, lulu := s.works(desktop, "vika", "Vika", ""), s.works(desktop, "lulu", "Lulu", "")
	vika.takes("Nika")
	vika.until("it can be transferred", `shown($("#transfer"))`)
	vika.press("t", kb.ModifierAlt)
	list := func(want string) {
		t.Helper()
		vika.until("the list is "+want, fmt.Sprintf(`$$(".targets label").map((one) => one.innerText.trim().replace(/\s+/g, " ")).join() === %q`, want))
	}
	const queue = "The queue The next free agent"
	list(queue + ",Lulu Online, 0 chats")
	vika.press(kb.ArrowDown)
	chosen := `$(".targets :checked").dataset.name === "Lulu" && document.activeElement === $(".targets :checked")`
	vika.until("Lulu is chosen", chosen)

	dodo := s.works(desktop, "dodo", "Dodo", "")
	list(queue + ",Lulu Online, 0 chats,Dodo Online, 0 chats")
	lulu.visit("about:blank")
	list(queue + ",Lulu Offline,Dodo Online, 0 chats")
	vika.until("Lulu is still chosen", chosen)
	vika.accessible("a colleague has gone")
	vika.shot("agent-transfer-offline")
	vika.press(kb.Enter)
	vika.shows(".transfer[open] [role=alert]", "Lulu")
	vika.press(kb.ArrowDown)
	vika.press(kb.Enter)
	vika.hides(".transfer[open]")
	dodo.shows(".offers .name", "Nika")
}

// TestAgentComesBack: an agent whose connection was lost for too long gets the chat back, unless
// somebody else has taken the visitor meanwhile.
func TestAgentComesBack(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.SupportGrace = 2 * time.Second })
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	vika, dodo := s.agent(desktop, "Vika"), s.agent(desktop, "Dodo")
	vika.takes("Nika")
	vika.says("two")
	lost := func() {
		t.Helper()
		vika.offline(true)
		visitor.shows(".status", "The connection to Vika was lost. Another agent will be with you soon.")
		dodo.shows(".queue .name", "Nika")
	}
	lost()
	visitor.says("three")
	vika.offline(false)
	visitor.shows(".status", "You’re chatting with Vika")
	vika.conversation("one", "two", "three")
	vika.says("four")
	dodo.shows(".waiting .empty", "No one is waiting.")
	lost()
	dodo.takes("Nika")
	vika.offline(false)
	vika.shows(".notice", "Another agent has just taken the chat with Nika.")
	vika.shows(".talk .state", "Taken by another agent")
	vika.hides("#message")
	dodo.says("five")
	visitor.conversation("one", "two", "three", "four", "five")
}

// TestAssigned: an agent who is writing keeps the focus when an offer comes. An agent who is away
// gets no offers.
func TestAssigned(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret, cfg.Assign = agentSecret, "least_busy" })
	as := desktop
	as.script = loudness + `
		window.Notification = class {
			static permission = "granted";
			static made = [];
			constructor(title, { body }) { Notification.made.push(title + ": " + body); }
			close() {}
		};
		Document.prototype.hasFocus = () => false;`
	vika := s.works(as, "vika", "Vika", "")
	first, second := s.visitor(phone), s.visitor(phone)
	first.asks("Nika", "one")
	vika.shows(".offers .name", "Nika")
	vika.until("heard, and told", `starts.length > 0 && Notification.made.join() === "A visitor for you: Nika is waiting."`)
	vika.until("the focus is there", `document.activeElement === $(".offers .primary")`)
	vika.press(kb.Enter) // which was meant for something else, so soon
	vika.considers()
	vika.shows(".offers .name", "Nika")
	vika.press(kb.Enter)
	vika.connected()
	vika.click("#message")
	vika.write("half a sen")
	second.asks("Dodo", "two")
	vika.shows(".offers .name", "Dodo")
	vika.until("the focus is where the agent writes", `document.activeElement === $("#message")`)
	vika.press("tence")
	vika.press(kb.Enter)
	vika.conversation("one", "half a sentence")
	vika.press("n", kb.ModifierAlt) // takes the next one: what is offered
	vika.shows(".with h2", "Dodo")
	second.shows(".status", "You’re chatting with Vika")

	// Who is away is offered nobody.
	get[any](vika, `(($("#own-status").value = "away"), $("#own-status").dispatchEvent(new Event("change")), true)`)
	vika.until("away", `$(".own .there").dataset.status === "away"`)
	third := s.visitor(phone)
	third.asks("Ana", "three")
	vika.shows(".queue .name", "Ana")
	vika.hides(".offered")
	vika.reload()
	vika.until("still away", `$("#own-status")?.value === "away"`)
}

// TestTeamAtWork: three agents and four visitors. Each visitor has one agent at any time, also when
// one of the agents is gone.
func TestTeamAtWork(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) {
		cfg.AgentSecret, cfg.Assign, cfg.SupportGrace = agentSecret, "round_robin", 2*time.Second
	})
	agents := []*window{s.works(desktop, "vika", "Vika", ""), s.works(desktop, "dodo", "Dodo", ""), s.works(phone, "lulu", "Lulu", "")}
	var visitors []end
	for range 4 {
		visitors = append(visitors, s.visits())
	}
	// accept lets agents accept offers until every visitor has an agent.
	accept := func(agents ...*window) {
		t.Helper()
		for start := time.Now(); ; pause(start) {
			served := 0
			for _, one := range visitors {
				if get[bool](one.window, `chat.state === "connected" && chat.presence.other === "online"`) {
					served++
				}
			}
			if served == len(visitors) {
				return
			}
			if time.Since(start) > patience {
				t.Fatalf("%d of %d visitors have an agent", served, len(visitors))
			}
			for _, one := range agents {
				get[any](one, `($(".offers .primary")?.click(), shown($(".back")) && $(".back").click(), true)`)
			}
		}
	}
	accept(agents...)
	count := func(agents ...*window) (sum int) {
		t.Helper()
		for _, one := range agents {
			one.until("all are connected", `$$(".tab").every(({ dataset }) => dataset.state === "connected") && $$(".offers li, .queue li").length === 0`)
			sum += get[int](one, `$$(".tab").length`)
		}
		return sum
	}
	if all := count(agents...); all != len(visitors) {
		t.Errorf("the agents have %d conversations", all)
	}
	agents[0].visit("about:blank")
	for _, one := range visitors {
		one.until("not Vika's any more", `chat.participant.supportUserName !== "Vika" || chat.left`)
	}
	accept(agents[1:]...)
	if all := count(agents[1:]...); all != len(visitors) {
		t.Errorf("the agents that are left have %d conversations", all)
	}
	agents[1].until("the loads are right", `Number.parseInt($(".colleagues .load").textContent) + $$(".tab").length === 4`)
}

// TestColleagues: the console shows who else works, with status, load and limit.
func TestColleagues(t *testing.T) {
	t.Parallel()
	s := startSite(t, tokens)
	vika, dodo := s.works(desktop, "vika", "Vika", ""), s.works(phone, "dodo", "Dodo", "")
	visitor := s.visits()
	sees := func(status, load string) {
		t.Helper()
		vika.until("Dodo is "+status+" with "+load, fmt.Sprintf(`$$(".colleagues li").length === 1 && $(".colleagues .name").textContent === "Dodo"
			&& $(".colleagues .there").getAttribute("aria-label") === %q && $(".colleagues .load").textContent === %q`, status, load))
	}
	sees("Online", "0 chats")
	visitor.run(`chat.send("one")`)
	dodo.takes("Nika")
	sees("Online", "1 chat")
	dodo.click(".me")
	dodo.shows("dialog[open]", "Maximum number of chats at once")
	dodo.accessible("a limit")
	dodo.click("#limit")
	dodo.press("a", kb.ModifierCtrl)
	dodo.press("4")
	dodo.press(kb.Enter)
	sees("Online", "1 of 4 chats")
	get[any](dodo, `(($("#own-status").value = "away"), $("#own-status").dispatchEvent(new Event("change")), true)`)
	sees("Away", "1 of 4 chats")
	vika.accessible("colleagues")

	// It is one status on all of an agent's machines.
	also := s.works(desktop, "dodo", "Dodo", "")
	also.until("away there, too", `$("#own-status").value === "away"`)
	also.shows(".elsewhere", "1 more of your conversations is open on another device.")
	get[any](also, `(($("#own-status").value = "online"), $("#own-status").dispatchEvent(new Event("change")), true)`)
	sees("Online", "1 of 4 chats")
	dodo.until("online here, too", `$("#own-status").value === "online"`)
	also.visit("about:blank")
	dodo.visit("about:blank")
	vika.until("gone", `$$(".colleagues li").length === 0`)
	vika.shows(".alone", "No one else is here.")
}

// TestNotes: a note cannot be mistaken for a message, and never reaches the visitor.
func TestNotes(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = `window.frames_ = [];` + tapped + `tap.hears = (socket, event, handle) => { frames_.push(event.data); handle(event); };`
	visitor := s.visitor(as)
	visitor.asks("Nika", "one")
	agent := s.agent(desktop, "Vika")
	agent.takes("Nika")
	agent.click("#message")
	agent.write("half a sen")
	agent.press("i", kb.ModifierAlt)
	agent.until("a note, and nothing of the message", `document.activeElement === $("#note") && $("#note").value === "" && !shown($("#message"))`)
	agent.write("canary: pays late")
	agent.accessible("writing a note")
	agent.shot("agent-note")
	agent.press(kb.Enter)
	agent.shows(".team-note .text", "canary: pays late")
	agent.until("the next one is a note, too", `shown($("#note")) && $("#note").value === ""`)
	agent.write("half a note")
	agent.press("i", kb.ModifierAlt)
	agent.until("the message is as it was", `document.activeElement === $("#message") && $("#message").value === "half a sen"`)
	agent.press(kb.End)
	agent.write("tence")
	agent.press(kb.Enter)
	agent.conversation("one", "half a sentence")
	agent.until("the note stands where it was written", `[...$$(".messages > ol > li:not(.day)")].map((one) => one.className.split(" ")[0]).join() === "message,team-note,message"`)
	agent.reload()
	agent.connected()
	agent.shows(".team-note .text", "canary: pays late")
	agent.until("it stands there after a reload, too", `[...$$(".messages > ol > li:not(.day)")].map((one) => one.className.split(" ")[0]).join() === "message,team-note,message"`)
	agent.click(".as-note")
	agent.until("and the half note is kept", `$("#note").value === "half a note"`)
	agent.accessible("notes")

	// Without a connection it is kept once there is one, once.
	agent.offline(true)
	agent.shows(".state", "Offline")
	agent.until("nothing is sent", `$$(".team-note").length === 1`)
	agent.click("#note")
	agent.press(kb.Enter)
	agent.offline(false)
	agent.connected()
	agent.shows(".team-note .text", "half a note")
	agent.until("once", `$$(".team-note").length === 2 && $("#note").value === ""`)
	visitor.conversation("one", "half a sentence")
	if all := get[string](visitor, `frames_.join("\n") + document.documentElement.outerHTML + root.innerHTML`); strings.Contains(all, "canary") || strings.Contains(all, "half a note") {
		t.Error("the visitor's page has a note")
	}
}

// TestTeams: one visitor asks for a team, and another one is given to it.
func TestTeams(t *testing.T) {
	t.Parallel()
	file := settings(t, `{"teams":[{"id":"billing","name":"Billing & refunds"},{"id":"sales","name":"Sales"}]}`)
	s := startSite(t, func(cfg *backend.Config) { cfg.AgentSecret, cfg.Settings = agentSecret, file })
	vika, dodo, lulu := s.works(desktop, "vika", "Vika", ""), s.works(desktop, "dodo", "Dodo", "", "billing"), s.works(desktop, "lulu", "Lulu", "", "sales")
	visitor := s.end()
	visitor.run(`register({ team: "sales", details: { page: "https://shop.example/a%20b?x=1", fields: { "Order number": "1042" } } }).then(join)`)
	visitor.run(`chat.send("Where is my invoice?")`)
	lulu.shows(".queue .team-of", "Sales")
	lulu.shows(".queue .opening", "Where is my invoice?")
	lulu.until("the page they are on", `$(".queue .page-of a").textContent === "shop.example/a%20b" && $(".queue .page-of a").href === "https://shop.example/a%20b?x=1"`)
	lulu.click(".queue summary")
	lulu.shows(".queue dd", "1042")
	lulu.accessible("details")
	visitor.run(`chat.send("Hello?")`)
	lulu.shows(".queue .opening", "Hello?")
	lulu.until("the details stay open", `shown($(".queue dd"))`)
	vika.takes("Nika")
	vika.shows(".talk .page-of", "shop.example/a%20b")
	vika.transfers("Billing", "")
	vika.shows(".notice", "You transferred the chat with Nika to Billing & refunds.")
	dodo.shows(".queue .team-of", "Billing & refunds")
	lulu.until("nobody waits for another team", `$$(".queue li").length === 0`)
	dodo.takes("Nika")
	visitor.until("Dodo has them", `chat.participant.supportUserName === "Dodo"`)
	lulu.until("still nobody", `$$(".queue li").length === 0`)
}

// TestQuickReplies: a slash finds canned replies, the agent's own and those of the site.
func TestQuickReplies(t *testing.T) {
	t.Parallel()
	file := settings(t, `{"replies":[{"shortcut":"ship","text":"It left us on Monday, {username}."}]}`)
	s := startSite(t, func(cfg *backend.Config) { cfg.Settings = file })
	visitor, agent := s.visits(), s.agent(desktop, "Vika")
	visitor.run(`chat.send("one")`)
	get[any](agent, `(localStorage.setItem("livesupport-agent replies", JSON.stringify(["/hi Hello {username}, this is {agent}.", "/bye Goodbye.", "Have a nice day."])), true)`)
	agent.takes("Nika")
	offered := func(texts ...string) {
		t.Helper()
		agent.until(fmt.Sprintf("offered are %q", texts), fmt.Sprintf(`$$(".quick > li").map((one) => one.querySelector("span").textContent).join("|") === %q`, strings.Join(texts, "|")))
	}
	agent.click("#message")
	agent.press("/")
	offered("Hello {username}, this is {agent}.", "Goodbye.", "Have a nice day.", "It left us on Monday, {username}.")
	agent.accessible("quick replies")
	agent.shot("agent-quick-replies")
	agent.press("b")
	offered("Goodbye.")
	agent.press(kb.Backspace)
	agent.press(kb.ArrowDown)
	agent.until("the second", `$("#message").getAttribute("aria-activedescendant") === "quick-1" && $("#quick-1").getAttribute("aria-selected") === "true"`)
	agent.press(kb.ArrowUp)
	agent.press(kb.Enter)
	agent.until("filled in, and not sent", `$("#message").value === "Hello Nika, this is Vika." && !shown($(".quick"))`)
	agent.press(kb.Enter)
	agent.conversation("one", "Hello Nika, this is Vika.")

	// A slash that is part of a text, and one whose list the agent ignores.
	agent.write("see https://shop.example/bye and/or /nothing")
	agent.hides(".quick")
	agent.press(kb.Enter)
	agent.conversation("one", "Hello Nika, this is Vika.", "see https://shop.example/bye and/or /nothing")
	agent.press("/")
	agent.shows(".quick", "Goodbye.")
	agent.press(kb.Escape)
	agent.hides(".quick")
	agent.until("still in the field", `document.activeElement === $("#message")`)
	agent.press("by")
	agent.hides(".quick")
	agent.press(kb.Enter)
	agent.conversation("one", "Hello Nika, this is Vika.", "see https://shop.example/bye and/or /nothing", "/by")
	agent.write("/sh")
	offered("It left us on Monday, {username}.")
	agent.press(kb.Enter)
	agent.until("the site's, filled in", `$("#message").value === "It left us on Monday, Nika."`)
	agent.press("a", kb.ModifierCtrl)
	agent.write("OK. /ni")
	offered("Have a nice day.")
	agent.press(kb.Tab)
	agent.until("in its place", `$("#message").value === "OK. Have a nice day."`)
}

// TestSupervisor: a supervisor looks on unnoticed, writes a note, takes a chat over, and ends one.
// The agent's other machine has all conversations of the agent.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	s := startSite(t, tokens)
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	vika := s.works(desktop, "vika", "Vika", "")
	vika.takes("Nika")
	vika.click("#message")
	lulu := s.works(desktop, "lulu", "Lulu", "supervisor")
	lulu.click(".overview button[aria-label='Watch Vika’s chat with Nika']")
	lulu.shows(".looking", "You are watching. Neither Nika nor Vika can see you.")
	lulu.conversation("one")
	vika.says("from Vika")
	lulu.conversation("one", "from Vika")
	lulu.until("whose it is", `$$(".message.first .who > span").map((one) => one.textContent).join() === "Nika,Vika"`)
	lulu.until("only a note can be written", `shown($("#note")) && !shown($("#message")) && !shown($(".modes"))`)
	lulu.accessible("looking on")
	lulu.shot("agent-looks-on")
	lulu.fill("#note", "Be kind.")
	lulu.press(kb.Enter)
	vika.shows(".team-note .whose", "Note by Lulu")
	vika.until("Vika has the chat alone", `$(".state").dataset.state === "connected"`)
	visitor.shows(".presence", "Vika is online")
	visitor.conversation("one", "from Vika")

	lulu.click(".looking .primary")
	lulu.until("it is Lulu's", `$(".state").dataset.state === "connected" && !shown($(".looking")) && shown($(".modes"))`)
	vika.shows(".notice", "The chat with Nika was transferred to someone else.")
	vika.shows(".talk .state", "Transferred")
	vika.hides("#message")
	visitor.shows(".status", "You’re chatting with Lulu")
	lulu.press("m", kb.ModifierAlt)
	lulu.says("from Lulu")
	visitor.conversation("one", "from Vika", "from Lulu")

	// Lulu has it on every machine, also without what this browser remembers.
	second := s.works(desktop, "lulu", "Lulu", "supervisor")
	second.shows(".tab .name", "Nika")
	second.click(".tab")
	second.conversation("one", "from Vika", "from Lulu")
	second.says("from the other machine")
	lulu.conversation("one", "from Vika", "from Lulu", "from the other machine")

	// Another's chat is ended.
	other := s.visits()
	other.run(`chat.send("two")`)
	vika.takes("Nika")
	lulu.click(".overview button[aria-label='Watch Vika’s chat with Nika']")
	lulu.conversation("two")
	lulu.click(".looking button:not(.primary)")
	lulu.shows("dialog[open]", "It will end for Nika and Vika.")
	lulu.click("dialog[open] [value=end]")
	other.until("ended", `chat.state === "ended" && chat.ended.from === "Support"`)
	lulu.press("w", kb.ModifierAlt)
	lulu.until("left without a question", `$$(".tab.looks-on").length === 0 && !$("dialog[open]")`)
}

// TestTeamOnPhone has offers, transfer, notes and an observer on a narrow screen, in
// the dark, from right to left.
func TestTeamOnPhone(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := phone
	as.dark = true
	visitor := s.visits()
	visitor.run(`chat.send("one")`)
	dodo := s.agent(desktop, strings.Repeat("Dodo ", 12)+"D.")
	vika := newWindow(t, as)
	vika.visit(s.lobby + "?lang=ar")
	vika.signsIn("فيكا")
	fits := func(state string) {
		t.Helper()
		vika.until(state+" is not wider than the screen", `document.documentElement.scrollWidth <= innerWidth && $$(".bar > *, .tools > *, .views a, .strip, .offers li, .queue li, .colleagues li, .overview button, .talk, .talk > header, .looking, .composer, .modes, .team-note, dialog[open], dialog[open] button, .targets label").filter(shown).every((one) => {
			const { left, right } = one.getBoundingClientRect();
			return left >= -0.5 && right <= innerWidth + 0.5;
		})`)
		vika.accessible(state)
		vika.shot("team-phone-arabic-" + state)
	}
	dodo.takes("Nika")
	dodo.transfers("فيكا", strings.Repeat("Donaudampfschifffahrt ", 20))
	vika.shows(".offers .name", "Nika")
	fits("offer")
	vika.click(".offers .primary")
	vika.connected()
	vika.click(".as-note")
	vika.fill("#note", strings.Repeat("Donaudampfschifffahrt", 10))
	fits("note")

	// The list is behind the conversation, so what is offered stands above it.
	second := s.visits()
	dodo.takes("Nika")
	dodo.transfers("فيكا", "")
	vika.shows(".strip", "Nika")
	fits("strip")
	vika.click(".strip")
	vika.until("at the offer", `document.activeElement === $(".offers .primary")`)
	vika.click(".offers .choice button:first-child")
	vika.hides(".offered")
	second.run(`chat.end()`)
	vika.click(".tab")
	vika.click("#transfer")
	vika.shows(".transfer[open]", "Dodo")
	fits("transfer")
	vika.click(".transfer .choice .primary") // the queue
	vika.hides(".transfer[open]")
	dodo.takes("Nika")
	vika.click(".overview button")
	vika.shows(".looking", "أنت تتابع")
	fits("looking")
	vika.click(".back")
	fits("lists")
}

// TestManyAtOnce: with fifty visitors who wait and twenty conversations the page has time left.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.FrameRate, cfg.MessageRate = 0, 0 })
	as := desktop
	as.script = tapped
	agent, visitors := s.agent(as, "Vika"), s.end()
	come := func(count int) {
		visitors.run(fmt.Sprintf(`import(%q + "client.js").then(async ({ Chat, register }) => {
			window.all ??= [];
			for (let i = 0; i < %d; i++) {
				const chat = new Chat(%q, await register(%q, "Nika " + all.length, "", { details: { page: "https://shop.example/" + i, fields: { order: String(i) } } }));
				chat.open();
				chat.send("Hello, I am number " + all.length);
				all.push(chat);
			}
		})`, s.chat, count, s.chat, s.chat))
	}
	come(20)
	for taken := range 20 {
		agent.until("somebody waits", `$$(".queue li").length > 0`)
		agent.press("n", kb.ModifierAlt)
		agent.until("taken", fmt.Sprintf(`$$(".tab").length === %d && $(".state").dataset.state === "connected"`, taken+1))
	}
	come(50)
	agent.until("all are there", `$$(".tab").length === 20 && $$(".queue li").length === 50`)
	agent.accessible("many at once")
	agent.shot("agent-many")
	// Each of them writes once a second, as fast typists do, and the agent turns the pages.
	const seconds = 5
	before := agent.busy()
	visitors.run(fmt.Sprintf(`(async () => {
		for (let i = 0; i < %d; i++) {
			for (const chat of all) chat.send("message " + i);
			await new Promise((resolve) => setTimeout(resolve, 1000));
		}
	})()`, seconds))
	agent.press("j", kb.ModifierAlt)
	agent.press("k", kb.ModifierAlt)
	agent.until("all has come", fmt.Sprintf(`$$(".tab .last").every((one) => one.textContent.includes("message %d"))`, seconds-1))
	if each := (agent.busy() - before) / seconds; each > 500*time.Millisecond {
		t.Errorf("the page is busy for %s of each second", each)
	} else {
		t.Logf("the page is busy for %s of each second", each)
	}
}
