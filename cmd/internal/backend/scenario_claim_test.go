package backend_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// expectLost wants what a loser gets who has not had RemoveUser yet.
func (c *client) expectLost(v *visitor) {
	c.t.Helper()
	c.expectRemoved(v)
	c.expectError("already_taken")
}

func TestScenarioClaim(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(nil, scenarios{
		"every loaded agent on every lobby gets RemoveUser, and the sender": func(w *world) {
			users, _ := w.waiting("Nika", "Dodo")
			agents := w.agents(4, users...)
			bystander := w.agent() // has not loaded
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			bystander.expectNothing()
			each(agents, (*client).expectAnswersOnly)
			w.loadedAgent(users[1])
			w.loadedAgent(users[1])
		},
		"the sender need not have loaded": func(w *world) {
			users, _ := w.waiting("Nika")
			loaded := w.loadedAgent(users...)
			winner, loser := w.agent(), w.agent()
			winner.send("JoinUser", users[0].claim())
			winner.expectRemoved(users[0])
			loaded.expectRemoved(users[0])
			loser.send("JoinUser", users[0].claim())
			loser.expectLost(users[0])
			each([]*client{winner, loser, loaded}, (*client).expectNothing)
		},
		"of agents who claim at the same moment exactly one wins": func(w *world) {
			users, _ := w.waiting("a", "b", "c", "d", "e")
			agents := w.agents(6, users...)
			agents = append(agents, w.agent(), w.agent()) // they count too
			for _, v := range users {
				var errands []func() error
				for _, a := range agents {
					errands = append(errands, func() error { return a.write(1, text(frame("JoinUser", v.claim()))) })
				}
				w.errand(errands...)
				each(agents, func(a *client) { a.expectRemoved(v) })
				winners := 0
				for _, a := range agents {
					// A loser's Error comes before the answer to this.
					a.send("AreYouThere", nil)
					lost, err := a.take(frame("Error", obj{"code": anything, "message": aSentence}))
					if err != nil {
						w.Fatal(err)
					}
					switch code := lost["args"].(obj)["code"]; code {
					case "unknown_type":
						winners++
					case "already_taken":
						a.expectError("unknown_type")
					default:
						w.Fatalf("Error %v", code)
					}
				}
				if winners != 1 {
					w.Fatalf("%d agents won %s", winners, v.username)
				}
			}
			each(agents, (*client).expectAnswersOnly)
			w.loadedAgent()
		},
		"a loser who has had RemoveUser gets only the Error": func(w *world) {
			users, _ := w.waiting("Nika")
			agents := w.agents(3, users...)
			stranger := w.agent()
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			for range 2 {
				each(agents[1:], func(a *client) {
					a.send("JoinUser", users[0].claim())
					a.expectError("already_taken")
				})
			}
			stranger.send("JoinUser", users[0].claim())
			stranger.expectLost(users[0])
			stranger.send("JoinUser", users[0].claim())
			stranger.expectError("already_taken")
			each(append(agents, stranger), (*client).expectAnswersOnly)
		},
		"an unknown user: the same as a loser": func(w *world) {
			users, _ := w.waiting("Nika")
			loaded, other, stranger := w.loadedAgent(users...), w.loadedAgent(users...), w.agent()
			each([]*client{loaded, stranger}, (*client).strays) // an id that is none
			registered := w.register("has not joined")
			for _, v := range []*visitor{
				{username: "nobody", userID: strings.Repeat("a", 32), chatID: strings.Repeat("b", 32)},
				{username: "nobody", userID: "Gela", chatID: "no id at all <&>"},
				registered,
			} {
				for _, a := range []*client{loaded, stranger} {
					a.send("JoinUser", v.claim())
					a.expectLost(v)
					a.send("JoinUser", v.claim())
					a.expectError("already_taken")
				}
			}
			other.expectNothing()
			loaded.load(users...)
			w.user(registered)
			loaded.expectAnnounced(registered)
			other.expectAnnounced(registered)
			// That was an announcement, so the next RemoveUser is due again.
			other.send("JoinUser", registered.claim())
			other.expectRemoved(registered)
			loaded.expectRemoved(registered)
			stranger.send("JoinUser", registered.claim())
			stranger.expectLost(registered)
		},
		"a userId and chatId that do not belong together: the same as a loser": func(w *world) {
			users, _ := w.waiting("Nika", "Dodo")
			agents := w.agents(3, users...)
			agents[0].send("JoinUser", with(users[0].claim(), "chatId", users[1].chatID))
			agents[0].expectLost(users[0])
			agents[0].send("JoinUser", with(users[0].claim(), "userId", strings.Repeat("a", 32)))
			agents[0].expectLost(&visitor{userID: strings.Repeat("a", 32)})
			each(agents[1:], (*client).expectNothing)
			agents[0].load(users...) // both are still to be had
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			agents[0].expectAnswersOnly()
		},
		"the username of a claim does not matter": func(w *world) {
			users, _ := w.waiting("Nika")
			a := w.loadedAgent(users...)
			a.send("JoinUser", with(users[0].claim(), "username", "Mallory"))
			a.expectRemoved(users[0])
			a.expectAnswersOnly()
		},
		"the winner's repetition gets RemoveUser only": func(w *world) {
			heard := w.usersChannel()
			users, _ := w.waiting("Nika")
			agents := w.agents(3, users...)
			for range 3 {
				agents[0].send("JoinUser", users[0].claim())
				agents[0].expectRemoved(users[0])
			}
			agents[1].expectRemoved(users[0])
			agents[2].expectRemoved(users[0])
			each(agents, (*client).expectNothing)
			heard.expectAbout(users[0], frame("UserJoined", users[0].pending()), frame("RemoveUser", obj{"userId": users[0].userID}))
		},
		"the winner's repetition sent back to back": func(w *world) {
			users, _ := w.waiting("Nika")
			agents := w.agents(2, users...)
			for range 10 {
				agents[0].send("JoinUser", users[0].claim())
			}
			for range 10 {
				agents[0].expectRemoved(users[0])
			}
			agents[1].expectRemoved(users[0])
			each(agents, (*client).expectNothing)
		},
		"the claimed user is told to nobody twice when the support joins": func(w *world) {
			users, sockets := w.waiting("Nika")
			agents := w.agents(4, users...)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			support := w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, (*client).expectNothing)
			w.loadedAgent()
			sockets[0].said("hello", support)
		},
		"a claimed user who opens another tab is not announced again": func(w *world) {
			users, _ := w.waiting("Nika")
			agents := w.agents(2, users...)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			w.user(users[0])
			w.user(users[0])
			each(agents, (*client).expectNothing)
			w.loadedAgent()
			w.loadedAgent()
		},
		"a user who was taken directly cannot be claimed": func(w *world) {
			users, sockets := w.waiting("Nika")
			loaded, stranger := w.loadedAgent(users...), w.agent()
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			loaded.expectRemoved(users[0])
			loaded.send("JoinUser", users[0].claim())
			loaded.expectError("already_taken")
			stranger.send("JoinUser", users[0].claim())
			stranger.expectLost(users[0])
		},
		"a claim does not bind the chat server: whoever joins first has the user": func(w *world) {
			users, sockets := w.waiting("Nika")
			a := w.loadedAgent(users...)
			a.send("JoinUser", users[0].claim())
			a.expectRemoved(users[0])
			support := w.support(users[0], "somebody else")
			sockets[0].expectSupportJoined()
			support.said("hello", sockets[0])
		},
	}))
}

func TestScenarioLease(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	inEveryPlace(t, alone(func(c *backend.Config) { c.ClaimTTL = lease }, scenarios{
		"nobody joins: pending again in the old place, announced again": func(w *world) {
			heard := w.usersChannel()
			users, _ := w.waiting("a", "b", "c", "d")
			agents := w.agents(4, users...)
			claimed := time.Now()
			agents[0].send("JoinUser", users[1].claim())
			each(agents, func(a *client) { a.expectRemoved(users[1]) })
			w.loadedAgent(users[0], users[2], users[3]).ignoreRest()
			each(agents, func(a *client) { a.expectAnnounced(users[1]) })
			if held := time.Since(claimed); held < lease {
				w.Fatalf("the claim held for %v only", held)
			}
			w.loadedAgent(users...)
			w.loadedAgent(users...)
			each(agents, (*client).expectAnswersOnly)
			joined := frame("UserJoined", users[1].pending())
			heard.expectAbout(users[1], joined, frame("RemoveUser", obj{"userId": users[1].userID}), joined)
		},
		"then another may claim": func(w *world) {
			users, _ := w.waiting("Nika")
			agents := w.agents(2, users...)
			stranger := w.agent()
			for _, winner := range []int{0, 1} {
				agents[winner].send("JoinUser", users[0].claim())
				each(agents, func(a *client) { a.expectRemoved(users[0]) })
				agents[1-winner].send("JoinUser", users[0].claim())
				agents[1-winner].expectError("already_taken")
				// The announcement before was not for this socket, but it counts.
				stranger.send("JoinUser", users[0].claim())
				stranger.expectLost(users[0])
				stranger.send("JoinUser", users[0].claim())
				stranger.expectError("already_taken")
				each(agents, func(a *client) { a.expectAnnounced(users[0]) })
			}
		},
		"a support joins in time: not announced again": func(w *world) {
			users, sockets := w.waiting("Nika")
			agents := w.agents(2, users...)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			agents[0].expectNothingFor(lease + lease/2)
			agents[1].expectAnswersOnly()
			w.loadedAgent()
		},
		"a support joins too late: removed again": func(w *world) {
			users, sockets := w.waiting("Nika")
			agents := w.agents(2, users...)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			each(agents, func(a *client) { a.expectAnnounced(users[0]) })
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			agents[0].expectNothing()
			agents[1].expectAnswersOnly()
		},
		"the agent is gone: the lease runs out all the same": func(w *world) {
			users, _ := w.waiting("Nika", "Dodo")
			agents := w.agents(3, users...)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			agents[0].close()
			each(agents[1:], func(a *client) { a.expectAnnounced(users[0]) })
			w.loadedAgent(users...)
		},
		"of many claims each runs out for itself": func(w *world) {
			var names []string
			for i := range 8 {
				names = append(names, fmt.Sprint("user ", i))
			}
			users, _ := w.waiting(names...)
			agents := w.agents(2, users...)
			for i, v := range users {
				agents[i%2].send("JoinUser", v.claim())
			}
			each(agents, func(a *client) {
				// Each goes and comes back, in whatever order.
				gone, back := map[any]bool{}, map[any]bool{}
				for len(back) < len(users) {
					got, err := a.next(patience)
					if err != nil {
						w.Fatal(err)
					}
					event, err := parse(got)
					if err != nil {
						w.Fatal(err)
					}
					id := event["args"].(obj)["userId"]
					switch {
					case event["type"] == "RemoveUser" && !gone[id]:
						gone[id] = true
					case event["type"] == "UserJoined" && gone[id] && !back[id]:
						back[id] = true
					default:
						w.Fatalf("nobody expected %s", got)
					}
				}
			})
			w.loadedAgent(users...)
		},
	}))
}
