package backend_test

import (
	"fmt"
	"strings"
	"testing"

	"livesupport/cmd/internal/backend"
)

// filled puts the ids of this conversation into a frame of the README.
func filled(readme string, v *visitor) string {
	return strings.NewReplacer("USER", v.userID, "CHAT", v.chatID, "SUPPORT", v.supportID).Replace(readme)
}

// TestScenarioReadme is the conversation of the original README, step by step,
// with its frames as they stand there.
func TestScenarioReadme(t *testing.T) {
	t.Parallel()
	const ttl = 2 // seconds
	inEveryPlace(t, alone(nil, scenarios{
		"the whole conversation": func(w *world) {
			// 1. Register.
			nika := w.register("Nika")

			// 2. The user's socket.
			user := w.chat(nika)
			user.sendText(filled(`{
				"type": "Join",
				"args": {
					"userId": "USER",
					"username": "Nika",
					"from": "User"
				}
			}`, nika))
			user.expect("UserJoined", obj{"username": "Nika", "userId": nika.userID, "chatId": nika.chatID})

			// 3. The lobby.
			vika, kiku := w.agent(), w.agent()
			for _, agent := range []*client{vika, kiku} {
				agent.sendText(`{
					"type": "Load"
				}`)
				agent.expectObject(obj{"username": "Nika", "userId": nika.userID, "chatId": nika.chatID})
			}
			dodo := w.register("Dodo")
			w.user(dodo)
			for _, agent := range []*client{vika, kiku} {
				agent.expect("UserJoined", obj{"username": "Dodo", "userId": dodo.userID, "chatId": dodo.chatID})
			}
			vika.sendText(filled(`{
				"type": "JoinUser",
				"args": {
					"userId": "USER",
					"chatId": "CHAT",
					"username": "Nika"
				}
			}`, nika))
			for _, agent := range []*client{vika, kiku} {
				agent.expect("RemoveUser", obj{"userId": nika.userID})
			}

			// 4. The support's socket.
			support := w.chatAs(w.nextChat(), nika, "pong:support")
			support.sendText(filled(`{
				"type": "Join",
				"args": {
					"userId" : "USER",
					"supportUserName": "Vika",
					"username": "Nika",
					"from": "Support"
				}
			}`, nika))
			joined := support.expect("SupportJoinedUser", obj{
				"supportId": anyID, "supportUserName": "Vika",
				"username": "Nika", "userId": nika.userID, "chatId": nika.chatID,
			})
			user.expect("SupportJoinedUser", joined)
			nika.supportID = joined["supportId"].(string)

			// They talk.
			user.sendText(filled(`{
				"type": "ChatMessage",
				"args": {
					"userId": "USER",
					"supportId": "SUPPORT",
					"content": "Hey, I want to transfer money offshore, how can I do it via internet bank?",
					"from": "User"
				}
			}`, nika))
			question := user.expectMessage("User", "Hey, I want to transfer money offshore, how can I do it via internet bank?")
			support.expect("ChatMessage", question)
			support.sendText(filled(`{
				"type": "ChatMessage",
				"args": {
					"userId": "USER",
					"supportId": "SUPPORT",
					"supportUserName": "Vika",
					"content": "Hello, please navigate to Transfer and then select Offshore :)",
					"from": "Support"
				}
			}`, nika))
			answer := support.expectMessage("Support", "Hello, please navigate to Transfer and then select Offshore :)")
			user.expect("ChatMessage", answer)

			// Both refresh their browsers.
			user.close()
			user = w.chat(nika)
			user.sendText(filled(`{
				"type": "Join",
				"args": {
					"userId": "USER",
					"supportId": "SUPPORT",
					"username": "Nika",
					"from": "User"
				}
			}`, nika))
			user.expectHistory(question, answer)
			support.close()
			support = w.chatAs(w.nextChat(), nika, "pong:support")
			support.sendText(filled(`{
				"type": "Join",
				"args": {
					"userId": "USER",
					"supportId": "SUPPORT",
					"username": "Nika",
					"supportUserName": "Vika",
					"from": "Support"
				}
			}`, nika))
			support.expectHistory(question, answer)
			user.role, support.role = "User", "Support"
			user.said("Thank you!", support)
			support.said("You are welcome.", user)
			for _, c := range []*client{user, support, vika, kiku} {
				c.expectNothing()
			}
		},
	}), shared(func(c *backend.Config) { c.ChatTTL = ttl * 1e9 }, scenarios{
		"a client that speaks only the README sees none of the rest": func(w *world) {
			v, user, support := w.couple()
			tab := w.chat(v)
			tab.role = "User"
			tab.send("Join", listing(with(v.asUser(), "supportId", v.supportID)))
			tab.expectHistory()
			agent := w.agent()
			agent.ignoreRest() // it sees the users of other scenarios too
			agent.send("Load", nil)
			for i := range 5 {
				content := fmt.Sprint("with an id ", i)
				tab.sayID(content, fmt.Sprint("id-", i))
				echo := without(tab.expectEcho("User", content, fmt.Sprint("id-", i)), "messageId")
				user.expect("ChatMessage", echo) // exact: no messageId
				support.expect("ChatMessage", echo)
			}
			user.send("ChatMessage", with(with(user.says(""), "messageId", "id-9"), "content", ""))
			user.expectError("bad_request") // exact: no messageId
			each([]*client{user, support, tab}, func(c *client) { c.expectExpired(v) })

			named := map[any]bool{"UserJoined": true, "RemoveUser": true, "Error": true}
			for {
				got, err := agent.next(quiet)
				if err != nil {
					break
				}
				object, err := parse(got)
				if err != nil {
					w.Fatal(err)
				}
				typ, typed := object["type"]
				if !typed {
					if wrong := mismatch("", obj{"username": aSentence, "userId": anyID, "chatId": anyID}, object); wrong != "" {
						w.Fatalf("%s: %s", got, wrong)
					}
				} else if !named[typ] {
					w.Fatalf("the agent got %s", got)
				}
			}
		},
	}))
}
