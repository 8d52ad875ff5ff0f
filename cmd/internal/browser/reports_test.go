package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// TestReports: figures, charts, tables and files of three spans.
func TestReports(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t))
	s.holds(someChats...)
	agent := s.agent(desktop, "Vika")
	agent.click(`.views [data-view="reports"]`)
	sum := `$$(".sum > div").map((one) => one.querySelector("dt").textContent + " " + one.querySelector("dd").textContent).join("|")`
	agent.until("a week", sum+` === "Chats 4|Missed 1|Wait 0:01|First answer 2:21|Duration 5:25|Rating 5 ★"`)
	rows := func(part string) string {
		return fmt.Sprintf(`$$("[aria-labelledby=%s] tbody tr").map((row) => [...row.children].map((one) => one.textContent).join(" "))`, part)
	}
	agent.until("its days, the latest first", rows("by-day")+`.length === 7 && `+rows("by-day")+`[0].endsWith(" 1 0 4 0:01 1:11 5:20 5") && `+rows("by-day")+`.filter((one) => one.includes(" 1 1 1 – – 5:30 –")).length === 1`)
	agent.until("its agents", rows("by-agent")+`.join("|") === "Vika 2 6 0:01 1:46 5:25 5|Bob 1 2 0:01 2:21 5:20 –"`)
	agent.until("a bar for each day with chats, one of them hollow", `$$(".chart")[0].querySelectorAll("rect.bar").length === 3 && $$(".chart")[0].querySelectorAll("rect.hollow").length === 1`)
	agent.until("who does not see it is told", `$$("[role=img][aria-label]").some((one) => /^Chats\. Highest: .+, 1\.$/.test(one.getAttribute("aria-label")))`)
	agent.accessible("reports")
	agent.shot("reports")
	agent.click(`.spans [data-span="30"]`)
	agent.until("a month", rows("by-day")+`.length === 30 && $(".spans [aria-pressed=true]").textContent === "Last 30 days"`)
	agent.click(`.spans [data-span="90"]`)
	agent.until("a quarter", rows("by-day")+`.length === 90 && `+sum+`.startsWith("Chats 5|")`)
	agent.shot("reports-90")
	lines := strings.Split(strings.TrimSpace(agent.saves("[aria-labelledby=by-day] .quiet")), "\r\n")
	if len(lines) != 91 || !strings.HasPrefix(lines[0], "Day,Chats,Missed,Messages,Wait median (s),") || !strings.HasPrefix(lines[90], noon().UTC().Format(time.DateOnly)+",1,0,4,") {
		t.Errorf("%d lines: %q … %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if got := agent.saves("[aria-labelledby=by-agent] .quiet"); !strings.Contains(got, "\r\nBob,2,0,4,") {
		t.Errorf("by agent: %q", got)
	}
}

// TestReportsOfLongNames: on a phone, figures stand beside a long name, and the name stays while
// they are scrolled.
func TestReportsOfLongNames(t *testing.T) {
	t.Parallel()
	s := startSite(t, remembers(t))
	s.holds(past{name: "Nika", agent: "Maximilian-Alexander von und zu Hohenstein", texts: []string{"Hello?", "Hello!"}})
	agent := s.agent(phone, "Vika")
	agent.click(`.views [data-view="reports"]`)
	seen := func(cell string) string {
		return fmt.Sprintf(`(() => { const cell = $("[aria-labelledby=by-agent] tbody %s"); const sheet = cell.closest(".sheet").getBoundingClientRect(); const { left, right } = cell.getBoundingClientRect(); return left >= sheet.left && right <= sheet.right; })()`, cell)
	}
	agent.until("the name and two figures", `$$("[aria-labelledby=by-agent] tbody tr").length === 1 && `+seen("th")+" && "+seen("td:nth-child(2)")+" && "+seen("td:nth-child(3)"))
	get[any](agent, `$("[aria-labelledby=by-agent] .sheet").scrollLeft = 1000`)
	agent.until("the name and the last figure", seen("th")+" && "+seen("td:last-child"))
}

// TestEarlierChats: in a conversation with a visitor whom the site knows stands what
// they have talked about before.
func TestEarlierChats(t *testing.T) {
	t.Parallel()
	const visitorSecret = "the visitors' secret has 33 bytes"
	s := startSite(t, remembers(t, func(cfg *backend.Config) {
		cfg.VisitorSecret, cfg.ChatTTL = visitorSecret, 2*time.Minute
	}))
	s.holds(someChats...)
	agent := s.agent(desktop, "Vika")
	token, err := web.Token{Subject: "4711", Name: "Nika"}.Sign(visitorSecret, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	nika := newWindow(t, desktop)
	nika.visit(s.host("", s.line(fmt.Sprintf("data-token=%q", token))))
	nika.click(".launcher")
	nika.fill("#first", "Me again")
	nika.click(".start .primary")
	agent.takes("Nika")
	agent.shows(".talk .earlier-chats summary", "2 earlier chats")
	agent.click(".talk .earlier-chats summary")
	agent.until("the latest first", `$$("#talk .earlier-chats li .opening").map((one) => one.textContent).join("|") === "Where is my Zwiebelkuchen?|Can I change my address?" && $$("#talk .earlier-chats .whose").map((one) => one.textContent).join() === "Vika,Bob"`)
	agent.accessible("earlier chats")
	agent.shot("earlier-chats")
	agent.click("#talk .earlier-chats a")
	agent.shows(".record h2", "Nika")
	agent.shows(".record .bubble", "Where is my Zwiebelkuchen?")
	agent.press("m", kb.ModifierAlt)
	agent.until("back to the conversation", `shown($("#talk")) && document.activeElement === $("#message")`)
	agent.says("Hello again")
	nika.shows(".bubble", "Hello again")

	s.visitor(desktop).asks("Dodo", "anybody may say so")
	agent.takes("Dodo")
	agent.until("of nobody else", `$("#with").textContent === "Dodo" && !shown($("#talk .earlier-chats"))`)
}
