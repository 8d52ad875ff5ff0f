package backend_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// post registers with a body.
func (w *world) post(addr, path, body string, headers ...string) reply {
	w.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(answer)}
}

// registerWith registers with more; the answer is the same as without.
func (w *world) registerWith(name string, more obj) *visitor {
	w.Helper()
	return w.registered(name, w.post(w.nextChat(), "/user/join/"+name, text(more)))
}

func (w *world) registered(name string, r reply) *visitor {
	w.Helper()
	got := w.expectJSON(r, 200)
	if wrong := mismatch("", obj{"username": name, "userId": anyID, "chatId": anyID}, got); wrong != "" {
		w.Fatalf("%s: %s", r.body, wrong)
	}
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		w.Errorf("Cache-Control %q", got)
	}
	return &visitor{username: name, userID: got["userId"].(string), chatID: got["chatId"].(string)}
}

// detailing loads with the feature and gets the snapshot, as one frame.
func (w *world) detailing(waiting ...obj) *client {
	w.Helper()
	c := w.agent()
	c.send("Load", obj{"batch": true, "features": []string{"details"}})
	users := make([]obj, len(waiting))
	copy(users, waiting)
	c.expect("PendingUsers", obj{"users": users})
	return c
}

// everything is what a visitor may register with.
func everything() obj {
	fields := obj{}
	for i := range 20 {
		fields[fmt.Sprint(strings.Repeat("ä", 62), i+10)] = strings.Repeat("é", 100)
	}
	return obj{"page": "https://shop.example/" + strings.Repeat("ü", 100), "referrer": "https://search.example/?q=\"a\"&b=<c>",
		"language": "de", "fields": fields}
}

func TestScenarioDetails(t *testing.T) {
	t.Parallel()
	tune := func(c *backend.Config) {
		unlimited(c)
		c.ClaimTTL = 500 * time.Millisecond
	}
	inEveryPlace(t, alone(tune, scenarios{
		"agents who ask see team, details, since and the latest message": func(w *world) {
			before, asked := w.loadedAgent(), w.detailing()
			more := everything()
			body := text(obj{"team": "billing", "details": more, "else": 5})
			r := w.raw(w.nextChat(), fmt.Sprintf("POST /user/join/Nika HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			v := w.registered("Nika", r)
			user := w.user(v)
			before.expect("UserJoined", v.pending())
			full := with(with(with(v.pending(), "team", "billing"), "details", more), "since", aTimestamp)
			full["since"] = asked.expect("UserJoined", full)["since"]
			plain := w.register("Ada")
			w.user(plain)
			before.expect("UserJoined", plain.pending())
			ada := with(plain.pending(), "since", aTimestamp)
			ada["since"] = asked.expect("UserJoined", ada)["since"]
			w.detailing(full, ada).ignoreRest()

			user.said("one")
			asked.expect("UserChanged", with(full, "message", "one"))
			// Many within a second are told together, the last one counts.
			for i := range 20 {
				user.said(fmt.Sprint("line ", i))
			}
			long := strings.Repeat("😀", 201)
			user.said(long)
			full["message"] = strings.Repeat("😀", 200)
			for range 4 {
				got, err := asked.take(frame("UserChanged", with(full, "message", anything)))
				if err != nil {
					w.Fatal(err)
				}
				if got["args"].(obj)["message"] == full["message"] {
					break
				}
			}
			w.detailing(full, ada).ignoreRest()
			before.expectAnswersOnly()
			w.loadedAgent(v, plain).ignoreRest()
			// A Load that asks for less gets less.
			asked.load(v, plain)
			user.said("more")
			user.said("and more")
			asked.expectNothingFor(1500 * time.Millisecond)

			support := w.chat(v)
			support.send("Join", v.asSupport("Vika"))
			support.ignoreRest()
			user.ignoreRest()
			before.expectRemoved(v)
			asked.expectRemoved(v)
		},
		"what is written before an agent looks is in the list": func(w *world) {
			v := w.register("Nika")
			w.user(v).said("Hello?")
			w.eventually("the list shows the message", func() bool {
				c := w.agent()
				defer c.close()
				c.send("Load", obj{"batch": true, "features": []string{"details", "verified"}})
				got, err := c.take(frame("PendingUsers", anything))
				if err != nil {
					w.Fatal(err)
				}
				c.ignoreRest() // the message may come behind the list
				user := got["args"].(obj)["users"].([]any)[0].(obj)
				return mismatch("", with(with(v.pending(), "since", aTimestamp), "message", "Hello?"), user) == ""
			})
		},
		"who is pending again after a claim comes with it all": func(w *world) {
			v := w.registerWith("Nika", obj{"team": "billing", "details": obj{"language": "de"}})
			user := w.user(v)
			user.said("Hello?")
			asked := w.agent()
			asked.send("Load", obj{"features": []string{"details"}})
			if _, err := asked.next(patience); err != nil {
				w.Fatal(err)
			}
			asked.ignoreRest()
			full := with(with(v.pending(), "since", aTimestamp), "team", "billing")
			full["details"], full["message"] = obj{"language": "de"}, "Hello?"
			var watch *client
			w.eventually("the message is known", func() bool {
				watch = w.agent()
				watch.send("Load", obj{"batch": true, "features": []string{"details"}})
				got, err := watch.take(frame("PendingUsers", anything))
				if err != nil {
					w.Fatal(err)
				}
				user := got["args"].(obj)["users"].([]any)[0].(obj)
				if mismatch("", full, user) == "" {
					full["since"] = user["since"]
					return true
				}
				watch.ignoreRest()
				return false
			})
			asked.send("JoinUser", v.claim())
			watch.expectRemoved(v)
			watch.expect("UserJoined", full)
			w.detailing(full).ignoreRest()
		},
		"the topic has three fields, whatever was registered": func(w *world) {
			if w.natsURL != "" {
				return // the lobby's scenarios of NATS see the same frames
			}
			topic := w.redis().Subscribe(context.Background(), "users")
			w.Cleanup(func() { _ = topic.Close() })
			if _, err := topic.Receive(context.Background()); err != nil {
				w.Fatal(err)
			}
			v := w.registerWith("Nika", obj{"team": "billing", "details": everything()})
			w.user(v).said("secret")
			got := <-topic.Channel()
			if want := `{"type":"UserJoined","args":{"username":"Nika","userId":"` + v.userID + `","chatId":"` + v.chatID + `"}}`; got.Payload != want {
				w.Errorf("on the topic: %s, want %s", got.Payload, want)
			}
		},
	}), shared(nil, scenarios{
		"null and nothing are absent": func(w *world) {
			for _, body := range []string{
				`{}`, ` {"team":null,"details":null} `, `{"details":{}}`, `{"details":{"fields":{}}}`,
				`{"details":{"page":null,"referrer":null,"language":null,"fields":null}}`, `{"details":{"fields":{"a":null}}}`,
			} {
				got := w.expectJSON(w.post(w.nextChat(), "/user/join/Nika", body), 200)
				if w.natsURL == "" {
					entry, err := w.redis().LIndex(context.Background(), "chat:{"+got["chatId"].(string)+"}", 0).Result()
					if err != nil || strings.Contains(entry, "team") || strings.Contains(entry, "details") {
						w.Errorf("%s: %s, %v", body, entry, err)
					}
				}
			}
		},
		"what does not fit is refused and registers nobody": func(w *world) {
			long := func(n int) string { return strings.Repeat("ä", n) }
			many := obj{}
			for i := range 21 {
				many[fmt.Sprint(i)] = "x"
			}
			for what, body := range map[string]string{
				"empty": "", "no JSON": "{", "a list": "[]", "a word": `"x"`, "null": "null", "two": "{}{}", "not UTF-8": "{\"team\":\"\xff\"}",
				"team": `{"team":5}`, "an empty team": `{"team":""}`, "a long team": text(obj{"team": long(65)}),
				"details": `{"details":"x"}`, "a list of details": `{"details":[]}`,
				"page": `{"details":{"page":5}}`, "a long page": text(obj{"details": obj{"page": long(2049)}}),
				"a long referrer": text(obj{"details": obj{"referrer": long(2049)}}), "a long language": text(obj{"details": obj{"language": long(36)}}),
				"fields": `{"details":{"fields":["x"]}}`, "a field": `{"details":{"fields":{"a":5}}}`, "too many fields": text(obj{"details": obj{"fields": many}}),
				"a long key": text(obj{"details": obj{"fields": obj{long(65): "x"}}}), "a long value": text(obj{"details": obj{"fields": obj{"x": long(1001)}}}),
			} {
				r := w.post(w.nextChat(), "/user/join/Nobody", body)
				if r.status != 400 {
					w.Errorf("%s: %d %s", what, r.status, r.body)
					continue
				}
				w.expectFailure(r, 400, "bad_request")
			}
			w.expectFailure(w.post(w.nextChat(), "/user/join/%20", "{}"), 400, "bad_username")
			w.expectFailure(w.post(w.nextChat(), "/user/join/a/b", "{}"), 404, "not_found")
			largest := `{"details":{"language":"de"}}`
			largest += strings.Repeat(" ", 8192-len(largest))
			w.expectJSON(w.post(w.nextChat(), "/user/join/Largest", largest), 200)
			for _, size := range []int{1, 5000} { // of far more a client may see the connection end before the answer
				w.expectFailure(w.post(w.nextChat(), "/user/join/Nobody", largest+strings.Repeat(" ", size)), 413, "too_large")
			}
			if w.natsURL == "" {
				store := w.redis()
				for _, key := range store.Keys(context.Background(), "chat:*").Val() {
					if strings.Contains(store.LIndex(context.Background(), key, 0).Val(), "Nobody") {
						w.Errorf("%s is a chat of theirs", key)
					}
				}
			}
		},
		"the limits are characters": func(w *world) {
			long := func(n int) string { return strings.Repeat("ä", n) }
			w.registerWith("Nika", obj{"team": long(64), "details": obj{
				"page": long(2048), "language": long(35), "fields": obj{long(64): long(1000)},
			}})
		},
		"pages may register by POST": func(w *world) {
			r := w.request("OPTIONS", w.nextChat(), "/user/join/Nika", "Origin", "https://shop.example",
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
			if r.status != 204 || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") || r.header.Get("Access-Control-Allow-Origin") != "*" {
				w.Errorf("preflight: %d %v", r.status, r.header)
			}
			r = w.post(w.nextChat(), "/user/join/Nika", "{}", "Origin", "https://shop.example")
			if w.expectJSON(r, 200); r.header.Get("Access-Control-Allow-Origin") != "*" {
				w.Errorf("%v", r.header)
			}
		},
	}))
}

// standing is the args of Queue.
func standing(position, waiting int, estimate any) obj {
	if seconds, ok := estimate.(int); ok {
		estimate = float64(seconds)
	}
	return obj{"position": float64(position), "waiting": float64(waiting), "estimate": estimate}
}

// joinsQueueing joins as a user who waits and asks for the feature.
func (w *world) joinsQueueing(v *visitor) *client {
	w.Helper()
	c := w.chat(v)
	c.role = "User"
	c.send("Join", with(v.asUser(), "features", []string{"queue"}))
	c.expect("UserJoined", v.pending())
	return c
}

// awaitStanding reads Queue messages until this one comes.
func (c *client) awaitStanding(position, waiting int, estimate any) {
	c.t.Helper()
	want := frame("Queue", standing(position, waiting, estimate))
	var latest string
	for range 10 {
		got, err := c.take(frame("Queue", anything))
		if err != nil {
			c.t.Fatalf("waiting for %v after %s: %v", want, latest, err)
		}
		if mismatch("", want, got) == "" {
			return
		}
		latest = text(got)
	}
	c.t.Fatalf("%s instead of %v", latest, want)
}

func TestScenarioStanding(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(nil, scenarios{
		"who waits and asks is told how they stand": func(w *world) {
			first, second, third := w.register("Nika"), w.register("Dodo"), w.register("Ada")
			a := w.joinsQueueing(first)
			a.expect("Queue", standing(1, 1, nil))
			readme := w.user(second)
			a.expect("Queue", standing(1, 2, nil))
			c := w.joinsQueueing(third)
			c.expect("Queue", standing(3, 3, nil))
			a.expect("Queue", standing(1, 3, nil))
			tab := w.chat(third) // the same for another tab, on another server
			tab.send("Join", with(third.asUser(), "features", []string{"queue", "messageId"}))
			tab.expect("UserJoined", third.pending())
			tab.expect("Queue", standing(3, 3, nil))

			// Claimed: about to be taken. The next one moves up.
			agent := w.loadedAgent(first, second, third)
			agent.send("JoinUser", first.claim())
			a.awaitStanding(0, 2, nil)
			c.awaitStanding(2, 2, nil)
			tab.awaitStanding(2, 2, nil)
			a.role, c.role = "User", "User"
			w.support(first, "Vika").ignoreRest()
			a.v = first
			a.expectSupportJoined()

			// Not in the queue any more: nothing more is told.
			w.support(second, "Vika").ignoreRest()
			agent.ignoreRest()
			readme.expectSupportJoined()
			c.awaitStanding(1, 1, nil)
			readme.expectNothing()
			a.expectNothing()
			tab.ignoreRest()
		},
		"with three takes there is an estimate": func(w *world) {
			for range 3 {
				v := w.register("Nika")
				user := w.user(v)
				w.support(v, "Vika").ignoreRest()
				user.expectSupportJoined()
				time.Sleep(700 * time.Millisecond) // the time between takes
			}
			v, next := w.register("Dodo"), w.register("Ada")
			a := w.joinsQueueing(v)
			one := a.expect("Queue", obj{"position": 1.0, "waiting": 1.0, "estimate": anything})["estimate"].(float64)
			if one < 1 || one > 10 {
				w.Errorf("the estimate is %v s", one)
			}
			a.ignoreRest()
			w.joinsQueueing(next).awaitSecond(one)
		},
		"a support who asks for it gets nothing": func(w *world) {
			v := w.register("Nika")
			w.user(v).ignoreRest()
			support := w.chat(v)
			support.send("Join", with(v.asSupport("Vika"), "features", []string{"queue"}))
			support.expect("SupportJoinedUser", with(with(v.supported(), "supportUserName", "Vika"), "supportId", anyID))
			support.expectNothingFor(2500 * time.Millisecond)
		},
	}))
}

// awaitSecond wants twice the estimate of the first, rounded.
func (c *client) awaitSecond(first float64) {
	c.t.Helper()
	got := c.expect("Queue", obj{"position": 2.0, "waiting": 2.0, "estimate": anything})["estimate"].(float64)
	if got < 2*first-1 || got > 2*first+1 {
		c.t.Errorf("the estimate is %v s, the first one's is %v s", got, first)
	}
}
