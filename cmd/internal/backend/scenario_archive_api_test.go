package backend_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

// api asks a lobby.
func (w *world) api(method, path string, headers ...string) reply {
	w.Helper()
	return w.request(method, w.nextLobby(), "/api/v1"+path, headers...)
}

// listed waits until a chat is found by a query, and returns it.
func (w *world) listed(v *visitor, query string, headers ...string) obj {
	w.Helper()
	var found obj
	w.within(keptTTL+10*time.Second*slowness, "the chat is found", func() bool {
		got := w.expectJSON(w.api("GET", "/chats?query="+url.QueryEscape(query), headers...), 200)
		for _, one := range got["chats"].([]any) {
			if one.(obj)["chatId"] == v.chatID {
				found = one.(obj)
				return true
			}
		}
		return false
	})
	return found
}

// logged are the frames of an archived chat, without the timestamps that clients do
// not get.
func (w *world) logged(v *visitor, headers ...string) (frames []obj) {
	w.Helper()
	got := w.expectJSON(w.api("GET", "/chats/"+v.chatID, headers...), 200)
	for _, one := range got["log"].([]any) {
		frames = append(frames, one.(obj))
	}
	return frames
}

func TestScenarioArchiveRoutes(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, kept(nil, shared, archiveRoutes), kept(nil, alone, scenarios{
		"while the archive is away it says so": func(w *world) {
			w.takeArchiveAway()
			for _, try := range []func() reply{
				func() reply { return w.api("GET", "/chats") },
				func() reply { return w.api("GET", "/stats") },
				func() reply { return w.api("DELETE", "/chats/"+strings.Repeat("0", 32)) },
				func() reply {
					return w.post(w.nextChat(), "/messages", text(obj{"name": "Ana", "content": "x"}))
				},
			} {
				began := time.Now()
				w.expectFailure(try(), 503, "unavailable")
				if took := time.Since(began); took > 5*time.Second {
					w.Errorf("after %v", took)
				}
			}
		},
	}), shared(nil, scenarios{
		"without an archive there are no such routes": func(w *world) {
			for _, path := range []string{"/chats", "/chats/" + strings.Repeat("0", 32), "/messages", "/stats"} {
				w.expectFailure(w.api("GET", path), 404, "not_found")
			}
			w.expectFailure(w.api("DELETE", "/chats/"+strings.Repeat("0", 32)), 404, "not_found")
			w.expectFailure(w.post(w.nextChat(), "/messages", text(obj{"name": "Ana", "content": "x"})), 404, "not_found")
			if got := w.expectJSON(w.get(w.nextChat(), "/status"), 200)["messages"]; got != false {
				w.Errorf("GET /status says %v", got)
			}
		},
	}))
}

func TestScenarioArchiveOnPostgres(t *testing.T) {
	t.Parallel()
	onPostgres(t, func(url func() string) group {
		return kept(func(c *backend.Config) { c.ArchiveURL = url() }, shared, archiveRoutes)
	})
}

// With agents' tokens, and visitors'.
func TestScenarioArchiveUsers(t *testing.T) {
	t.Parallel()
	agents := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
	bearer := func(sub, name string, supervisor bool) []string {
		claims := claimsOf(sub, name)
		if supervisor {
			claims["role"] = "supervisor"
		}
		return []string{"Authorization", "Bearer " + agents.sign(claims)}
	}
	tune := func(c *backend.Config) {
		c.AgentSecret, c.AgentAudience, c.AgentIssuer, c.VisitorSecret = agentSecret, agentAudience, agentIssuer, visitorSecret
	}
	inEveryPlace(t, kept(tune, shared, scenarios{
		"a visitor is forgotten": func(w *world) {
			vika, boss := bearer("vika", "Vika", false), bearer("boss", "Boss", true)
			sub := "customer/" + w.Name()
			claims := visitorClaims("Nika")
			claims["sub"] = sub
			token := visitorSigner.sign(claims)
			talk := func(name string) (*visitor, *client) {
				v := w.registerAs("Nika", token, name)
				user := w.user(v)
				support := agent{w, vika[1][len("Bearer "):]}.chat(v)
				support.joinsAsSupport("Vika")
				support.ignoreRest()
				user.expect("SupportJoinedUser", with(with(v.supported(), "supportId", anyID), "supportUserName", "Vika"))
				user.say("remember me")
				user.ignoreRest()
				return v, user
			}
			done, _ := talk("Nika")
			one := w.listed(done, "remember", vika...)
			if wrong := mismatch("", []obj{{"agent": "vika", "supportUserName": "Vika"}}, one["agents"]); wrong != "" || one["sub"] != sub || one["verified"] != true {
				w.Fatalf("%s %v", wrong, one)
			}
			if r := w.post(w.nextChat(), "/messages", text(obj{"name": "Nika", "content": "leave this"}), "Authorization", "Bearer "+token); r.status != 202 {
				w.Fatal(r.body)
			}
			living, _ := talk("Nika")
			path := "/users/" + url.PathEscape(sub)
			w.expectFailure(w.api("DELETE", path, vika...), 403, "forbidden")
			w.expectFailure(w.api("DELETE", "/chats/"+done.chatID, vika...), 403, "forbidden")
			for range 2 {
				if r := w.api("DELETE", path, boss...); r.status != http.StatusNoContent {
					w.Fatalf("%d %s", r.status, r.body)
				}
			}
			w.expectFailure(w.api("GET", "/chats/"+done.chatID, vika...), 404, "not_found")
			if r := w.api("GET", "/messages", vika...); strings.Contains(r.body, "leave this") {
				w.Error("the message is still there")
			}
			w.chatIsOver(living)
			w.chatExpires(living)
			pass(time.Second)
			w.expectFailure(w.api("GET", "/chats/"+living.chatID, vika...), 404, "not_found")
			again, _ := talk("Nika") // who comes back is new
			w.listed(again, "remember", vika...)
		},
	}))
}

// chatIsOver waits until a User's Join is told that the chat has expired.
func (w *world) chatIsOver(v *visitor) {
	w.Helper()
	c := w.chat(v)
	c.send("Join", v.asUser())
	c.expectExpired(v)
}

// ownHost is request with the Host that is among the headers.
func (w *world) ownHost(method, addr, path string, headers ...string) reply {
	w.Helper()
	request, err := http.NewRequest(method, "http://"+addr+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	var body json.RawMessage
	_ = json.NewDecoder(response.Body).Decode(&body) // 204 has none
	return reply{response.StatusCode, response.Header, string(body)}
}

// archiveRoutes are the scenarios of the routes, on whatever database.
var archiveRoutes = scenarios{
	"a chat is found, shown as clients saw it, and written out without notes": func(w *world) {
		v := w.registerWith("Nika", obj{"team": "billing"})
		user := w.chat(v)
		user.joinsWith("User", allFeatures...)
		user.expect("UserJoined", v.pending())
		user.ignoreRest()
		user.say("where is my Zwiebelkuchen?")
		user.expectPast("ChatMessage") // then it is in the history
		support := w.chat(v)
		support.joinsWith("Support", "notes", "rating", "close", "messageId", "receipts")
		v.supportName = "Vika"
		joined := support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))
		v.supportID = joined["supportId"].(string)
		history := support.expect("ChatHistory", obj{"messages": anything})["messages"].([]any)
		want := []obj{frame("ChatMessage", history[0].(obj)), frame("SupportJoinedUser", with(with(joined, "agent", nil), "timestamp", aTimestamp))}
		support.sayID("on its way", "id-1")
		want = append(want, frame("ChatMessage", support.expect("ChatMessage", with(with(v.message("Support", "on its way"), "messageId", "id-1"), "seq", 2.0))))
		support.send("Note", obj{"content": "canary"})
		want = append(want, frame("Note", support.expect("Note", note(v, "canary"))))
		for _, score := range []int{2, 5} {
			user.send("Rate", obj{"score": score, "comment": "hm"})
			want = append(want, frame("Rated", support.expect("Rated", obj{"score": float64(score), "comment": "hm", "timestamp": aTimestamp})))
		}
		support.send("CloseChat", nil)
		closed := support.expectClosed("Support")
		want = append(want, frame("ChatClosed", closed))
		support.expires(v)

		one := w.listed(v, "ZWIEBEL")
		if wrong := mismatch("", obj{
			"chatId": v.chatID, "userId": v.userID, "username": "Nika", "verified": false, "sub": nil, "team": "billing",
			"agents": []obj{{"agent": nil, "supportUserName": "Vika"}}, "started": aTimestamp, "ended": closed["timestamp"],
			"endedBy": "Support", "messages": 2.0, "score": 5.0,
		}, one); wrong != "" {
			w.Error(wrong)
		}
		got := w.logged(v)
		if len(got) != len(want) {
			w.Fatalf("%d frames instead of %d: %v", len(got), len(want), got)
		}
		for i := range want {
			if wrong := mismatch("", want[i], got[i]); wrong != "" {
				w.Errorf("frame %d: %s", i, wrong)
			}
		}
		r := w.api("GET", "/chats/"+v.chatID+"/transcript")
		if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") ||
			!strings.Contains(r.body, "Nika: where is my Zwiebelkuchen?") || strings.Contains(r.body, "canary") {
			w.Errorf("the transcript: %d %s", r.status, r.body)
		}
		for query, finds := range map[string]bool{
			"zwiebelkuchen CANARY": true, "vika": true, "nobody-has-said-this": false, "' OR 1=1 --": false, `"`: false,
		} {
			got := w.expectJSON(w.api("GET", "/chats?team=billing&query="+url.QueryEscape(query)), 200)
			if found := strings.Contains(text(got), v.chatID); found != finds {
				w.Errorf("%q finds it: %t", query, found)
			}
		}
		day := time.Now().UTC().Format(time.DateOnly)
		for query, finds := range map[string]bool{
			"?from=" + day: true, "?to=" + day: false, "?from=" + closed["timestamp"].(string): true, "?to=" + closed["timestamp"].(string): false,
			"?agent=Vika&team=billing": true, "?agent=Vik": false, "?team=sales": false,
		} {
			if found := strings.Contains(text(w.expectJSON(w.api("GET", "/chats"+query), 200)), v.chatID); found != finds {
				w.Errorf("%q finds it: %t", query, found)
			}
		}
		stats := w.expectJSON(w.api("GET", "/stats?team=billing"), 200)
		number := match(func(got any) string {
			if _, ok := got.(float64); !ok {
				return text(got) + " is no number"
			}
			return ""
		})
		figures := obj{
			"chats": 1.0, "missed": 0.0, "messages": 2.0, "score": 5.0, "wait": obj{"median": number, "p90": number},
			"firstAnswer": obj{"median": number, "p90": number}, "duration": obj{"median": number, "p90": number},
		}
		if wrong := mismatch("", with(with(figures, "days", []obj{with(figures, "day", day)}),
			"agents", []obj{with(with(figures, "agent", nil), "supportUserName", "Vika")}), stats); wrong != "" {
			w.Error(wrong)
		}
	},
	"rubbish is refused": func(w *world) {
		for _, query := range []string{
			"chats?limit=0", "chats?limit=201", "chats?limit=x", "chats?from=yesterday", "chats?to=2026-13-01", "chats?cursor=%21", "chats?cursor=-1",
			"chats?query=%ff", "chats?team=%ff", "stats?from=x", "messages?done=maybe", "messages?team=%ff", "messages?limit=0", "messages?cursor=%21",
		} {
			w.expectFailure(w.api("GET", "/"+query), 400, "bad_request")
		}
		for _, path := range []string{
			"/chats/" + strings.Repeat("0", 32), "/chats/x", "/chats/" + strings.Repeat("0", 32) + "/transcript", "/chats/" + strings.Repeat("0", 32) + "/else", "/else",
		} {
			w.expectFailure(w.api("GET", path), 404, "not_found")
		}
		for _, query := range []string{"?from=0001-01-01", "?to=9999-12-31", "?from=9999-12-31T23:59:59%2B00:00", "?to=1970-01-01", "?cursor=", "?limit=200", "?limit=1&query=&team=&agent="} {
			w.expectJSON(w.api("GET", "/chats"+query), 200)
		}
	},
	"who may ask": func(w *world) {
		lobby := w.nextLobby()
		host := "localhost" + lobby[strings.LastIndex(lobby, ":"):]
		for name, test := range map[string]struct {
			headers []string
			status  int
		}{
			"somebody on this machine": {nil, 200},
			"by its name":              {[]string{"Host", host}, 200},
			"for somebody else":        {[]string{"X-Forwarded-For", "127.0.0.1"}, 401},
			"for somebody, RFC 7239":   {[]string{"Forwarded", "for=127.0.0.1"}, 401},
			"by another name":          {[]string{"Host", "rebind.example"}, 401},
			"another site's page":      {[]string{"Origin", "https://shop.example"}, 403},
			"a page of another port":   {[]string{"Origin", "http://127.0.0.1:1"}, 403},
			"a page of nowhere":        {[]string{"Origin", "null"}, 403},
			"its own page":             {[]string{"Origin", "http://" + lobby}, 200},
		} {
			for _, path := range []string{"/chats", "/messages", "/stats"} {
				r := w.ownHost("GET", lobby, "/api/v1"+path, test.headers...)
				if r.status != test.status {
					w.Errorf("%s: %d instead of %d", name, r.status, test.status)
				}
				for header := range r.header {
					if strings.HasPrefix(header, "Access-Control-") {
						w.Errorf("%s: %s", name, header)
					}
				}
			}
		}
	},
	"what is deleted is gone, and what lives goes when it has ended": func(w *world) {
		v, user, support := w.couple()
		user.said("delete me", support)
		user.expires(v)
		support.expires(v)
		w.listed(v, "delete me")
		living, user, support := w.couple()
		user.said("me too", support)
		for range 2 {
			for _, v := range []*visitor{v, living} {
				if r := w.api("DELETE", "/chats/"+v.chatID); r.status != http.StatusNoContent {
					w.Fatalf("%d %s", r.status, r.body)
				}
			}
		}
		user.expires(living)
		support.expires(living)
		w.chatIsGone(living)
		w.expectFailure(w.api("GET", "/chats/"+v.chatID), 404, "not_found")
		w.chatExpires(living)
		pass(time.Second)
		w.expectFailure(w.api("GET", "/chats/"+living.chatID), 404, "not_found")
	},
	"files live as long as the chat is kept": func(w *world) {
		v, user, support := w.liveCouple("files")
		carried, loose := w.uploaded(v, "cat.png", "image/png", pngContent), w.uploaded(v, "dog.png", "image/png", pngContent)
		user.send("ChatMessage", obj{"content": "look", "from": "User", "files": []any{carried["fileId"]}})
		want := user.expect("ChatMessage", with(v.message("User", "look"), "files", []obj{carried}))
		support.expect("ChatMessage", want)
		user.send("CloseChat", nil)
		user.expires(v)
		support.expires(v)
		w.listed(v, "cat")
		var message obj
		for _, f := range w.logged(v) {
			if f["type"] == "ChatMessage" {
				message = f["args"].(obj)
			}
		}
		if wrong := mismatch("", with(want, "seq", 1.0), message); wrong != "" {
			w.Error(wrong)
		}
		w.chatExpires(v)
		pass(3 * time.Second) // in which those that are not kept are deleted
		for range w.chats {
			if r := w.get(w.nextChat(), carried["url"].(string)); r.status != 200 || r.body != pngContent {
				w.Errorf("the file of a chat that is kept: %d", r.status)
			}
			w.eventually("the other is gone", func() bool { return w.get(w.nextChat(), loose["url"].(string)).status == 404 })
		}
		if r := w.api("DELETE", "/chats/"+v.chatID); r.status != http.StatusNoContent {
			w.Fatalf("%d %s", r.status, r.body)
		}
		for range w.chats {
			if r := w.get(w.nextChat(), carried["url"].(string)); r.status != 404 {
				w.Errorf("the file of a chat that has been deleted: %d", r.status)
			}
		}
	},
	"messages are left, listed and done": func(w *world) {
		details := obj{"page": "https://shop.example/", "language": "de"}
		for _, body := range []any{
			obj{}, obj{"content": "x"}, obj{"name": "Ana"}, obj{"name": "Ana", "content": ""}, obj{"name": " ", "email": " ", "content": "x"},
			obj{"name": "Ana", "content": strings.Repeat("x", 8001)}, obj{"name": "A\x00", "content": "x"}, obj{"name": "Ana", "content": 5},
			obj{"name": "Ana", "content": "x", "team": ""}, obj{"name": "Ana", "content": "x", "details": "x"}, []any{}, "x",
			obj{"email": "a\nb", "content": "x"},
		} {
			w.expectFailure(w.post(w.nextChat(), "/messages", text(body)), 400, "bad_request")
		}
		w.expectFailure(w.post(w.nextChat(), "/messages", text(obj{"name": "Ana", "content": strings.Repeat("x", 16<<10)})), 413, "too_large")
		ids := []string{}
		for _, body := range []obj{
			{"name": "Ana", "content": "first\x00 'quoted'"}, {"email": "ana@example.com", "content": strings.Repeat("ü", 8000), "team": "billing", "details": details},
		} {
			r := w.post(w.nextChat(), "/messages", text(body), "Origin", "https://shop.example")
			got := w.expectJSON(r, 202)
			if wrong := mismatch("", obj{"messageId": anyID}, got); wrong != "" {
				w.Fatal(wrong)
			}
			ids = append(ids, got["messageId"].(string))
		}
		one := obj{"messageId": ids[0], "name": "Ana", "email": "", "content": "first\x00 'quoted'", "team": nil, "details": nil, "timestamp": aTimestamp, "done": false}
		two := obj{"messageId": ids[1], "name": "", "email": "ana@example.com", "content": strings.Repeat("ü", 8000), "team": "billing", "details": details, "timestamp": aTimestamp, "done": false}
		want := func(path string, messages []obj, next any) string {
			w.Helper()
			got := w.expectJSON(w.api("GET", path), 200)
			if wrong := mismatch("", obj{"messages": messages, "next": next}, got); wrong != "" {
				w.Errorf("%s: %s", path, wrong)
			}
			cursor, _ := got["next"].(string)
			return cursor
		}
		want("/messages", []obj{two, one}, nil)
		cursor := want("/messages?limit=1", []obj{two}, anything)
		want("/messages?limit=1&cursor="+cursor, []obj{one}, nil)
		for range 2 {
			if r := w.api("POST", "/messages/"+ids[0]+"/done"); r.status != http.StatusNoContent {
				w.Fatalf("%d %s", r.status, r.body)
			}
		}
		w.expectFailure(w.api("POST", "/messages/"+strings.Repeat("0", 32)+"/done"), 404, "not_found")
		want("/messages?done=true", []obj{with(one, "done", true)}, nil)
		want("/messages?done=false", []obj{two}, nil)
		want("/messages?team=billing", []obj{two}, nil)
		want("/messages?team=billing&done=true", []obj{}, nil)
		if got := w.expectJSON(w.get(w.nextChat(), "/status"), 200)["messages"]; got != true {
			w.Errorf("GET /status says %v", got)
		}
	},
}
