package backend_test

import (
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

func TestScenarioQueue(t *testing.T) {
	t.Parallel()
	const grace = 1500 * time.Millisecond
	const ttl = 3 * time.Second // in which waiting users are renewed several times
	inEveryPlace(t, alone(nil, scenarios{
		"a support joined the chat without JoinUser: RemoveUser on every lobby": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo")
			agents := w.agents(4, users...)
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			agents[0].expectNothing()
			each(agents, (*client).expectAnswersOnly)
			w.loadedAgent(users[1])
		},
		"a user with a support is not announced again by another Join": func(w *world) {
			users, sockets := w.waiting("Nika")
			agents := w.agents(2, users...)
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			sockets[0].close()
			c := w.chat(users[0])
			c.rejoins("User")
			c.expectHistory()
			each(agents, (*client).expectNothing)
			w.loadedAgent()
		},
		"a user whose support came first never waits": func(w *world) {
			agents := w.agents(2)
			v := w.register("Nika")
			w.support(v, "Vika")
			c := w.chat(v)
			c.send("Join", v.asUser())
			c.expect("UserJoined", v.pending())
			c.expectSupportJoined()
			c.expectHistory()
			each(agents, (*client).expectNothing)
			w.loadedAgent()
		},
	}), alone(func(c *backend.Config) { c.LeaveGrace = grace }, scenarios{
		"a user without a socket for the grace time has left: RemoveUser": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo", "Zaza")
			agents := w.agents(4, users...)
			closing := time.Now()
			sockets[0].close()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			if stayed := time.Since(closing); stayed < grace-100*time.Millisecond {
				w.Fatalf("left after %v already", stayed)
			}
			_ = sockets[1].conn.CloseNow() // without a close frame, as a crash does
			each(agents, func(a *client) { a.expectRemoved(users[1]) })
			w.loadedAgent(users[2])
			each(agents, (*client).expectAnswersOnly)
		},
		"a refresh within the grace time does not flicker": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo")
			agents := w.agents(4, users...)
			for range 3 {
				sockets[0].close()
				sockets[0] = w.user(users[0]) // on the other server
			}
			agents[0].expectNothingFor(grace + grace/2)
			each(agents, (*client).expectAnswersOnly)
			w.loadedAgent(users...) // in the same place
		},
		"one tab of two does not make a user leave": func(w *world) {
			users, sockets := w.waiting("Nika")
			tab := w.user(users[0])
			agents := w.agents(2, users...)
			sockets[0].close()
			agents[0].expectNothingFor(grace + grace/2)
			agents[1].expectAnswersOnly()
			tab.close()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
		},
		"a dropped user who comes back is at the end, and announced again": func(w *world) {
			heard := w.usersChannel()
			users, sockets := w.waiting("Nika", "Dodo")
			agents := w.agents(2, users...)
			sockets[0].close()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			w.user(users[0])
			each(agents, func(a *client) { a.expectAnnounced(users[0]) })
			agents = append(agents, w.agents(2, users[1], users[0])...)
			each(agents, (*client).expectAnswersOnly)
			joined := frame("UserJoined", users[0].pending())
			heard.expectAbout(users[0], joined, frame("RemoveUser", obj{"userId": users[0].userID}), joined)
			// And may be claimed as anybody else.
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
		},
		"a dropped user who comes back keeps what was written": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			one := user.said("anybody?")
			a := w.loadedAgent(v)
			user.close()
			a.expectRemoved(v)
			support := w.support(v, "Vika")
			support.expectHistory(one)
			a.expectNothing()
		},
	}), alone(func(c *backend.Config) { c.ChatTTL = ttl }, scenarios{
		"a waiting user whose chat expired: RemoveUser": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo")
			agents := w.agents(2, users...)
			sockets[0].close()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			w.loadedAgent(users[1])
			each(agents, (*client).expectAnswersOnly)
			w.chatExpires(users[0]) // the queue may be a moment ahead
			w.chatIsGone(users[0])
		},
	}))
}

func TestScenarioUsersChannel(t *testing.T) {
	t.Parallel()
	tune := func(c *backend.Config) { c.LeaveGrace, c.ClaimTTL = time.Second, time.Second }
	inEveryPlace(t, alone(tune, scenarios{
		"exactly the JSON that agents see, each event once, whatever its cause": func(w *world) {
			heard := w.usersChannel()
			users, sockets := w.waiting("taken", "claimed", "left", "claimed in vain")
			agents := w.agents(4, users...)
			each(agents, (*client).ignoreRest)

			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			agents[0].send("JoinUser", users[1].claim())
			agents[1].send("JoinUser", users[1].claim())
			w.support(users[1], "Vika")
			sockets[1].expectSupportJoined()
			sockets[2].close()
			agents[2].send("JoinUser", users[3].claim())
			agents[3].send("JoinUser", users[3].claim())

			joined := func(v *visitor) obj { return frame("UserJoined", v.pending()) }
			removed := func(v *visitor) obj { return frame("RemoveUser", obj{"userId": v.userID}) }
			heard.expectAbout(users[3], joined(users[3]), removed(users[3]), joined(users[3]))
			heard.expectAbout(users[2], joined(users[2]), removed(users[2]))
			pass(quiet)
			for _, v := range users[:3] {
				heard.expectAbout(v, joined(v), removed(v))
			}
			heard.expectAbout(users[3], joined(users[3]), removed(users[3]), joined(users[3]))
		},
		"a foreign UserJoined and RemoveUser reach loaded agents, anything else is ignored": func(w *world) {
			users, _ := w.waiting("Nika")
			agents := w.agents(4, users...)
			bystander := w.agent()
			publish := w.usersPublisher()
			foreign := &visitor{username: "from elsewhere <&>", userID: "9d6d2db0cdb84d8ba67105670d94d641", chatID: "d2464b5386044daf9e36ffd414260f67"}
			good := text(frame("UserJoined", foreign.pending()))
			for _, ignored := range []string{
				"", "hello", "ping", "null", "[]", "[" + good + "]", `{}`, good + good, good[:len(good)-1], "\xff", `{"type":7}`,
				text(foreign.pending()),
				text(frame("Load", nil)), text(frame("JoinUser", users[0].claim())), text(frame("ChatExpired", obj{"chatId": users[0].chatID})),
				text(frame("Error", obj{"code": "x", "message": "x"})), text(frame("userjoined", foreign.pending())),
				text(frame("UserJoined", nil)), text(frame("UserJoined", 7)), text(frame("UserJoined", []any{})), text(frame("UserJoined", obj{})),
				text(frame("UserJoined", without(foreign.pending(), "userId"))), text(frame("UserJoined", with(foreign.pending(), "chatId", 7))),
				text(frame("RemoveUser", nil)), text(frame("RemoveUser", obj{})), text(frame("RemoveUser", obj{"userId": 7})),
			} {
				publish(ignored)
			}
			publish(good)
			each(agents, func(a *client) { a.expectAnnounced(foreign) })
			publish(text(frame("RemoveUser", obj{"userId": foreign.userID})))
			each(agents, func(a *client) { a.expectRemoved(foreign) })
			agents[0].expectNothing()
			each(agents, (*client).expectAnswersOnly)
			bystander.expectAnswersOnly()
			w.loadedAgent(users...)
			w.loadedAgent(users...)
		},
	}))
}
