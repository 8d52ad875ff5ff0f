package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
)

const names = `$$(".found .name").map((one) => one.firstChild.textContent).join()`

// searches writes into the field of the search.
func (w *window) searches(text string) {
	w.Helper()
	get[any](w, `$("#archive-query").select()`)
	w.click("#archive-query")
	get[any](w, `$("#archive-query").select()`)
	if text == "" {
		w.press(kb.Backspace)
		return
	}
	w.write(text)
}

// TestArchive: a supervisor finds a chat, reads it as it was, saves and deletes it.
func TestArchive(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t))
	s.holds(someChats...)
	agent := s.agent(desktop, "Vika")
	agent.click(`.views [data-view="archive"]`)
	agent.until("newest first", names+` === "Nika,Dodo,مريم,Ana María,Nika"`)
	agent.until("it is counted", `$(".finder [role=status]").textContent === "5 conversations" && document.title.startsWith("Archive")`)
	agent.accessible("archive")
	agent.shot("archive")
	agent.searches("zwieb")
	agent.until("as it is typed", names+` === "Nika"`)
	agent.searches("leipzig vika")
	agent.until("also in notes and names", names+` === "Nika"`)
	agent.searches("nobody-has-said-this")
	agent.shows(".finder [role=status]", "No conversations found.")
	agent.click(".search .quiet")
	agent.until("all again, and the focus is in the field", names+`.length > 20 && document.activeElement === $("#archive-query")`)
	choose := func(field, value string) {
		t.Helper()
		agent.until(value+" can be chosen", fmt.Sprintf(`$$(".filters select").some((one) => [...one.options].some(({ value }) => value === %q))`, value))
		get[any](agent, fmt.Sprintf(`(() => { const one = $$(".filters label").find((one) => one.textContent.startsWith(%q)).querySelector("input, select"); one.value = %q; one.dispatchEvent(new Event("change")); })()`, field, value))
	}
	choose("Agent", "Bob")
	agent.until("of one agent", names+` === "Dodo,Nika"`)
	choose("Agent", "")
	choose("Team", "billing")
	agent.until("of one team", names+` === "Nika"`)
	choose("Team", "")
	day := func(field string, ago int) {
		t.Helper()
		get[any](agent, fmt.Sprintf(`(() => { const one = $$(".filters label").find((one) => one.textContent.startsWith(%q)).querySelector("input"); one.value = %q; one.dispatchEvent(new Event("change")); })()`, field, noon().AddDate(0, 0, -ago).Format(time.DateOnly)))
	}
	day("From", 2)
	day("To", 1)
	agent.until("both days are in", names+` === "Dodo,مريم"`)
	agent.click(".search .quiet")
	agent.until("all again", names+` === "Nika,Dodo,مريم,Ana María,Nika"`)

	// A chat as it was.
	agent.click(".found li:first-child a")
	agent.until("its messages", `$$(".record .messages .bubble").map((one) => one.textContent).join("|") === "Where is my Zwiebelkuchen?|On its way: https://parcel.example/track/1042|Thank you <b>so</b> much|You are welcome"`)
	agent.until("its file", `$$(".record .attachments").map((one) => one.textContent).join().includes("cat.png")`)
	agent.until("who came, the note, the end", `$$(".record .event").map((one) => one.textContent).join("|") === "Vika joined the chat.|Nika ended this chat." && $(".record .team-note").textContent.includes("Her parcel is in Leipzig.")`)
	agent.until("what it was worth", `$(".record .rating").textContent.includes("Rated 5 out of 5") && $(".record .rating").textContent.includes("Quick")`)
	agent.until("nothing can be written", `$$(".record textarea, .record .send").every((one) => !shown(one))`)
	agent.until("nothing in it is HTML", `!$(".record b")`)
	agent.until("it has the focus, and is marked in the list", `document.activeElement === $(".record .log") && $(".found [aria-current=true]").hash === location.hash`)
	agent.click(".record .earlier-chats summary")
	agent.shows(".record .earlier-chats", "Can I change my address?")
	agent.accessible("an archived chat")
	agent.shot("archive-chat")
	agent.reload()
	agent.until("after a reload as well", `shown($(".record")) && $(".record h2").textContent === "Nika"`)
	agent.press(kb.Escape)
	agent.until("Escape leads back to the list", `document.activeElement === $(".found li:first-child a") && !shown($(".record"))`)
	agent.press(kb.Enter)
	agent.until("Enter opens it", `document.activeElement === $(".record .log")`)

	saved := agent.saves(".record > header .tool")
	if !strings.Contains(saved, "Nika: Where is my Zwiebelkuchen?") || strings.Contains(saved, "Leipzig") {
		t.Errorf("the transcript is %q", saved)
	}

	agent.click(".record > header .tool:last-child")
	agent.shows("dialog[open]", "Delete the conversation with Nika?")
	agent.accessible("asked once")
	agent.shot("archive-delete")
	agent.press(kb.Escape)
	agent.until("it is still there", `shown($(".record"))`)
	agent.click(".record > header .tool:last-child")
	agent.click("dialog[open] .primary")
	agent.shows(".notice", "You deleted the conversation with Nika.")
	agent.until("it is gone, and the focus is in the archive", names+` === "Dodo,مريم,Ana María,Nika" && document.activeElement === $("#archive-query")`)
	response, err := http.Get(s.lobby + "api/v1/chats/" + pastID(0))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("the deleted chat answers %d", response.StatusCode)
	}
	agent.visit(s.lobby + "#archive/" + pastID(0))
	agent.reload()
	agent.shows(".idle", "This conversation is not in the archive.")
}

// saves returns what the page gives the browser to save after a click.
func (w *window) saves(button string) string {
	w.Helper()
	return get[string](w, fmt.Sprintf(`new Promise((resolve) => {
		const make = URL.createObjectURL;
		URL.createObjectURL = (blob) => { blob.text().then(resolve); URL.createObjectURL = make; return make.call(URL, blob); };
		$(%q).click();
	})`, button))
}

// TestArchiveByTokens: agents read, supervisors delete.
func TestArchiveByTokens(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t, tokens))
	s.holds(someChats...)
	agent := s.works(desktop, "vika", "Vika", "")
	agent.click(`.views [data-view="archive"]`)
	agent.click(".found li:first-child a")
	agent.until("an agent cannot delete", `shown($(".record")) && $$(".record > header .tool").filter(shown).length === 1`)
	agent.click(`.views [data-view="reports"]`)
	agent.shows(".sum", "Chats")
	boss := s.works(desktop, "boss", "Boss", "supervisor")
	boss.visit(s.lobby + "#archive/" + pastID(0))
	boss.until("a supervisor can", `shown($(".record")) && $$(".record > header .tool").filter(shown).length === 2`)

	// Everything of a visitor whom the site knows, asked once.
	boss.click(".record > header .tool:last-child")
	boss.shows("dialog[open]", "Delete everything about this visitor")
	boss.accessible("asked what to delete")
	boss.shot("archive-delete-visitor")
	boss.click(`dialog[open] button[value="all"]`)
	boss.shows(".notice", "You deleted everything about Nika.")
	boss.until("both of their chats are gone, and no other", names+` === "Dodo,مريم,Ana María"`)
	boss.click(".found li:first-child a")
	boss.until("a chat is read", `shown($(".record")) && $(".record h2").textContent === "Dodo"`)
	boss.click(".record > header .tool:last-child")
	boss.shows("dialog[open]", "Delete the conversation with Dodo?")
	boss.until("nothing else is known of whom the site does not know", `!$('dialog[open] button[value="all"]')`)
	boss.press(kb.Escape)
	boss.visit(s.lobby + "#archive")
	boss.reload()
	boss.until("the archive says the same", names+` === "Dodo,مريم,Ana María"`)
}

// proxied is the console behind a proxy, where the server does not take agents without
// tokens for its own machine's.
func (s *site) proxied() string {
	s.Helper()
	to, err := url.Parse(s.lobby)
	if err != nil {
		s.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.SetXForwarded()
	}})
	s.Cleanup(server.Close)
	return server.URL + "/"
}

// TestArchiveThatIsNotShown: where nothing is kept, or not for who asks from here, there
// is nothing to choose, and the console says why.
func TestArchiveThatIsNotShown(t *testing.T) {
	t.Parallel()
	none := startSite(t, nil)
	agent := none.agent(desktop, "Vika")
	agent.until("it is known", `performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/status"))`)
	agent.hides(".views")
	agent.visit(none.lobby + "#archive")
	agent.shows(".archive .idle", "This server does not keep conversations after they end.")
	agent.accessible("no archive")

	s := startSite(t, remembers(t))
	s.holds(someChats...)
	away := newWindow(t, desktop)
	away.visit(s.proxied())
	away.signsIn("Vika")
	get[any](away, `void (location.hash = "reports")`)
	away.shows(".reports .idle", "are only available on the server itself")
	away.accessible("not from here")
	get[any](away, `void (location.hash = "chats")`)
	away.hides(".views")
	away.click(".me")
	away.shows("dialog[open] .note", "are only available on the server itself")
}

// TestArchiveOfMany: a long list grows by pages, is bounded, and holds nothing up.
func TestArchiveOfMany(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t))
	many := make([]past, 1100)
	for n := range many {
		many[n] = past{name: fmt.Sprint("Visitor ", n), agent: "Vika", texts: []string{fmt.Sprint("Question ", n), "Answer"}}
	}
	many[7].texts = append([]string{strings.Repeat("word ", 10)}, make([]string, 999)...)
	for i := range many[7].texts {
		many[7].texts[i] = fmt.Sprint("message ", i)
	}
	s.holds(many...)
	agent := s.agent(desktop, "Vika")
	agent.click(`.views [data-view="archive"]`)
	count := func(n int) {
		t.Helper()
		agent.until(fmt.Sprint(n, " are listed"), fmt.Sprintf(`$$(".found > li").length === %d && $(".finder").getAttribute("aria-busy") === "false"`, n))
	}
	count(50)
	calm := func(what string, before, most time.Duration) {
		t.Helper()
		took := agent.busy() - before
		t.Logf("%s: the page's thread was busy for %v", what, took)
		if took > most {
			t.Errorf("%s: the page's thread was busy for %v", what, took)
		}
	}
	before := agent.busy()
	for n := 100; n <= 1000; n += 50 {
		get[any](agent, `$(".further").focus()`)
		agent.press(kb.Enter)
		count(n)
	}
	agent.until("each once, in order", `(() => { const all = $$(".found .name").map((one) => one.textContent); return all.every((name, i) => name === "Visitor " + i); })()`)
	agent.shows(".finder", "Only 1,000 are listed.")
	agent.hides(".further")
	calm("a thousand are listed, page by page", before, 1500*time.Millisecond)
	before = agent.busy()
	for range 20 {
		get[any](agent, `new Promise((done) => { document.querySelector(".found").closest(".finder").scrollTop += 2000; requestAnimationFrame(() => setTimeout(done)); })`)
	}
	calm("it is scrolled through", before, time.Second)
	before = agent.busy()
	agent.searches("message")
	count(1)
	agent.click(".found a")
	agent.until("a long one opens at its end", `shown($(".record")) && $$(".record .messages .message").length === 300 && $$(".record .bubble").at(-1).textContent === "message 999"`)
	calm("another search, and a long chat", before, time.Second)
}

// TestArchiveOnPhone is the archive on a narrow screen, from right to left, in the dark.
func TestArchiveOnPhone(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t))
	s.holds(someChats...)
	fits := func(w *window, what string) {
		t.Helper()
		w.until(what+" is not wider than the screen", `document.documentElement.scrollWidth <= innerWidth && $$(".views a, .tools > *, .search *, .found a, .record, .record > header, .record > header > *, .sheets > *, .chart").filter(shown).every((one) => {
			const { left, right } = one.getBoundingClientRect();
			return left >= -0.5 && right <= innerWidth + 0.5;
		})`)
		w.accessible(what)
	}
	for name, as := range map[string]look{
		"phone":        phone,
		"phone-arabic": {width: 360, height: 720, phone: true, dark: true, language: "ar"},
	} {
		agent := s.agent(as, "Vika")
		fits(agent, name+" chats")
		agent.shot(name + "-chats-with-views")
		agent.click(`.views [data-view="archive"]`)
		agent.until("listed", `$$(".found li").length === 5`)
		fits(agent, name+" archive")
		agent.shot("archive-" + name)
		agent.click(".found li:first-child a")
		agent.until("one of them", `shown($(".record")) && !shown($(".finder"))`)
		fits(agent, name+" record")
		agent.shot("archive-" + name + "-chat")
		agent.click(".back-link")
		agent.until("back in the list", `shown($(".finder")) && document.activeElement === $(".found li:first-child a")`)
		agent.click(`.views [data-view="reports"]`)
		agent.until("reported", `$$(".chart").filter(shown).length === 3`)
		fits(agent, name+" reports")
		agent.shot("reports-" + name)
	}
	as := desktop
	as.dark, as.language = true, "ar"
	agent := s.agent(as, "Vika")
	agent.click(`.views [data-view="archive"]`)
	agent.click(".found li:first-child a")
	agent.until("one of them", `shown($(".record")) && shown($(".finder"))`)
	fits(agent, "archive, in Arabic")
	agent.shot("archive-arabic")
	agent.click(`.views [data-view="reports"]`)
	agent.until("reported", `$$(".chart").filter(shown).length === 3`)
	fits(agent, "reports, in Arabic")
	agent.shot("reports-arabic")
}

// TestArchivedAfterARestart: what was said is there after the servers have been
// replaced, whatever became of the store.
func TestArchivedAfterARestart(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t, func(cfg *backend.Config) { cfg.ChatTTL = 12 * time.Second }))
	visitor, agent := s.couple()
	agent.says("Good night")
	visitor.shows(".bubble", "Good night")
	agent.click(".talk > header .quiet")
	agent.click("dialog[open] .primary")
	s.restart()
	later := s.agent(desktop, "Ada")
	later.click(`.views [data-view="archive"]`)
	for start := time.Now(); !get[bool](later, `$$(".found li").length === 1`); pause(start) {
		if time.Since(start) > patience {
			t.Fatal("it is not there")
		}
		get[any](later, `$(".search").requestSubmit()`)
	}
	later.click(".found a")
	later.shows(".record .bubble", "Good night")
	later.shows(".record .event", "Support ended this chat.")
}
