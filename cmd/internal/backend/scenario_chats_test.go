package backend_test

import (
	"testing"

	"livesupport/cmd/internal/backend"
)

// held returns what supervisors are told about a chat.
func held(v *visitor, agent any, team string) obj {
	return obj{
		"chatId": v.chatID, "userId": v.userID, "username": v.username, "agent": agent,
		"supportId": v.supportID, "supportUserName": v.supportName, "team": team, "since": aTimestamp,
	}
}

func TestScenarioChats(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(withTokens, scenarios{
		"supervisors are told of every chat that has a support, others of none": func(w *world) {
			before, _, _ := w.vikasChat("Zaza") // before anybody asks
			boss := w.person("Boss", "supervisor").sits("chats")
			boss.expect("Chat", held(before, "Vika", ""))
			agent := w.person("Dodo").sits("chats")
			v := w.registerWith("Nika", obj{"team": "billing"})
			user := w.user(v)
			user.ignoreRest()
			each([]*client{boss, agent}, func(c *client) { c.expectAnnounced(v) })
			support := w.person("Vika").chat(v)
			support.ignoreRest()
			support.joinsAsSupport("Vika")
			each([]*client{boss, agent}, func(c *client) { c.expectRemoved(v) })
			boss.expect("Chat", held(v, "Vika", "billing"))
			late := w.person("Boss", "supervisor").sits("chats")
			late.expect("Chat", held(before, "Vika", ""))
			late.expect("Chat", held(v, "Vika", "billing"))
			support.send("Transfer", obj{"to": "queue"})
			support.expectClose(1000)
			for _, c := range []*client{boss, late} {
				c.ignoreRest()
				if got := c.expectPast("ChatGone"); got["chatId"] != v.chatID {
					w.Errorf("gone: %v", got)
				}
			}
			again := v.given()
			next := w.person("Dodo").chat(again)
			next.ignoreRest()
			next.joinsAsSupport("Dodo")
			for _, c := range []*client{boss, late} {
				if wrong := mismatch("", held(again, "Dodo", "billing"), c.expectPast("Chat")); wrong != "" {
					w.Error(wrong)
				}
			}
			user.send("CloseChat", nil)
			for _, c := range []*client{boss, late} {
				if got := c.expectPast("ChatGone"); got["chatId"] != v.chatID {
					w.Errorf("gone: %v", got)
				}
			}
			agent.expectAnnounced(v)
			agent.expectRemoved(v)
			agent.expectNothing()
		},
	}), alone(unlimited, scenarios{
		"without tokens anybody is told": func(w *world) {
			desk := w.sits("Boss", "chats")
			v, user, support := w.couple()
			support.ignoreRest()
			desk.ignoreRest()
			if wrong := mismatch("", held(v, "", ""), desk.expectPast("Chat")); wrong != "" {
				w.Error(wrong)
			}
			user.ignoreRest()
			user.send("CloseChat", nil)
			if got := desk.expectPast("ChatGone"); got["chatId"] != v.chatID {
				w.Errorf("gone: %v", got)
			}
		},
	}), alone(func(c *backend.Config) { unlimited(c); c.ChatTTL = 3e9 * slowness }, scenarios{
		"a chat that expires is gone": func(w *world) {
			desk := w.sits("Boss", "chats")
			v, user, support := w.couple()
			user.ignoreRest()
			support.ignoreRest()
			desk.ignoreRest()
			desk.expectPast("Chat")
			if got := desk.expectPast("ChatGone"); got["chatId"] != v.chatID {
				w.Errorf("gone: %v", got)
			}
		},
	}))
}
