package backend_test

import (
	"strings"
	"testing"
)

// TestScenarioJoinTable has one scenario, or more, for each row of the table.
func TestScenarioJoinTable(t *testing.T) {
	t.Parallel()
	const nobody = "0123456789abcdef0123456789abcdef"
	inEveryPlace(t, shared(nil, scenarios{
		"any, any, never there: ChatExpired and 1000": func(w *world) {
			v := &visitor{username: "Nika", userID: nobody, chatID: strings.Repeat("f", 32), supportName: "Vika"}
			for _, join := range []obj{
				v.asUser(), with(v.asUser(), "supportId", nobody),
				v.asSupport("Vika"), with(v.asSupport("Vika"), "supportId", nobody),
			} {
				c := w.chat(v)
				c.send("Join", join)
				c.expectExpired(v)
			}
		},
		"User, none, fresh: UserJoined, and announced": func(w *world) {
			users := w.usersChannel()
			v := w.register("Nika")
			c := w.chat(v)
			c.send("Join", v.asUser())
			c.expect("UserJoined", v.pending())
			c.expectAnswersOnly()
			users.expectAbout(v, frame("UserJoined", v.pending()))
		},
		"User, none, fresh: not announced before the Join": func(w *world) {
			users := w.usersChannel()
			v := w.register("Nika")
			w.chat(v).expectNothing()
			users.expectAbout(v)
		},
		"User, none, pending, nothing written: UserJoined again, no second announcement": func(w *world) {
			users := w.usersChannel()
			v := w.register("Nika")
			first, second := w.user(v), w.chat(v)
			second.send("Join", v.asUser())
			second.expect("UserJoined", v.pending())
			second.expectNothing()
			first.expectAnswersOnly()
			users.expectAbout(v, frame("UserJoined", v.pending()))
		},
		"User, none, pending, something written: UserJoined, ChatHistory": func(w *world) {
			users := w.usersChannel()
			v := w.register("Nika")
			first := w.user(v)
			one, two := first.said("is anybody there?"), first.said("hello?")
			second := w.chat(v)
			second.send("Join", v.asUser())
			second.expect("UserJoined", v.pending())
			second.expectHistory(one, two)
			second.expectAnswersOnly()
			first.expectAnswersOnly()
			users.expectAbout(v, frame("UserJoined", v.pending()))
		},
		"User, given, fresh: as without a supportId": func(w *world) {
			users := w.usersChannel()
			v := w.register("Nika")
			c := w.chat(v)
			c.send("Join", with(v.asUser(), "supportId", nobody))
			c.expect("UserJoined", v.pending())
			c.expectAnswersOnly()
			users.expectAbout(v, frame("UserJoined", v.pending()))
		},
		"User, given, pending: as without a supportId": func(w *world) {
			v := w.register("Nika")
			first := w.user(v)
			one := first.said("is anybody there?")
			second := w.chat(v)
			second.send("Join", with(v.asUser(), "supportId", nobody))
			second.expect("UserJoined", v.pending())
			second.expectHistory(one)
			second.expectAnswersOnly()
		},
		"User, none, has a support: UserJoined, SupportJoinedUser, ChatHistory": func(w *world) {
			v, user, support := w.couple()
			one := user.said("hello", support)
			c := w.chat(v)
			c.send("Join", v.asUser())
			c.expect("UserJoined", v.pending())
			c.expectSupportJoined()
			c.expectHistory(one)
			c.expectAnswersOnly()
			user.expectAnswersOnly()
			support.expectAnswersOnly()
		},
		"User, none, has a support, nothing written: the history is empty": func(w *world) {
			v, _, _ := w.couple()
			c := w.chat(v)
			c.send("Join", v.asUser())
			c.expect("UserJoined", v.pending())
			c.expectSupportJoined()
			c.expectHistory()
			c.expectAnswersOnly()
		},
		"User, none, has a support though the user never connected: never fresh": func(w *world) {
			users := w.usersChannel()
			v := w.register("Nika")
			support := w.support(v, "Vika")
			support.expectAnswersOnly()
			one := support.said("are you there?")
			c := w.chat(v)
			c.send("Join", v.asUser())
			c.expect("UserJoined", v.pending())
			c.expectSupportJoined()
			c.expectHistory(one)
			c.expectNothing()
			support.expectAnswersOnly()
			users.expectAbout(v)
		},
		"User, given, alive: ChatHistory to this socket": func(w *world) {
			v, user, support := w.couple()
			one := user.said("hello", support)
			two := support.said("hi", user)
			c := w.chat(v)
			c.rejoins("User")
			c.expectHistory(one, two)
			c.expectAnswersOnly()
			user.expectAnswersOnly()
			support.expectAnswersOnly()
		},
		"User, given, alive, nothing written: ChatHistory, empty": func(w *world) {
			v, _, _ := w.couple()
			c := w.chat(v)
			c.rejoins("User")
			c.expectHistory()
			c.expectAnswersOnly()
		},
		"User, given, another support by now: SupportJoinedUser, ChatHistory": func(w *world) {
			v, user, support := w.couple()
			one := user.said("hello", support)
			c := w.chat(v)
			c.send("Join", with(v.asUser(), "supportId", nobody))
			c.expectSupportJoined()
			c.expectHistory(one)
			c.expectAnswersOnly()
		},
		"User, any, the userId is not the chat's: forbidden and 1008": func(w *world) {
			v, other := w.register("Nika"), w.register("Dodo")
			join := with(v.asUser(), "userId", other.userID)
			for _, args := range []obj{join, with(join, "supportId", nobody)} {
				c := w.chat(v)
				c.send("Join", args)
				c.expectError("forbidden")
				c.expectClose(1008)
			}
			// It did no harm: the chat is as fresh as before.
			w.user(v).expectAnswersOnly()
		},
		"Support, none, no support yet: SupportJoinedUser to every socket": func(w *world) {
			v := w.register("Nika")
			first, second := w.user(v), w.user(v)
			support := w.support(v, "Vika")
			first.expectSupportJoined()
			second.expectSupportJoined()
			support.expectAnswersOnly() // nothing was written: no history
		},
		"Support, none, no support yet, the user has written: then ChatHistory to the support": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			one, two := user.said("hello?"), user.said("anybody?")
			support := w.support(v, "Vika")
			support.expectHistory(one, two) // with the empty supportId, as delivered
			user.expectSupportJoined()
			user.expectAnswersOnly()
			support.expectAnswersOnly()
			three := support.said("here I am", user)
			c := w.chat(v)
			c.rejoins("User")
			c.expectHistory(one, two, three)
		},
		"Support, none, no support yet: the user stops being pending": func(w *world) {
			users := w.usersChannel()
			v, _, _ := w.couple()
			users.expectAbout(v, frame("UserJoined", v.pending()), frame("RemoveUser", obj{"userId": v.userID}))
		},
		"Support, none, has a support: already_taken and 1008": func(w *world) {
			v, user, support := w.couple()
			c := w.chat(v)
			c.send("Join", v.asSupport("Kiku"))
			c.expectError("already_taken")
			c.expectClose(1008)
			user.expectAnswersOnly()
			support.expectAnswersOnly()
			user.said("still yours", support)
		},
		"Support, the chat's: ChatHistory to this socket": func(w *world) {
			v, user, support := w.couple()
			c := w.chat(v)
			c.rejoins("Support")
			c.expectHistory()
			one := user.said("hello", support, c)
			two := c.said("hi", user, support)
			third := w.chat(v)
			third.rejoins("Support")
			third.expectHistory(one, two)
			third.expectAnswersOnly()
			user.expectAnswersOnly()
			support.expectAnswersOnly()
		},
		"Support, the chat's, without a name: not a first Join, so the name is not needed": func(w *world) {
			v, _, _ := w.couple()
			c := w.chat(v)
			c.send("Join", without(with(v.asSupport("Vika"), "supportId", v.supportID), "supportUserName"))
			c.expectHistory()
		},
		"Support, another: forbidden and 1008": func(w *world) {
			v, user, support := w.couple()
			c := w.chat(v)
			c.send("Join", with(v.asSupport("Kiku"), "supportId", nobody))
			c.expectError("forbidden")
			c.expectClose(1008)
			user.expectAnswersOnly()
			support.expectAnswersOnly()
		},
		"Support, another, in a chat without a support: forbidden and 1008": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			c := w.chat(v)
			c.send("Join", with(v.asSupport("Kiku"), "supportId", nobody))
			c.expectError("forbidden")
			c.expectClose(1008)
			user.expectAnswersOnly()
		},
		"Support, the name missing on a first Join: bad_request": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			c := w.chat(v)
			c.send("Join", without(v.asSupport("Vika"), "supportUserName"))
			c.expectError("bad_request")
			for _, name := range []string{"", " ", "\u200b", "\u2800\u3164", "a\nb", strings.Repeat("x", 65)} {
				c.send("Join", with(v.asSupport("Vika"), "supportUserName", name))
				c.expectError("bad_request")
			}
			user.expectAnswersOnly()
			c.joinsAsSupport("Vika") // the socket stayed open and may still join
			user.expectSupportJoined()
		},
		"Support, a name with what cannot be seen: everybody gets it without": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			c := w.chat(v)
			c.send("Join", v.asSupport("\u202eVi\u200bka\u2003\u2028 ✓ "))
			v.supportName = "Vika ✓"
			each([]*client{user, c}, func(c *client) { c.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID)) })
		},
		"Support, the name missing, has a support: the lowest row counts": func(w *world) {
			v, _, _ := w.couple()
			c := w.chat(v)
			c.send("Join", without(v.asSupport("Vika"), "supportUserName"))
			c.expectError("bad_request")
			c.expectAnswersOnly()
		},
		"Support, the userId is not the chat's: forbidden and 1008": func(w *world) {
			v, other := w.register("Nika"), w.register("Dodo")
			user := w.user(v)
			c := w.chat(v)
			c.send("Join", with(v.asSupport("Vika"), "userId", other.userID))
			c.expectError("forbidden")
			c.expectClose(1008)
			user.expectAnswersOnly()
		},
	}))
}

// TestScenarioJoin has what the sentences around the table say.
func TestScenarioJoin(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"a field missing, empty or of the wrong kind: bad_request, and the socket may try again": func(w *world) {
			v := w.register("Nika")
			c := w.chat(v)
			user, support := v.asUser(), v.asSupport("Vika")
			for _, args := range []any{
				nil, "Nika", []any{}, 7,
				without(user, "userId"), with(user, "userId", ""), with(user, "userId", 7), with(user, "userId", obj{}),
				without(user, "from"), with(user, "from", ""), with(user, "from", 7), with(user, "from", "Robot"), with(user, "from", "user"),
				with(user, "supportId", 7), with(user, "features", "messageId"), with(user, "features", []any{7}),
				without(support, "userId"), with(support, "supportUserName", 7),
			} {
				c.send("Join", args)
				c.expectError("bad_request")
			}
			c.joinsAsUser()
			c.said("at last")
		},
		"names are case-sensitive": func(w *world) {
			v := w.register("Nika")
			c := w.chat(v)
			c.send("Join", obj{"userid": v.userID, "username": v.username, "from": "User"})
			c.expectError("bad_request")
			c.send("Join", obj{"userId": v.userID, "username": v.username, "From": "User"})
			c.expectError("bad_request")
			c.send("join", v.asUser())
			c.expectError("unknown_type")
			c.sendText(`{"Type":"Join","args":` + text(v.asUser()) + `}`)
			c.expectError("bad_request")
			c.sendText(`{"type":"Join","Args":` + text(v.asUser()) + `}`)
			c.expectError("bad_request")
			c.joinsAsUser()
		},
		"ids are compared as written": func(w *world) {
			v := w.register("Nika")
			c := w.chat(v)
			c.send("Join", with(v.asUser(), "userId", strings.ToUpper(v.userID)))
			c.expectError("forbidden")
			c.expectClose(1008)
		},
		"a second Join is bad_request, and changes nothing": func(w *world) {
			v, user, support := w.couple()
			user.send("Join", v.asUser())
			user.expectError("bad_request")
			user.send("Join", v.asSupport("Nika"))
			user.expectError("bad_request")
			user.rejoins("User")
			user.expectError("bad_request")
			support.rejoins("Support")
			support.expectError("bad_request")
			user.said("still a user", support)
		},
		"UserJoined and SupportJoinedUser carry what was registered": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.send("Join", with(v.asUser(), "username", "Mallory"))
			user.expect("UserJoined", v.pending())
			support := w.chat(v)
			support.send("Join", with(v.asSupport("Vika"), "username", "Mallory"))
			v.supportName = "Vika"
			got := support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))
			user.expect("SupportJoinedUser", got)
		},
		"before Join a ChatMessage gets not_joined": func(w *world) {
			v := w.register("Nika")
			joined, c := w.user(v), w.chat(v)
			c.role = "User"
			c.say("let me in")
			c.expectError("not_joined")
			joined.said("only this")
			c.expectAnswersOnly() // who has not joined hears nothing
			c.send("Join", v.asUser())
			c.expect("UserJoined", v.pending())
			c.expectHistory(v.message("User", "only this"))
		},
		"unknown JSON fields are ignored": func(w *world) {
			v := w.register("Nika")
			c := w.chat(v)
			c.strays()
			c.role = "User"
			c.sendText(`{"id":17,"args":` + text(with(v.asUser(), "shoe", obj{"size": []any{43, nil}})) + `,"type":"Join","x":[]}`)
			c.expect("UserJoined", v.pending())
			c.sendText(`{"z":{"a":[1,2]},"type":"ChatMessage","args":` + text(with(c.says("hello"), "supportUserName", "Vika")) + `}`)
			c.expectMessage("User", "hello")
		},
		"several sockets of each participant, each gets everything": func(w *world) {
			v, user, support := w.couple()
			tab, desk := w.chat(v), w.chat(v)
			tab.rejoins("User")
			tab.expectHistory()
			desk.rejoins("Support")
			desk.expectHistory()
			all := []*client{user, support, tab, desk}
			for i, sender := range all {
				var others []*client
				for j, c := range all {
					if j != i {
						others = append(others, c)
					}
				}
				sender.said("hello from one of them", others...)
			}
			tab.close()
			user.said("one tab less", support, desk)
		},
		"of two supports at once exactly one wins": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			const supports = 6
			clients := make([]*client, supports)
			for i := range clients {
				clients[i] = w.chat(v)
			}
			for _, c := range clients {
				c.send("Join", v.asSupport("Vika"))
			}
			v.supportName = "Vika"
			won := user.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))
			v.supportID = won["supportId"].(string)
			winners := 0
			for _, c := range clients {
				got, err := c.next(patience)
				if err != nil {
					w.Fatal(err)
				}
				answer, err := parse(got)
				if err != nil {
					w.Fatal(err)
				}
				if mismatch("", frame("SupportJoinedUser", won), answer) == "" {
					winners++
					c.role = "Support"
					c.said("I have you", user)
					continue
				}
				want := frame("Error", obj{"code": "already_taken", "message": aSentence})
				if wrong := mismatch("", want, answer); wrong != "" {
					w.Fatalf("a support got %s: %s", got, wrong)
				}
				c.expectClose(1008)
			}
			if winners != 1 {
				w.Fatalf("%d supports won", winners)
			}
			user.expectAnswersOnly()
		},
		"ids of two users and chats differ, and a supportId is one's own": func(w *world) {
			one, _, _ := w.couple()
			two, _, _ := w.couple()
			seen := map[string]bool{}
			for _, id := range []string{one.userID, one.chatID, one.supportID, two.userID, two.chatID, two.supportID} {
				if seen[id] {
					w.Fatalf("id %s twice", id)
				}
				seen[id] = true
			}
		},
	}))
}
