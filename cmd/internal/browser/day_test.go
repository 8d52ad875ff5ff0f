package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// aDay is a site with the example settings and a clock of its own, in the time zone of the example.
type aDay struct {
	*site
	ahead atomic.Int64 // of the system's clock, a time.Duration
}

func startDay(t *testing.T) *aDay {
	t.Helper()
	day := &aDay{}
	archive := "sqlite:" + filepath.Join(t.TempDir(), "archive.db")
	day.site = startSite(t, func(cfg *backend.Config) {
		cfg.Settings = "../../deploy/settings.json"
		cfg.ArchiveURL = archive
		cfg.AgentSecret = agentSecret // without tokens nobody is full
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(day.ahead.Load())) }
	})
	return day
}

// becomes sets the clock, and waits until the server knows how many agents are free.
func (day *aDay) becomes(at string, free int) {
	day.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		day.Fatal(err)
	}
	moment, err := time.ParseInLocation("2006-01-02 15:04", at, zone)
	if err != nil {
		day.Fatal(err)
	}
	day.ahead.Store(int64(time.Until(moment)))
	var status struct{ Agents int }
	for start := time.Now(); ; pause(start) {
		response, err := http.Get(day.chat + "status")
		if err != nil {
			day.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&status)
		response.Body.Close()
		if err == nil && status.Agents == free {
			return
		}
		if time.Since(start) > patience {
			day.Fatalf("%d agents are free, want %d (%v)", status.Agents, free, err)
		}
	}
}

// person opens a window whose clock is the site's.
func (day *aDay) person(as look) *window {
	day.Helper()
	as.script += `{
		const { now } = Date;
		const ahead = Number(new URLSearchParams(location.search).get("ahead"));
		Date.now = () => now() + ahead;
	}`
	w := newWindow(day.T, as)
	call(w, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
	return w
}

// comes opens a site's page as somebody who has never been there.
func (day *aDay) comes(w *window, language string) {
	w.Helper()
	site := day.pages(map[string]string{"/": day.line(fmt.Sprintf("data-language=%q", language))})
	w.begins(site, fmt.Sprintf("/?ahead=%d", time.Duration(day.ahead.Load()).Milliseconds()))
	w.click(".launcher")
}

// TestDay is a Friday with the example settings: what visitors read while the site is closed, open
// with nobody there, open, and full. The message that is left at night is found on Monday, at a
// server that was restarted.
func TestDay(t *testing.T) {
	t.Parallel()
	day := startDay(t)
	arabic := phone
	arabic.dark = true
	onPhone, inArabic, onDesktop := day.person(phone), day.person(arabic), day.person(desktop)
	const away = "No one is available at the moment. Leave a message, and we will reply by email."
	var agent *window
	for _, one := range []struct {
		name, at        string
		before          func()
		free            int
		does            string
		other           bool
		words, inArabic string
	}{
		{"morning", "2026-11-27 08:30", nil, 0, "leave", false, away + " We open today at 9:00 AM.", "\u200f\u2068" + away + "\u2069 نفتح اليوم الساعة"},
		{"nobody", "2026-11-27 10:00", nil, 0, "chat", true, away, away},
		{"open", "2026-11-27 12:00", func() { agent = day.works(desktop, "vika", "Vika", "") }, 1, "chat", false, "Hi! How can we help?", "مرحبًا! كيف يمكننا مساعدتك؟"},
		{"full", "2026-11-27 16:00", func() {
			agent.click(".me")
			agent.click("#limit")
			agent.press("a", kb.ModifierCtrl)
			agent.press("1")
			agent.press(kb.Enter)
			busy := day.person(desktop)
			day.comes(busy, "en")
			busy.until("it asks", `shown($("#consent"))`)
			busy.fill("#name", "Dodo")
			get[any](busy, `(($("#question-1").value = "Order"), $("#question-1").dispatchEvent(new Event("change")), true)`)
			busy.fill("#first", "one")
			busy.click("#consent")
			busy.click(".start .primary")
			agent.takes("Dodo")
		}, 0, "chat", true, away, away},
		{"night", "2026-11-27 22:30", nil, 0, "leave", false, away + " We open on Monday at 9:00 AM.", "\u200f\u2068" + away + "\u2069 نفتح يوم"},
	} {
		if one.before != nil {
			one.before()
		}
		day.becomes(one.at, one.free)
		for name, w := range map[string]*window{"phone": onPhone, "desktop": onDesktop, "arabic": inArabic} {
			language, words := "en", one.words
			if name == "arabic" {
				language, words = "ar", one.inArabic
			}
			day.comes(w, language)
			w.until(one.name+": what is said on "+name, fmt.Sprintf(`$(".greeting").textContent.replaceAll("\u202f", " ").startsWith(%q)`, words))
			w.until(one.name+": what is offered", fmt.Sprintf(`$(".start").dataset.does === %q && shown($(".other")) === %t`, one.does, one.other))
			w.until(one.name+": its direction", fmt.Sprintf(`$(".livesupport").dir === %q`, direction(language)))
			w.until(one.name+": nothing is written over it", `$(".greeting").scrollHeight <= $(".greeting").clientHeight`)
			w.accessible(one.name + " " + name)
			w.shot("day-" + one.name + "-" + name)
		}
	}

	onPhone.fill("#name", "Nika")
	onPhone.fill("#email", "nika@example.com")
	onPhone.fill("#first", "My order 1042 has not come.")
	if get[bool](onPhone, `shown($("#consent"))`) {
		onPhone.click("#consent")
	}
	onPhone.click(".start .primary")
	onPhone.shows(".thanks", "We have your message and will reply to nika@example.com.")
	onPhone.shot("day-left")
	agent.visit("about:blank")

	day.restart()
	day.becomes("2026-11-30 09:05", 0)
	morning := day.works(desktop, "lulu", "Lulu", "")
	morning.until("one is open", `$("#inbox .count").textContent === "1"`)
	morning.click("#inbox")
	morning.shows(".left-messages", "My order 1042 has not come.")
	morning.shot("day-morning")
	const listed = `fetch("/api/v1/messages", { headers: { Authorization: "Bearer " + %q } }).then((answer) => answer.text())`
	token, err := web.Token{Subject: "lulu", Name: "Lulu"}.Sign(agentSecret, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if kept := get[string](morning, fmt.Sprintf(listed, token)); strings.Count(kept, "messageId") != 1 || !strings.Contains(kept, `"content":"My order 1042 has not come."`) || !strings.Contains(kept, `"done":false`) {
		t.Errorf("the archive has %s", kept)
	}
	day.becomes("2026-11-30 09:05", 1)
	day.comes(onDesktop, "en")
	onDesktop.until("somebody is there again", fmt.Sprintf(`$(".greeting").textContent.startsWith(%q)`, "Hi!"))
}
