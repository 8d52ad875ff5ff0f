package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// keeps gives a site settings, and an archive for the messages that are left.
func keeps(t *testing.T, text string) func(*backend.Config) {
	t.Helper()
	file := settings(t, text)
	return func(cfg *backend.Config) {
		cfg.Settings = file
		cfg.ArchiveURL = "sqlite:" + filepath.Join(t.TempDir(), "archive.db")
	}
}

// closedUntil are hours that open once, in so many days.
func closedUntil(days int) string {
	return fmt.Sprintf(`{"zone":"UTC","openings":{%q:["10:00-14:00"]}}`, time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly))
}

// left is what the archive has of left messages, as a console gets it.
func (s *site) left() []map[string]any {
	s.Helper()
	response, err := http.Get(s.lobby + "api/v1/messages")
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Messages []map[string]any }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		s.Fatal(err)
	}
	return answer.Messages
}

// staffed waits until the site says that somebody is there; pages ask for that only once.
func (s *site) staffed() {
	s.Helper()
	there := func() bool {
		response, err := http.Get(s.chat + "status")
		if err != nil {
			s.Fatal(err)
		}
		defer response.Body.Close()
		var status struct{ Agents int }
		if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
			s.Fatal(err)
		}
		return status.Agents > 0
	}
	for start := time.Now(); !there(); pause(start) {
		if time.Since(start) > patience {
			s.Fatal("nobody is there")
		}
	}
}

// TestAwayWords: the texts of the four states, at several times of the day.
func TestAwayWords(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := s.visitor(desktop)
	const at = `new Date(2026, 10, 27, 18, 30)` // a Friday evening
	opens := func(date string) string { return `new Date(` + date + `).toISOString()` }
	for _, one := range []struct{ status, when, language, does, words string }{
		{`null`, "", "en", "chat", ""},
		{`null`, "hide", "en", "chat", ""},
		{`{ open: true, agents: 1, messages: true }`, "form", "en", "chat", ""},
		{`{ open: true, agents: 0, messages: true }`, "", "en", "chat or leave", "No agent is available right now. You can wait here for the next free agent, or leave us a message."},
		{`{ open: true, agents: 0, messages: true }`, "wait", "en", "chat or leave", "No agent is available right now. You can wait here for the next free agent, or leave us a message."},
		{`{ open: true, agents: 0, messages: true }`, "form", "en", "leave", "No agent is available right now. Leave us a message, and we’ll read it when we’re back."},
		{`{ open: true, agents: 0, messages: true }`, "hide", "en", "hide", "No agent is available right now. You can wait here for the next free agent, or leave us a message."},
		{`{ open: true, agents: 0, messages: false }`, "", "en", "chat", "No agent is available right now. You can wait here for the next free agent."},
		{`{ open: true, agents: 0, messages: false }`, "form", "en", "chat", "No agent is available right now. You can wait here for the next free agent."},
		{`{ open: true, agents: 0, messages: true, away: { en: "Back soon.", de: "Gleich zurück." } }`, "", "de-AT", "chat or leave", "Gleich zurück."},
		{`{ open: false, agents: 0, messages: true, opens: null }`, "", "en", "leave", "We’re closed right now. Leave us a message, and we’ll read it when we’re back."},
		{`{ open: false, agents: 2, messages: true, opens: ` + opens(`2026, 10, 27, 22`) + ` }`, "", "en", "leave", "We’re closed right now. We open today at 10:00 PM. Leave us a message, and we’ll read it when we’re back."},
		{`{ open: false, agents: 0, messages: true, opens: ` + opens(`2026, 10, 28, 0, 15`) + ` }`, "", "en", "leave", "We’re closed right now. We open tomorrow at 12:15 AM. Leave us a message, and we’ll read it when we’re back."},
		{`{ open: false, agents: 0, messages: true, away: { en: "Good night." }, opens: ` + opens(`2026, 10, 30, 9`) + ` }`, "", "xx", "leave", "Good night. We open on Monday at 9:00 AM."},
		{`{ open: false, agents: 0, messages: true, opens: ` + opens(`2027, 0, 4, 9`) + ` }`, "wait", "en", "chat or leave", "We’re closed right now. We open on Monday, January 4 at 9:00 AM. Leave us a message, and we’ll read it when we’re back."},
		{`{ open: false, agents: 0, messages: false, opens: ` + opens(`2026, 10, 30, 9`) + ` }`, "", "en", "", "We’re closed right now. We open on Monday at 9:00 AM."},
	} {
		got := get[[]string](w, fmt.Sprintf(`(async () => {
			const base = performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/visitor.js")).name;
			const { speak } = await import(new URL("strings.js", base));
			const { planFor } = await import(new URL("away.js", base));
			const status = %s;
			const state = !status ? "" : !status.open ? "closed" : status.agents ? "open" : "nobody";
			const plan = planFor(speak("en").t, { status, state }, %q, %q, "en", %s.getTime());
			const does = [plan.waits && "chat", plan.leaves && "leave"].filter(Boolean);
			return [plan.hides ? "hide" : (plan.leavesFirst ? does.reverse() : does).join(" or "), plan.words.replaceAll("\u202f", " ")];
		})()`, one.status, one.when, one.language, at))
		if got[0] != one.does || got[1] != one.words {
			t.Errorf("%s %q %s: %q, want %q", one.status, one.when, one.language, got, []string{one.does, one.words})
		}
	}
}

// TestLeaveMessage: at night a visitor learns when somebody will be there, and leaves a message.
// Nothing of it is lost while the server cannot take it.
func TestLeaveMessage(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, `{"hours":`+closedUntil(3)+`}`))
	var broken atomic.Bool
	to, err := url.Parse(s.chat)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/messages" || !broken.Load() {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(429) // a browser notes a 5xx in its console
		_, _ = w.Write([]byte(`{"error":{"code":"rate_limited","message":""}}`))
	}))
	t.Cleanup(server.Close)
	broken.Store(true)
	visitor := newWindow(t, noting())
	visitor.visit(server.URL)
	visitor.click(".launcher")
	day := time.Now().UTC().AddDate(0, 0, 3).Format("Monday")
	visitor.shows(".greeting", "We’re closed right now. We open on "+day+" at ")
	visitor.until("the form leaves a message", `$(".start").dataset.does === "leave" && $(".start .primary").textContent === "Leave message" && !shown($(".other"))`)
	visitor.accessible("closed")
	visitor.shot("away-closed")
	visitor.click(".start .primary")
	visitor.shows("#name-problem", "Please enter your name or your email.")
	visitor.until("at the field", `root.activeElement === $("#name") && $("#name").getAttribute("aria-invalid") === "true"`)
	visitor.fill("#email", "nika")
	visitor.fill("#first", "My order 1042 has not come.")
	visitor.click(".start .primary")
	visitor.shows("#email-problem", "Please enter a complete email address")
	visitor.accessible("closed, with an error")
	visitor.shot("away-closed-wrong")
	visitor.fill("#email", "@example.com")
	visitor.click(".start .primary")
	visitor.shows("#problem", "Your message was not sent. Too many attempts.")
	visitor.until("all is there", `$("#first").value === "My order 1042 has not come." && $("#email").value === "nika@example.com"`)
	visitor.reload()
	visitor.until("also after a reload", `shown($(".start")) && $("#first").value === "My order 1042 has not come." && $("#email").value === "nika@example.com" && $(".start").dataset.does === "leave"`)
	broken.Store(false)
	visitor.click(".start .primary")
	visitor.shows(".thanks", "Thank you. We have your message and will reply to nika@example.com.")
	visitor.until("the focus is there", `root.activeElement === $(".thanks")`)
	visitor.accessible("left")
	visitor.shot("away-left")
	messages := s.left()
	if len(messages) != 1 || messages[0]["content"] != "My order 1042 has not come." || messages[0]["email"] != "nika@example.com" {
		t.Fatalf("left is %v", messages)
	}
	details, _ := messages[0]["details"].(map[string]any)
	if page, _ := details["page"].(string); !strings.HasPrefix(page, server.URL) || details["language"] != "en" {
		t.Errorf("the details are %v", details)
	}
	visitor.click(".thanks button")
	visitor.until("for another one", `$("#first").value === "" && $("#email").value === "nika@example.com" && shown($("#first"))`)
}

// TestAwayWaits: while the site is open and nobody is there, a visitor may wait or leave a message.
// What they have written is kept when they change their mind.
func TestAwayWaits(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, `{"away":{"en":"We are at lunch."}}`))
	visitor := s.visitor(phone)
	visitor.click(".launcher")
	visitor.shows(".greeting", "We are at lunch.")
	visitor.fill("#name", "Nika")
	visitor.fill("#first", "one")
	visitor.shot("away-nobody")
	visitor.accessible("nobody is there")
	visitor.click(".other")
	visitor.until("a message is to be left", `$(".start .primary").textContent === "Leave message" && root.activeElement === $("#email") && $("#first").value === "one"`)
	visitor.accessible("nobody is there, a message")
	visitor.shot("away-nobody-message")
	visitor.click(".other")
	visitor.until("back", `$(".start .primary").textContent === "Start chat" && !shown($("#email"))`)
	visitor.click(".start .primary")
	visitor.shows(".bubble", "one")
	visitor.shows(".status", "No agent is available at the moment.")

	agent := s.agent(desktop, "Vika")
	s.staffed()
	second := s.visitor(desktop)
	second.click(".launcher")
	second.shows(".greeting", "Hi! How can we help?")
	second.hides(".other")
	agent.shows(".queue .name", "Nika")
}

// TestWhenAway tries each value of data-when-away.
func TestWhenAway(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, `{"hours":`+closedUntil(1)+`}`))
	for when, does := range map[string]string{"wait": "chat", "form": "leave", "rubbish": "leave"} {
		w := newWindow(t, desktop)
		w.visit(s.pages(map[string]string{"/": s.line(`data-when-away="` + when + `"`)}))
		w.click(".launcher")
		w.until(when, fmt.Sprintf(`$(".start").dataset.does === %q && shown($(".other")) === %t`, does, when == "wait"))
	}
	w := newWindow(t, desktop)
	w.visit(s.pages(map[string]string{"/": s.line(`data-when-away="hide"`)}))
	w.until("there is no button", `Boolean($(".launcher")) && !shown($(".launcher")) && performance.getEntriesByType("resource").some(({ name, responseEnd }) => name.endsWith("/status") && responseEnd > 0)`)
	if get[bool](w, `shown($(".launcher"))`) {
		t.Error("the button is there")
	}

	open := startSite(t, nil)
	open.agent(desktop, "Vika")
	open.staffed()
	w = newWindow(t, desktop)
	w.visit(open.pages(map[string]string{"/": open.line(`data-when-away="hide"`)}))
	w.until("the button is there", `shown($(".launcher"))`)
}

// asking has settings with every kind of question, and a consent.
const asking = `{"form":[
	{"id":"email","label":{"en":"Email","de":"E-Mail"},"kind":"email"},
	{"id":"topic","label":{"en":"What is it about?"},"kind":"select","required":true,"options":["Order","Delivery"]},
	{"id":"order","label":{"en":"Order number"},"required":true},
	{"id":"customer","label":{"en":"I am a customer"},"kind":"checkbox"}],
	"consent":{"text":{"en":"I agree that this is kept."},"link":"https://example.com/privacy"}}`

// TestQuestions: a visitor answers what the site asks before a chat, and the agent
// sees it.
func TestQuestions(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, asking))
	agent := s.agent(desktop, "Vika")
	visitor := s.visitor(phone)
	visitor.click(".launcher")
	visitor.until("it asks", `$$(".questions > div").length === 4 && shown($("#consent"))`)
	visitor.until("and says what is optional", `$$(".questions label > span").map((one) => one.textContent).join() === "Email (optional),What is it about?,Order number,I am a customer (optional)"`)
	visitor.accessible("questions")
	visitor.fill("#name", "Nika")
	visitor.fill("#question-0", "nika")
	visitor.fill("#first", "Where is it?")
	visitor.click(".start .primary")
	visitor.until("each field says what is wrong", `["#question-0", "#question-1", "#question-2", "#consent"].every((id) => $(id).getAttribute("aria-invalid") === "true" && $(id + "-problem").textContent)`)
	visitor.until("the first of them has the focus", `root.activeElement === $("#question-0")`)
	visitor.accessible("questions, with errors")
	visitor.shot("questions-wrong")
	visitor.fill("#question-0", "@example.com")
	get[any](visitor, `($("#question-1").value = "Delivery", $("#question-1").dispatchEvent(new Event("input", { bubbles: true })))`)
	visitor.fill("#question-2", "1042")
	visitor.click("#question-3")
	visitor.reload()
	visitor.until("what is answered is kept", `$("#question-0")?.value === "nika@example.com" && $("#question-1").value === "Delivery" && $("#question-2").value === "1042" && $("#question-3").checked && !$("#consent").checked && $("#first").value === "Where is it?"`)
	visitor.click(".start .primary")
	visitor.shows("#consent-problem", "Please agree to this first.")
	visitor.click("#consent")
	visitor.click(".start .primary")
	visitor.shows(".bubble", "Where is it?")

	agent.shows(".queue .name", "Nika")
	agent.click(".queue summary")
	agent.until("the agent sees it", `$$(".queue dl > div").map((row) => [...row.children].map((one) => one.textContent).join(": ")).join("|") ===
		"Language: English|Email: nika@example.com|What is it about?: Delivery|Order number: 1042|I am a customer: Yes|Has agreed to your terms: Yes"`)
	agent.accessible("answers")
	agent.shot("agent-answers")
	agent.takes("Nika")
	agent.click(".talk .facts summary")
	agent.shows(".talk .facts", "1042")
}

// TestQuestionsInArabic is the same from right to left, in the dark.
func TestQuestionsInArabic(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, asking))
	as := phone
	as.dark, as.language = true, "ar"
	visitor := newWindow(t, as)
	visitor.visit(s.pages(map[string]string{"/": s.line(`data-language="ar"`)}))
	visitor.click(".launcher")
	visitor.until("it asks", `shown($("#consent"))`)
	visitor.click(".start .primary")
	visitor.until("something is wrong", `$$(".start [aria-invalid=true]").length > 3`)
	visitor.accessible("questions, in Arabic")
	visitor.shot("questions-arabic")
}

// TestMessages: what was left at night is in the console in the morning, by team, until somebody
// marks it as done.
func TestMessages(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, `{"teams":[{"id":"billing","name":"Billing"},{"id":"sales","name":"Sales"}]}`))
	for _, body := range []string{
		`{"name":"Nika","email":"nika@example.com","content":"<b>one</b>\nhttps://shop.example/","team":"billing","details":{"page":"https://shop.example/cart","language":"de","consent":true}}`,
		`{"name":"","email":"ana@example.com","content":"two","team":"sales"}`,
		`{"name":"Lulu","email":"","content":"three"}`,
	} {
		response, err := http.Post(s.chat+"messages", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: %d", body, response.StatusCode)
		}
	}
	agent := s.agent(desktop, "Vika")
	agent.until("three are open", `$("#inbox .count").textContent === "3" && $("#inbox").getAttribute("aria-label") === "Messages, 3 open"`)
	agent.click("#inbox")
	names := `$$(".left-messages .sender").map((one) => one.querySelector(".name").textContent || one.querySelector("a").textContent).join()`
	agent.until("newest first", names+` === "Lulu,ana@example.com,Nika"`)
	agent.until("nothing in it is HTML", `!$(".left-messages b") && $(".left-messages .content a").href === "https://shop.example/"`)
	agent.until("teams have their names", `$$(".left-messages .team-of").filter(shown).map((one) => one.textContent).join() === "Sales,Billing"`)
	agent.click(".left-messages summary")
	agent.shows(".left-messages .facts", "German")
	agent.shows(".left-messages .facts", "Has agreed to your terms")
	agent.accessible("messages")
	agent.shot("agent-messages")
	choose := func(team string) {
		t.Helper()
		get[any](agent, fmt.Sprintf(`(() => { const one = $(".which select"); one.value = %q; one.dispatchEvent(new Event("change")); })()`, team))
	}
	choose("billing")
	agent.until("of one team", names+` === "Nika"`)
	agent.click(".finish")
	agent.until("it is done, and the team has no other", names+` === "" && $("#inbox .count").textContent === "2" && shown($(".inbox .note"))`)
	agent.until("the focus stays in the dialog", `Boolean(document.activeElement.closest(".inbox"))`)
	agent.click(".which button:nth-child(2)")
	agent.until("among those that are done", names+` === "Nika" && !shown($(".finish"))`)
	choose("")
	agent.until("of all teams", names+` === "Nika"`)
	agent.press("\x1b")
	agent.reload()
	agent.until("for all agents", `$("#inbox .count").textContent === "2"`)

	small := newWindow(t, phone)
	small.visit(s.lobby)
	small.signsIn("Kiku")
	small.click("#inbox")
	small.until("on a phone", names+` === "Lulu,ana@example.com" && $(".inbox").scrollWidth <= $(".inbox").clientWidth`)
	small.accessible("messages, on a phone")
	small.shot("agent-messages-phone")
}

// TestStatusThatDoesNotCome: without an answer from /status a visitor can still chat.
func TestStatusThatDoesNotCome(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := noting()
	as.script += `const send = window.fetch;
		window.fetch = function fetch(url, options) { return String(url).endsWith("/status") ? new Promise(() => {}) : send(url, options); };
		window.fetch.toString = send.toString.bind(send);
		const source = Function.prototype.toString;
		Function.prototype.toString = function () { return this === window.fetch ? source.call(send) : source.call(this); };`
	w := newWindow(t, as)
	w.visit(s.chat)
	w.click(".launcher")
	w.shows(".greeting", "Hi! How can we help?")
	w.until("the form has the focus", `root.activeElement === $("#name")`)
	w.fill("#name", "Nika")
	w.fill("#first", "one")
	w.click(".start .primary")
	w.shows(".bubble", "one")
}
