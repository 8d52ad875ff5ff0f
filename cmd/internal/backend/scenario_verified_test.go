package backend_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

const visitorSecret = "the visitors' secret has 33 bytes"

// visitorSigner is the site that knows its users.
var visitorSigner = signer{jwt.SigningMethodHS256, []byte(visitorSecret), ""}

func visitorClaims(name string) jwt.MapClaims {
	return jwt.MapClaims{"sub": "customer 7", "name": name, "email": "nika@example.com", "exp": time.Now().Add(time.Hour).Unix()}
}

// badVisitorTokens must register nobody.
func badVisitorTokens() map[string]string {
	set := func(key string, value any) string {
		claims := visitorClaims("Nika")
		claims[key] = value
		return visitorSigner.sign(claims)
	}
	good := visitorSigner.sign(visitorClaims("Nika"))
	parts := strings.Split(good, ".")
	other := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
	return map[string]string{
		"empty":           "",
		"no token at all": "Nika",
		"no signature":    parts[0] + "." + parts[1] + ".",
		"wrong signature": signer{jwt.SigningMethodHS256, []byte(strings.Repeat("x", 33)), ""}.sign(visitorClaims("Nika")),
		"an agent's":      other.sign(claimsOf("nika", "Nika")),
		"alg none":        signer{jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, ""}.sign(visitorClaims("Nika")),
		"alg None":        base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".",
		"HS512":           signer{jwt.SigningMethodHS512, []byte(visitorSecret), ""}.sign(visitorClaims("Nika")),
		"expired":         set("exp", time.Now().Add(-time.Hour).Unix()),
		"never expires":   set("exp", nil),
		"not yet valid":   set("nbf", time.Now().Add(time.Hour).Unix()),
		"nobody":          set("sub", ""),
		"name is no name": set("name", "Ni\nka"),
	}
}

// registerAs registers with a visitor's token.
func (w *world) registerAs(path, token, name string) *visitor {
	w.Helper()
	r := w.get(w.nextChat(), "/user/join/"+path, "Authorization", "Bearer "+token)
	got := w.expectJSON(r, 200)
	if wrong := mismatch("", obj{"username": name, "userId": anyID, "chatId": anyID}, got); wrong != "" {
		w.Fatalf("%s: %s", r.body, wrong)
	}
	return &visitor{username: name, userID: got["userId"].(string), chatID: got["chatId"].(string)}
}

// asking loads with the feature, as one frame or not, and sees who waits.
func (w *world) asking(batch bool, waiting ...obj) *client {
	w.Helper()
	c := w.agent()
	c.send("Load", obj{"batch": batch, "features": []string{"else", "verified"}})
	if batch {
		users := make([]any, len(waiting))
		for i := range waiting {
			users[i] = waiting[i]
		}
		c.expect("PendingUsers", obj{"users": users})
	} else {
		for _, user := range waiting {
			c.expectObject(user)
		}
	}
	c.expectAnswersOnly()
	return c
}

func TestScenarioVerified(t *testing.T) {
	t.Parallel()
	tune := func(c *backend.Config) {
		c.VisitorSecret = visitorSecret
		c.ClaimTTL = 300 * time.Millisecond
	}
	verified := func(v *visitor) obj { return with(v.pending(), "verified", true) }
	token := visitorSigner.sign(visitorClaims("Nika"))
	inEveryPlace(t, alone(tune, scenarios{
		"who is verified is told to whom it asks, and to nobody else": func(w *world) {
			topic := w.redis().Subscribe(context.Background(), "users")
			w.Cleanup(func() { _ = topic.Close() })
			if _, err := topic.Receive(context.Background()); err != nil {
				w.Fatal(err)
			}
			before, asked, askedBatch := w.loadedAgent(), w.asking(false), w.asking(true)
			nika := w.registerAs("Nika", token, "Nika")
			w.user(nika)
			before.expect("UserJoined", nika.pending())
			asked.expect("UserJoined", verified(nika))
			askedBatch.expect("UserJoined", verified(nika))
			ada := w.register("Nika") // of the same name, and nobody has vouched for her
			w.user(ada)
			for _, c := range []*client{before, asked, askedBatch} {
				c.expect("UserJoined", ada.pending())
			}
			for _, c := range []*client{
				w.loadedAgent(nika, ada),
				w.asking(false, verified(nika), ada.pending()),
				w.asking(true, verified(nika), ada.pending()),
			} {
				c.ignoreRest()
			}
			// The latest Load counts.
			asked.load(nika, ada)
			before.send("Load", obj{"features": []string{"verified"}})
			before.expectObject(verified(nika))
			before.expectObject(ada.pending())
			// A claim that runs out announces again.
			askedBatch.send("JoinUser", nika.claim())
			for _, c := range []*client{before, asked, askedBatch} {
				c.expectRemoved(nika)
			}
			before.expect("UserJoined", verified(nika))
			asked.expect("UserJoined", nika.pending())
			askedBatch.expect("UserJoined", verified(nika))
			if w.natsURL == "" {
				for _, v := range []*visitor{nika, ada} {
					got := <-topic.Channel()
					if want := `{"type":"UserJoined","args":{"username":"Nika","userId":"` + v.userID + `","chatId":"` + v.chatID + `"}}`; got.Payload != want {
						w.Errorf("on the topic: %s, want %s", got.Payload, want)
					}
				}
			}
		},
		"nobody can verify themselves on the topic": func(w *world) {
			if w.natsURL != "" {
				return // the lobby's handling is the same
			}
			asked := w.asking(true)
			stranger := &visitor{username: "Eve", userID: strings.Repeat("e", 32), chatID: strings.Repeat("f", 32)}
			event := `{"type":"UserJoined","args":{"username":"Eve","userId":"` + stranger.userID + `","chatId":"` + stranger.chatID + `","verified":true}}`
			if err := w.redis().Publish(context.Background(), "users", event).Err(); err != nil {
				w.Fatal(err)
			}
			asked.expect("UserJoined", stranger.pending())
		},
	}), shared(tune, scenarios{
		"a bad token registers nobody": func(w *world) {
			for what, bad := range badVisitorTokens() {
				for _, path := range []string{"/user/join/Nika", "/user/join/"} {
					r := w.get(w.nextChat(), path, "Authorization", "Bearer "+bad)
					if r.status != 401 || r.header.Get("WWW-Authenticate") != "Bearer" {
						w.Errorf("%s: %d %s", what, r.status, r.body)
						continue
					}
					w.expectFailure(r, 401, "unauthorized")
				}
			}
			if body := w.get(w.chats[0], "/metrics").body; !strings.Contains(body, `livesupport_refused_total{reason="unauthorized",server="chat"}`) {
				w.Errorf("metrics: %.500s", body)
			}
		},
		"the name is the token's": func(w *world) {
			ana := visitorSigner.sign(visitorClaims(" Ana María "))
			w.registerAs("Ana%20Mar%C3%ADa", ana, "Ana María")
			w.registerAs("", ana, "Ana María")
			only := visitorClaims("")
			delete(only, "name")
			w.registerAs("", visitorSigner.sign(only), "customer 7")
			for _, path := range []string{"Vika", "ana%20mar%C3%ADa", "customer%207"} {
				w.expectFailure(w.get(w.nextChat(), "/user/join/"+path, "Authorization", "Bearer "+ana), 403, "forbidden")
			}
			w.expectFailure(w.get(w.nextChat(), "/user/join/%20", "Authorization", "Bearer "+ana), 400, "bad_username")
			w.expectFailure(w.get(w.nextChat(), "/user/join/"), 400, "bad_username")
		},
		"where the Authorization is a password, a header of its own has the token": func(w *world) {
			const password = "Basic c2hvcDpzZWNyZXQ="
			for _, other := range []string{password, "Bearer rubbish", ""} {
				r := w.get(w.nextChat(), "/user/join/", "Authorization", other, "Livesupport-Token", token)
				if got := w.expectJSON(r, 200); got["username"] != "Nika" || !strings.Contains(r.header.Get("Vary"), "Livesupport-Token") {
					w.Errorf("%s, %v", r.body, r.header)
				}
			}
			for what, bad := range badVisitorTokens() {
				if bad == "" {
					continue // as if it were not there
				}
				r := w.get(w.nextChat(), "/user/join/Nika", "Authorization", password, "Livesupport-Token", bad)
				if r.status != 403 || r.header.Get("WWW-Authenticate") != "" {
					w.Errorf("%s: %d %s", what, r.status, r.body)
					continue
				}
				w.expectFailure(r, 403, "unauthorized")
			}
			w.expectJSON(w.get(w.nextChat(), "/user/join/Nika", "Livesupport-Token", ""), 200)
		},
		"no URL and no cookie verifies": func(w *world) {
			for _, path := range []string{"Nika?token=", "Nika?access_token=", "Nika?bearer="} {
				w.registerAt(w.nextChat(), path+"rubbish", "Nika") // not even looked at
			}
			w.expectJSON(w.get(w.nextChat(), "/user/join/Nika", "Cookie", "token=rubbish"), 200)
			w.expectJSON(w.get(w.nextChat(), "/user/join/Nika", "Sec-WebSocket-Protocol", "bearer.rubbish"), 200)
			w.expectJSON(w.get(w.nextChat(), "/user/join/Nika", "Authorization", "Basic rubbish"), 200)
		},
		"pages may show a token": func(w *world) {
			r := w.request("OPTIONS", w.nextChat(), "/user/join/Nika", "Origin", "https://shop.example",
				"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
			if r.status != 204 || !strings.EqualFold(r.header.Get("Access-Control-Allow-Headers"), "authorization") || r.header.Get("Access-Control-Allow-Origin") != "*" {
				w.Errorf("preflight: %d %v", r.status, r.header)
			}
		},
	}), shared(func(c *backend.Config) { c.VisitorSecret, c.AgentSecret = visitorSecret, agentSecret }, scenarios{
		"a visitor's token makes no agent": func(w *world) {
			v := w.registerAs("Nika", token, "Nika")
			for _, route := range [][2]string{{w.nextLobby(), "/users"}, {w.nextChat(), "/chat/" + v.chatID}} {
				w.expectFailure(w.get(route[0], route[1], append([]string{"Authorization", "Bearer " + token}, upgrading...)...), 401, "unauthorized")
			}
		},
	}), shared(nil, scenarios{
		"without a secret a token is not looked at": func(w *world) {
			for _, bad := range []string{"rubbish", token} {
				v := w.registerAs("Vika", bad, "Vika")
				if w.user(v); w.natsURL == "" {
					entry, err := w.redis().LIndex(context.Background(), "chat:{"+v.chatID+"}", 0).Result()
					if err != nil || strings.Contains(entry, "verified") {
						w.Errorf("%s, %v", entry, err)
					}
				}
			}
		},
	}))
}
