package backend_test

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

// Agents see what a visitor whom the site knows has talked about before.
func TestScenarioEarlier(t *testing.T) {
	t.Parallel()
	agents := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
	tune := func(c *backend.Config) {
		c.AgentSecret, c.AgentAudience, c.AgentIssuer, c.VisitorSecret = agentSecret, agentAudience, agentIssuer, visitorSecret
	}
	inEveryPlace(t, kept(tune, shared, scenarios{
		"a visitor is back": func(w *world) {
			vika := agents.sign(claimsOf("vika", "Vika"))
			headers := []string{"Authorization", "Bearer " + vika}
			talk := func(sub, text string) *visitor {
				v := w.register("Nika")
				if sub != "" {
					claims := visitorClaims("Nika")
					claims["sub"] = sub
					v = w.registerAs("Nika", visitorSigner.sign(claims), "Nika")
				}
				user := w.user(v)
				support := agent{w, vika}.chat(v)
				support.joinsAsSupport("Vika")
				support.ignoreRest()
				user.expect("SupportJoinedUser", with(with(v.supported(), "supportId", anyID), "supportUserName", "Vika"))
				user.say(text)
				user.ignoreRest()
				return v
			}
			sub := "customer/" + w.Name()
			first := talk(sub, "where is my order?")
			w.listed(first, "order", headers...)
			stranger := talk("", "where is it?")
			w.listed(stranger, "where", headers...)

			back := talk(sub, "me again")
			answer := w.api("GET", "/chats/"+back.chatID+"/earlier", headers...)
			got := w.expectJSON(answer, 200)["chats"].([]any)
			if len(got) != 1 {
				w.Fatalf("%v", got)
			}
			one := got[0].(obj)
			if one["chatId"] != first.chatID || one["message"] != "where is my order?" || one["sub"] != sub ||
				mismatch("", []obj{{"agent": "vika", "supportUserName": "Vika"}}, one["agents"]) != "" {
				w.Errorf("%v", one)
			}
			living := talk("", "nobody knows me")
			for _, id := range []string{living.chatID, first.chatID, stranger.chatID} {
				if got := w.expectJSON(w.api("GET", "/chats/"+id+"/earlier", headers...), 200)["chats"].([]any); len(got) != 0 {
					w.Errorf("%v", got)
				}
			}
			for _, id := range []string{strings.Repeat("0", 32), "x"} {
				w.expectFailure(w.api("GET", "/chats/"+id+"/earlier", headers...), 404, "not_found")
			}
			w.expectFailure(w.api("GET", "/chats/"+back.chatID+"/earlier"), 401, "unauthorized")
			if r := w.get(w.nextChat(), "/api/v1/chats/"+back.chatID+"/earlier", headers...); r.status != 404 {
				w.Errorf("on the chat server's port: %d", r.status)
			}
		},
	}))
}
