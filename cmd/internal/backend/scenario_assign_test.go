package backend_test

import (
	"slices"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// offeredTo waits for an Offer at one of the desks, which must be of this visitor, and
// returns which it was.
func (w *world) offeredTo(v *visitor, desks ...*client) int {
	w.Helper()
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		for i, c := range desks {
			text, err := c.next(10 * time.Millisecond)
			if err != nil {
				continue
			}
			object, _ := parse(text)
			if wrong := mismatch("", frame("Offer", offered(v)), object); wrong != "" {
				w.Fatalf("%s: got %s instead of the Offer of %s: %s", c.name, text, v.username, wrong)
			}
			return i
		}
	}
	w.Fatalf("nobody was offered %s", v.username)
	return 0
}

func TestScenarioAssign(t *testing.T) {
	t.Parallel()
	const ttl = slowness * 3 * time.Second
	tune := func(how string, offers time.Duration) tuning {
		return func(c *backend.Config) { withTokens(c); c.Assign, c.OfferTTL = how, offers }
	}
	limit := func(c *client, status string, capacity int) {
		c.send("Status", obj{"status": status, "capacity": capacity})
		pass(600 * time.Millisecond) // no answer says that it counts now
	}
	inEveryPlace(t, alone(tune("round_robin", time.Minute), scenarios{
		"each agent in turn, by the time of their Load, nobody over their limit, nobody twice": func(w *world) {
			plain := w.person("Zaza").sits()
			desks := []*client{w.person("Vika").sits("offers"), w.person("Dodo").sits("offers")}
			limit(desks[0], "online", 1)
			visitors, _ := w.waiting("Nika")
			if got := w.offeredTo(visitors[0], desks...); got != 0 {
				w.Fatal("the first offer is not of whoever came first")
			}
			more, _ := w.waiting("Lali", "Nino")
			for _, v := range more { // Vika is at her limit
				if w.offeredTo(v, desks...) != 1 {
					w.Fatal("offered to who has no room")
				}
			}
			plain.expectNothing() // nobody's list has them
			// Who declines is not asked again, and has room.
			desks[0].send("Decline", visitors[0].claim())
			desks[0].expectOfferGone(visitors[0])
			if w.offeredTo(visitors[0], desks...) != 1 {
				w.Fatal("not offered to the next")
			}
			desks[1].send("Decline", visitors[0].claim())
			desks[1].expectOfferGone(visitors[0])
			each(append(desks, plain), func(c *client) { c.expectAnnounced(visitors[0]) })
			// Anybody may have them now, whatever their limit.
			desks[0].send("JoinUser", visitors[0].claim())
			each(append(desks, plain), func(c *client) { c.expectRemoved(visitors[0]) })
			desks[1].send("Decline", more[0].claim())
			desks[1].expectOfferGone(more[0]) // Vika has no room
			each(append(desks, plain), func(c *client) { c.expectAnnounced(more[0]) })
			limit(desks[0], "online", 2)
			each(append(desks, plain), func(c *client) { c.expectRemoved(more[0]) })
			desks[0].expectOffer(more[0])
		},
		"a supervisor has the time to take over whom they give to the queue": func(w *world) {
			v, _, support := w.vikasChat("Nika")
			support.ignoreRest()
			desk, boss := w.person("Dodo").sits("offers"), w.person("Boss", "supervisor")
			eye := boss.chat(v)
			eye.ignoreRest()
			eye.send("Join", with(with(v.asSupport("Boss"), "from", "Observer"), "features", []string{"transfer"}))
			eye.expectPast("ChatHistory")
			eye.send("Transfer", obj{"to": "queue"})
			eye.expectPast("SupportLeft")
			desk.expectNothing() // at once
			next := boss.chat(v.given())
			next.ignoreRest()
			next.joinsAsSupport("Boss")
			eye.expectPast("SupportJoinedUser")
			// Who does not take the user leaves them to the others.
			eye.send("Transfer", obj{"to": "queue"})
			eye.expectPast("SupportLeft")
			desk.expectOffer(v)
			next = boss.chat(v.given())
			next.send("Join", v.asSupport("Boss"))
			next.expectError("already_taken")
			next.expectClose(1008)
			desk.expectNothing()
		},
		"five tabs of an agent have one load": func(w *world) {
			vika, watch := w.person("Vika"), w.person("Zaza").sits("agents")
			watch.ignoreRest()
			var desks, tabs []*client
			for range 5 {
				desks = append(desks, vika.sits("offers"))
			}
			limit(desks[3], "online", 2)
			watch.showsAgents("Vika online 0/2", "Zaza online 0/0")
			visitors, users := w.waiting("Nika")
			v := visitors[0]
			each(desks, func(c *client) { c.expectOffer(v) })
			desks[4].send("JoinUser", v.claim())
			desks[4].expectRemoved(v)
			each(desks[:4], func(c *client) { c.expectOfferGone(v) })
			users[0].ignoreRest()
			for i := range 5 {
				c := vika.chat(v)
				c.ignoreRest()
				if i == 0 {
					c.joinsAsSupport("Vika")
				} else {
					c.send("Join", v.asSupport("Vika"))
					c.expectPast("ChatHistory")
				}
				tabs = append(tabs, c)
			}
			watch.showsAgents("Vika online 1/2", "Zaza online 0/0")
			more, sockets := w.waiting("Lali") // there is room for one
			each(desks, func(c *client) { c.expectOffer(more[0]) })
			pending, others := w.waiting("Nino")
			more, sockets = append(more, pending...), append(sockets, others...)
			each(desks, func(c *client) { c.expectAnnounced(more[1]) })
			each(append(slices.Clone(tabs[:4]), desks[:4]...), (*client).close)
			desks[4].expectNothing() // one tab is as good as five
			desks[4].send("Decline", more[0].claim())
			desks[4].expectOfferGone(more[0])
			desks[4].expectRemoved(more[1]) // of whom Vika has not been asked yet
			desks[4].expectAnnounced(more[0])
			desks[4].expectOffer(more[1])
			tabs[4].send("CloseChat", nil)
			watch.showsAgents("Vika online 0/2", "Zaza online 0/0")
			each(append(sockets, users...), (*client).ignoreRest)
		},
		"whom nobody takes goes to the next who comes; without agents the queue is as ever": func(w *world) {
			visitors, sockets := w.waiting("Nika", "Lali")
			plain := w.person("Zaza").sits()
			away := w.person("Dodo").sits("offers")
			away.expectOffer(visitors[0])
			away.expectOffer(visitors[1])
			each([]*client{plain}, func(c *client) {
				c.expectRemoved(visitors[0])
				c.expectRemoved(visitors[1])
			})
			limit(away, "away", 0)
			away.send("Decline", visitors[0].claim())
			away.expectOfferGone(visitors[0])
			each([]*client{plain, away}, func(c *client) { c.expectAnnounced(visitors[0]) })
			desk := w.person("Vika").sits("offers")
			desk.ignoreRest()
			desk.expectPast("Offer")
			each([]*client{plain, away}, func(c *client) { c.expectRemoved(visitors[0]) })
			// The agent ends: their offer goes on.
			away.close()
			desk.expectPast("Offer")
			desk.send("JoinUser", visitors[1].claim())
			desk.expectPast("RemoveUser")
			support := w.person("Vika").chat(visitors[1])
			support.joinsAsSupport("Vika")
			sockets[1].expectSupportJoined()
			// A release begins a new wait, in which the same agent can be asked.
			support.send("Transfer", obj{"to": "queue"})
			support.expectClose(1000)
			if offer := desk.expectPast("Offer"); offer["userId"] != visitors[1].userID {
				w.Fatalf("offered: %v", offer)
			}
			each(sockets, (*client).ignoreRest)
		},
	}), alone(tune("round_robin", ttl), scenarios{
		"an offer that runs out goes to the next agent, and at last to all": func(w *world) {
			desks := []*client{w.person("Vika").sits("offers"), w.person("Dodo").sits("offers")}
			visitors, _ := w.waiting("Nika")
			v := visitors[0]
			for _, i := range []int{0, 1} {
				if w.offeredTo(v, desks[i:i+1]...) != 0 {
					w.Fatal("not in turn")
				}
				desks[1-i].expectNothing()
				desks[i].expectOfferGone(v)
			}
			each(desks, func(c *client) { c.expectAnnounced(v) })
		},
	}), alone(tune("least_busy", time.Minute), scenarios{
		"the fewest chats for their capacity; offers and claims count": func(w *world) {
			big, small := w.person("Vika").sits("offers"), w.person("Dodo").sits("offers")
			limit(big, "online", 4)
			limit(small, "online", 2)
			visitors, _ := w.waiting("Nika")
			if w.offeredTo(visitors[0], big, small) != 0 {
				w.Fatal("not to who came first, of two without a chat")
			}
			more, _ := w.waiting("Lali")
			if w.offeredTo(more[0], big, small) != 1 { // 1/4, 0/2
				w.Fatal("an offer does not count")
			}
			big.send("JoinUser", visitors[0].claim())
			big.expectRemoved(visitors[0])
			more, _ = w.waiting("Nino")
			if w.offeredTo(more[0], big, small) != 0 { // 1/4, 1/2
				w.Fatal("a claim does not count, or an offer counts for nothing")
			}
		},
	}), alone(func(c *backend.Config) { unlimited(c); c.Assign, c.OfferTTL = "round_robin", time.Minute }, scenarios{
		"without tokens each socket is an agent; one without a limit takes all": func(w *world) {
			desk, plain := w.sits("Vika", "offers"), w.sits("Dodo")
			visitors, sockets := w.waiting("Nika", "Lali", "Nino")
			for _, v := range visitors {
				w.offeredTo(v, desk)
			}
			desk.send("JoinUser", visitors[1].claim())
			desk.expectRemoved(visitors[1])
			sockets[0].send("CloseChat", nil)
			desk.expectOfferGone(visitors[0])
			desk.close()
			plain.expectAnnounced(visitors[2])
			each(sockets, (*client).ignoreRest)
			plain.expectNothing()
		},
	}))
}
