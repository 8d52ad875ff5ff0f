package backend_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// withSettings starts servers with a file of settings.
func withSettings(t *testing.T, content obj) tuning {
	t.Helper()
	return fromFile(settingsFile(t, text(content)))
}

func fromFile(file string) tuning { return func(c *backend.Config) { c.Settings = file } }

func settingsFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// status is what a chat server says of the desk.
func (w *world) status(addr string) obj {
	w.Helper()
	r := w.get(addr, "/status")
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		w.Errorf("Cache-Control %q", got)
	}
	return w.expectJSON(r, 200)
}

// standsAs waits until every chat server says this within the protocol's 5 s.
func (w *world) standsAs(want obj) {
	w.Helper()
	for _, addr := range w.chats {
		var got obj
		w.within(5*time.Second+slack, "GET /status", func() bool {
			got = w.status(addr)
			for key, value := range want {
				if mismatch(key, value, got[key]) != "" {
					return false
				}
			}
			return true
		})
	}
}

// anyBool is for what depends on an archive.
var anyBool match = func(got any) string {
	if _, ok := got.(bool); !ok {
		return fmt.Sprintf("want true or false, got %v", got)
	}
	return ""
}

// always are hours that are open, never such as are not.
var (
	always = obj{"zone": "Asia/Tokyo", "week": everyDay("00:00-24:00")}
	never  = obj{"zone": "America/New_York"}
)

func everyDay(spans ...string) obj {
	week := obj{}
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		week[day] = spans
	}
	return week
}

func TestScenarioStatus(t *testing.T) {
	t.Parallel()
	form := []any{obj{"id": "order", "label": obj{"en": "Order <number>", "ka": "შეკვეთა"}, "kind": "text"}}
	full := obj{
		"hours": never, "form": form, "away": obj{"en": "Nobody is here.", "de": "Niemand ist da."},
		"consent": obj{"text": obj{"en": "I agree."}, "link": "https://example.com/privacy"},
		"teams":   []obj{{"id": "billing", "name": "Billing", "hours": always}, {"id": "sales"}},
		"replies": []obj{{"shortcut": "hi", "text": "Hello {username}, this is {agent}."}},
	}
	inEveryPlace(t, alone(nil, scenarios{
		"without settings it is open, and says how many wait": func(w *world) {
			for _, addr := range w.chats {
				got := w.status(addr)
				delete(got, "files") // if there is a storage
				if wrong := mismatch("", obj{
					"open": true, "opens": nil, "agents": 0.0, "waiting": 0.0, "estimate": nil, "teams": []obj{},
					"messages": anyBool, "preview": false,
				}, got); wrong != "" {
					w.Error(wrong)
				}
			}
			first, second := w.register("Nika"), w.register("Dodo")
			w.user(first).ignoreRest()
			w.user(second).ignoreRest()
			w.standsAs(obj{"waiting": 2.0})
			agent := w.loadedAgent(first, second)
			agent.send("JoinUser", first.claim())
			agent.ignoreRest()
			w.standsAs(obj{"waiting": 1.0})
		},
	}), shared(withSettings(t, full), scenarios{
		"hours, teams and what pages need of the file": func(w *world) {
			for _, addr := range w.chats {
				got := w.status(addr)
				delete(got, "files")
				if wrong := mismatch("", obj{
					"open": false, "opens": nil, "agents": anything, "waiting": anything, "estimate": anything,
					"teams": []obj{{"id": "billing", "name": "Billing", "open": true, "agents": anything}, {"id": "sales", "name": "sales", "open": false, "agents": anything}},
					"form":  form, "away": full["away"], "consent": full["consent"], "messages": anyBool, "preview": false,
				}, got); wrong != "" {
					w.Error(wrong)
				}
			}
			r := w.get(w.nextChat(), "/status", "Origin", "https://shop.example")
			if r.header.Get("Access-Control-Allow-Origin") != "*" {
				w.Errorf("%v", r.header)
			}
			w.expectFailure(w.get(w.nextLobby(), "/status"), 404, "not_found")
		},
		"the schema is on both ports": func(w *world) {
			for _, addr := range []string{w.nextChat(), w.nextLobby()} {
				r := w.get(addr, "/settings.schema.json")
				if r.status != 200 || r.header.Get("Content-Type") != "application/schema+json" || !strings.Contains(r.body, `"$schema": "https://json-schema.org/`) {
					w.Errorf("%d %v", r.status, r.header)
				}
			}
		},
		"the replies are for agents": func(w *world) {
			for _, addr := range w.lobbies {
				got := w.expectJSON(w.get(addr, "/api/v1/replies"), 200)
				if wrong := mismatch("", obj{"replies": full["replies"]}, got); wrong != "" {
					w.Error(wrong)
				}
				w.expectFailure(w.get(addr, "/api/v1/replies", "X-Forwarded-For", "192.0.2.1"), 401, "unauthorized")
				r := w.get(addr, "/api/v1/replies", "Origin", "https://shop.example")
				if w.expectFailure(r, 403, "forbidden"); r.header.Get("Access-Control-Allow-Origin") != "" {
					w.Errorf("%v", r.header)
				}
			}
		},
	}), shared(func(c *backend.Config) { c.AllowedOrigins, c.TypingPreview = []string{"https://shop.example"}, true }, scenarios{
		"pages of allowed origins may ask": func(w *world) {
			r := w.get(w.nextChat(), "/status", "Origin", "https://shop.example")
			if got := w.expectJSON(r, 200); got["preview"] != true || r.header.Get("Access-Control-Allow-Origin") != "https://shop.example" {
				w.Errorf("%v %v", got, r.header)
			}
			w.expectFailure(w.get(w.nextChat(), "/status", "Origin", "https://other.example"), 403, "forbidden")
		},
	}))
}

// settingsAgain changes the file, and has all servers read it as on SIGHUP.
func (w *world) settingsAgain(file, content string) {
	w.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
	for _, b := range w.backends {
		b.ReadSettings()
	}
}

func TestScenarioSettingsAgain(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, func(t *testing.T, p place) func() {
		file := settingsFile(t, `{"hours":{}}`)
		d := p.start(t, func(c *backend.Config) { c.Settings, c.LogLevel = file, slog.LevelError+1 })
		return func() {
			w := d.world(t)
			again := func(content string) { w.settingsAgain(file, content) }
			w.standsAs(obj{"open": false, "teams": []obj{}})
			again(`{"hours":`)
			w.standsAs(obj{"open": false, "teams": []obj{}})
			again(`{"teams":[{"id":"billing"}]}`)
			w.standsAs(obj{"open": true, "teams": []obj{{"id": "billing", "name": "billing", "open": true, "agents": 0.0}}})
			w.expectFailure(w.post(w.nextChat(), "/user/join/Nika", `{"team":"sales"}`), 400, "bad_request")
			again(`{}`)
			for _, addr := range w.chats {
				w.expectJSON(w.post(addr, "/user/join/Nika", `{"team":"sales"}`), 200)
			}
		}
	})
}

func TestScenarioRegisterBySettings(t *testing.T) {
	t.Parallel()
	content := obj{
		"teams": []obj{{"id": "billing"}, {"id": "sales"}},
		"form": []obj{
			{"id": "order", "required": true},
			{"id": "mail", "kind": "email", "required": true},
			{"id": "topic", "kind": "select", "options": []string{"a", "b"}},
			{"id": "sure", "kind": "checkbox", "required": true},
			{"id": "more"},
		},
		"consent": obj{"text": obj{"en": "I agree.", "de": "Ja."}, "link": "https://example.com/privacy"},
	}
	fields := obj{"order": "1042", "mail": "nika@example.com", "topic": "b", "sure": "true", "else": "x"}
	details := obj{"language": "de-AT", "fields": fields}
	body := obj{"team": "billing", "consent": true, "details": details}
	inEveryPlace(t, alone(withSettings(t, content), scenarios{
		"who answers everything and agrees is registered": func(w *world) {
			v := w.registerWith("Nika", body)
			asked := w.detailing()
			w.user(v)
			full := with(with(with(v.pending(), "team", "billing"), "details", details), "since", aTimestamp)
			asked.expect("UserJoined", full)
			if w.natsURL == "" {
				entries := strings.Join(w.redis().LRange(context.Background(), "chat:{"+v.chatID+"}", 0, 1).Val(), "\n")
				if want := `"{\"text\":\"Ja.\",\"link\":\"https://example.com/privacy\"}"`; !strings.Contains(entries, want) {
					w.Errorf("the log is %s, without %s", entries, want)
				}
			}
			asked.ignoreRest()
		},
	}), shared(withSettings(t, content), scenarios{
		"an answer that is missing is named": func(w *world) {
			for name, change := range map[string]func(fields obj){
				"order": func(fields obj) { delete(fields, "order") },
				"mail":  func(fields obj) { fields["mail"] = nil },
				"sure":  func(fields obj) { fields["sure"] = "false" },
			} {
				for _, blank := range []string{"", " \t"} {
					some := with(fields, name, blank)
					w.refusesNaming(name, with(body, "details", obj{"fields": some}))
				}
				some := with(fields, "else", "y")
				change(some)
				w.refusesNaming(name, with(body, "details", obj{"fields": some}))
			}
			w.refusesNaming("order", with(body, "details", nil))
			w.refusesNaming("order", obj{})
		},
		"an answer of the wrong kind is named": func(w *world) {
			for _, mail := range []string{"nika", "@example.com", "nika@", "a b@example.com", "<a@b>"} {
				w.refusesNaming("mail", with(body, "details", obj{"fields": with(fields, "mail", mail)}))
			}
			w.refusesNaming("topic", with(body, "details", obj{"fields": with(fields, "topic", "c")}))
			w.registerWith("Nika", with(body, "details", obj{"fields": with(fields, "topic", "")}))
		},
		"without the consent nobody is": func(w *world) {
			for _, consent := range []any{false, nil} {
				w.refusesNaming("consent", with(body, "consent", consent))
			}
			w.expectFailure(w.post(w.nextChat(), "/user/join/Nika", text(with(body, "consent", "yes"))), 400, "bad_request")
		},
		"a team that there is not is refused": func(w *world) {
			w.refusesNaming("team", with(body, "team", "Billing"))
			w.registerWith("Nika", with(body, "team", "sales"))
			w.registerWith("Nika", with(body, "team", nil))
		},
		"GET is the README's": func(w *world) {
			w.user(w.register("Nika"))
		},
	}))
}

// refusesNaming wants a registration to be refused because of something, by name.
func (w *world) refusesNaming(what string, body obj) {
	w.Helper()
	r := w.post(w.nextChat(), "/user/join/Nobody", text(body))
	w.expectFailure(r, 400, "bad_request")
	if !strings.Contains(r.body, what) {
		w.Errorf("%s: %s does not name %s", text(body), r.body, what)
	}
}
