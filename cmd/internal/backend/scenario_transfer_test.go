package backend_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

var transferring = []string{"transfer"}

func supportLeft(v *visitor, reason string) obj {
	return obj{"supportId": v.supportID, "supportUserName": v.supportName, "reason": reason}
}

// expectReleased wants the end of a support's socket that has listed transfer.
func (c *client) expectReleased(v *visitor, reason string) {
	c.t.Helper()
	c.expect("SupportLeft", supportLeft(v, reason))
	c.expectClose(1000)
}

// given is the visitor once nobody has the chat any more.
func (v *visitor) given() *visitor {
	other := *v
	other.supportID, other.supportName = "", ""
	return &other
}

// next joins the chat as its next support, whom those who are there are told of.
func (w *world) nextSupport(v *visitor, name string, history []obj, told ...*client) *client {
	w.Helper()
	c := w.chat(v)
	c.joinsAsSupport(name)
	if len(history) > 0 {
		c.expectHistory(history...)
	}
	for _, other := range told {
		other.v = v
		other.expectSupportJoined()
	}
	return c
}

// forged opens a socket that joins with a supportId.
func (w *world) joinsAs(v *visitor, supportID string) *client {
	w.Helper()
	c := w.chat(v)
	c.role = "Support"
	c.send("Join", with(v.asSupport("Vika"), "supportId", supportID))
	return c
}

// desk is the lobby's socket of an agent who is shown colleagues and offers.
func (w *world) desk(c *client, name string, waiting ...*visitor) *client {
	w.Helper()
	args := obj{"features": []string{"agents", "offers"}}
	if name != "" {
		args["supportUserName"] = name
	}
	c.ignoreRest()
	c.send("Load", args)
	for _, v := range waiting {
		c.expectPastObject(func(object obj) bool { return object["userId"] == v.userID })
	}
	return c
}

// expectPast reads until a message of this type comes, and returns its args.
func (c *client) expectPast(typ string) obj {
	c.t.Helper()
	return c.expectPastObject(func(object obj) bool { return object["type"] == typ })["args"].(obj)
}

func (c *client) expectPastObject(is func(obj) bool) obj {
	c.t.Helper()
	for {
		text, err := c.next(patience)
		if err != nil {
			c.t.Fatalf("%s: %v", c.name, err)
		}
		if object, err := parse(text); err == nil && is(object) {
			return object
		}
	}
}

// agentsOf waits for a list of so many agents.
func (c *client) agentsOf(n int) (agents []obj) {
	c.t.Helper()
	list := c.expectPastObject(func(object obj) bool {
		args, _ := object["args"].(obj)
		all, _ := args["agents"].([]any)
		return object["type"] == "Agents" && len(all) == n
	})
	for _, one := range list["args"].(obj)["agents"].([]any) {
		agents = append(agents, one.(obj))
	}
	return agents
}

func TestScenarioTransfer(t *testing.T) {
	t.Parallel()
	const grace, offerTTL = slowness * time.Second, slowness * 4 * time.Second
	few := func(c *backend.Config) { unlimited(c); c.LeaveGrace = grace }
	slow := func(c *backend.Config) { c.MessageRate, c.MessageBurst = 0.01, 2 }
	toQueue := obj{"to": "queue"}
	inEveryPlace(t, shared(unlimited, scenarios{
		"from the Transfer on the chat has no support, and the next one joins as the first did": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			plain, tab := w.rejoined(v, "User", nil), w.rejoined(v, "Support", nil)
			one := user.said("one", support, plain, tab)
			two := support.said("two", user, plain, tab)
			support.send("Transfer", toQueue)
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			support.expectReleased(v, "transfer")
			tab.expectClose(1000)
			each([]*client{user, plain}, (*client).expectNothing)
			old := v.supportID
			v = v.given()
			user.v, plain.v = v, v
			three := user.said("three", plain)
			next := w.nextSupport(v, "Dodo", []obj{one, two, three}, user, plain)
			four := next.said("four", user, plain)
			for _, supportID := range []string{old, strings.Repeat("0", 32)} {
				c := w.joinsAs(v, supportID)
				if supportID == old {
					c.expectError("already_taken")
				} else {
					c.expectError("forbidden")
				}
				c.expectClose(1008)
			}
			w.rejoined(v, "User", transferring, one, two, three, four)
			back := w.chat(v)
			back.send("Join", with(v.asUser(), "supportId", old))
			back.expectSupportJoined()
			back.expectHistory(one, two, three, four)
			each([]*client{user, plain, next}, (*client).expectNothing)
		},
		"while nobody has it an old supportId is of no use": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			one := support.said("one", user)
			support.send("Transfer", toQueue)
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			support.expectReleased(v, "transfer")
			for range w.chats {
				c := w.joinsAs(v, v.supportID)
				c.expectError("already_taken")
				c.expectClose(1008)
				back := w.chat(v)
				back.send("Join", with(v.asUser(), "supportId", v.supportID))
				back.expect("UserJoined", v.pending())
				back.expectHistory(one)
				back.expectNothing()
			}
			user.expectNothing()
		},
		"an observer gives it on, and is told": func(w *world) {
			v, user, support := w.liveCouple("transfer", "notes")
			boss, quietBoss := w.observer(v, []string{"transfer", "notes"}), w.observer(v, nil)
			boss.send("Transfer", obj{"to": "team", "team": "billing", "note": "too slow"})
			left := boss.expect("Note", obj{"content": "too slow", "supportId": "", "supportUserName": "Boss", "timestamp": aTimestamp})
			support.expect("Note", left)
			boss.expect("SupportLeft", supportLeft(v, "transfer"))
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			support.expectReleased(v, "transfer")
			v = v.given()
			boss.send("Transfer", toQueue) // there is nobody to take it from
			boss.expectError("bad_request")
			w.nextSupport(v, "Dodo", nil, user)
			for _, c := range []*client{boss, quietBoss} {
				c.v = v
				c.expectSupportJoined()
			}
			late := w.observer(v, []string{"notes"})
			late.expect("Note", left)
			each([]*client{user, boss, quietBoss, late}, (*client).expectNothing)
		},
		"what is wrong changes nothing": func(w *world) {
			v, user, support := w.liveCouple("transfer", "notes")
			long := strings.Repeat("ü", 8000)
			for _, args := range []any{
				nil, obj{}, obj{"to": ""}, obj{"to": nil}, obj{"to": 1}, obj{"to": "somebody"}, obj{"to": "Queue"},
				obj{"to": "agent"}, obj{"to": "agent", "agent": ""}, obj{"to": "agent", "agent": 5}, obj{"to": "team"}, obj{"to": "team", "team": ""},
				obj{"to": "team", "team": strings.Repeat("ü", 65)}, obj{"to": "queue", "note": ""}, obj{"to": "queue", "note": 5},
			} {
				support.send("Transfer", args)
				support.expectError("bad_request")
			}
			support.send("Transfer", with(toQueue, "note", long+"x"))
			support.expectError("too_large")
			support.send("Transfer", obj{"to": "agent", "agent": "nobody", "note": "x"})
			support.expectError("not_found")
			user.send("Transfer", toQueue)
			user.expectError("forbidden")
			early := w.chat(v)
			early.send("Transfer", toQueue)
			early.expectError("not_joined")
			support.said("still here", user)
			support.send("Transfer", obj{"to": "team", "team": strings.Repeat("ü", 64), "note": long})
			support.expect("Note", note(v, long))
			support.expectReleased(v, "transfer")
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			user.expectNothing()
		},
		"a closed chat is not given on": func(w *world) {
			_, user, support := w.liveCouple("transfer", "close")
			user.send("CloseChat", nil)
			user.expectClosed("User")
			support.expectClosed("User")
			support.send("Transfer", toQueue)
			support.expectError("chat_closed")
		},
		"a user who has been given on may end the chat": func(w *world) {
			v, user, support := w.liveCouple("transfer", "close")
			support.send("Transfer", toQueue)
			support.expectReleased(v, "transfer")
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			user.send("CloseChat", nil)
			user.expectClosed("User")
			next := w.chat(v)
			next.send("Join", v.asSupport("Dodo"))
			next.expectExpired(v)
		},
		"nothing is told of a support that there is not": func(w *world) {
			v, user, support := w.liveCouple("transfer", "presence", "typing", "receipts")
			support.expect("Presence", present("User", "online"))
			user.expect("Presence", present("Support", "online"))
			one := user.saidNumbered("one", 1, support)
			support.send("Receipt", obj{"read": 1})
			user.expect("Receipt", receipt("Support", 1, 1))
			support.send("Typing", obj{"typing": true})
			user.expect("Typing", obj{"from": "Support", "typing": true})
			support.send("Transfer", toQueue)
			support.expectReleased(v, "transfer")
			user.expect("Typing", obj{"from": "Support", "typing": false})
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			user.send("Typing", obj{"typing": true})
			user.expectNothingFor(4 * time.Second) // it is not offline
			next := w.chat(v)
			v = v.given()
			next.v, next.role = v, "Support"
			next.send("Join", with(v.asSupport("Dodo"), "features", []string{"presence", "receipts", "typing"}))
			v.supportName = "Dodo"
			v.supportID = next.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			next.expectHistory(one)
			next.expect("Receipt", receipt("Support", 1, 1)) // as the former one has read
			next.expect("Presence", present("User", "online"))
			user.v = v
			user.expectSupportJoined()
			user.expect("Presence", present("Support", "online"))
			each([]*client{user, next}, (*client).expectNothing)
		},
		"no byte towards a user has the note's word": func(w *world) {
			v := w.register("Nika")
			user, plain := w.chat(v), w.chat(v)
			user.joinsWith("User", allFeatures...)
			user.expect("UserJoined", v.pending())
			support := w.chat(v)
			support.joinsWith("Support", allFeatures...)
			v.supportName = "Vika"
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			support.ignoreRest()
			plain.rejoins("User")
			support.send("Transfer", with(toQueue, "note", "canary"))
			v = v.given()
			late := w.chat(v)
			pass(300 * time.Millisecond)
			late.joinsWith("User", allFeatures...)
			next := w.chat(v)
			next.ignoreRest()
			next.joinsWith("Support", allFeatures...)
			pass(300 * time.Millisecond)
			last := w.chat(v)
			last.joinsWith("User", allFeatures...)
			pass(300 * time.Millisecond)
			next.say("bye")
			next.send("CloseChat", nil)
			for _, c := range []*client{user, plain, late, last} {
				for c.ignoreRest(); ; {
					frame, err := c.next(quiet)
					if err != nil {
						break
					}
					if strings.Contains(frame, "canary") || strings.Contains(frame, "Note") {
						w.Errorf("%s got %s", c.name, frame)
					}
				}
			}
			if n := w.entries(v, "canary"); n != 1 {
				w.Errorf("the log has the note %d times", n)
			}
		},
	}), shared(slow, scenarios{
		"it counts against the rate of messages": func(w *world) {
			_, user, support := w.liveCouple()
			support.said("one", user)
			support.said("two", user)
			support.send("Transfer", toQueue)
			support.expectError("rate_limited")
			user.expectNothing()
		},
	}), alone(unlimited, scenarios{
		"without tokens an agent is a socket of the lobby, and oneself is who has claimed the user": func(w *world) {
			v, other := w.register("Nika"), w.register("Ann")
			user := w.user(v)
			desks := map[string]*client{}
			for _, name := range []string{"Vika", "Dodo"} {
				desks[name] = w.desk(w.agent(), name, v)
			}
			agents := map[string]string{}
			for _, one := range desks["Dodo"].agentsOf(2) {
				agents[one["supportUserName"].(string)] = one["agent"].(string)
			}
			desks["Vika"].send("JoinUser", v.claim())
			desks["Vika"].expectPast("RemoveUser")
			support := w.support(v, "Vika")
			user.expectSupportJoined()
			_ = other
			support.send("Transfer", obj{"to": "agent", "agent": agents["Vika"]})
			support.expectError("bad_request")
			support.send("Transfer", obj{"to": "agent", "agent": agents["Dodo"], "note": "knows him"})
			support.expectClose(1000)
			offer := desks["Dodo"].expectPast("Offer")
			if offer["userId"] != v.userID || offer["from"] != "Vika" || offer["note"] != "knows him" {
				w.Errorf("the offer is %v", offer)
			}
			desks["Dodo"].send("JoinUser", v.claim())
			v = v.given()
			w.nextSupport(v, "Dodo", nil, user)
		},
	}), alone(func(c *backend.Config) { unlimited(c); c.AgentSecret = agentSecret; c.OfferTTL = offerTTL }, scenarios{
		"an agent gets an offer, and everybody else the user when it is over": func(w *world) {
			hs256 := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
			is := func(sub, name string) agent { return agent{w, hs256.sign(claimsOf(sub, name))} }
			vika, dodo, ann := is("vika", "Vika"), is("dodo", "Dodo"), is("ann", "Ann")
			v := w.register("Nika")
			user := w.chat(v)
			user.joinsWith("User", "transfer")
			user.expect("UserJoined", v.pending())
			desk, plain := w.desk(dodo.lobby(), "", v), ann.lobby()
			plain.load(v)
			desk.agentsOf(2)
			take := func(by agent, name string) *client {
				w.Helper()
				c := by.chat(v)
				c.joinsAsSupport(name)
				user.v = v
				user.expectSupportJoined()
				return c
			}
			support := take(vika, "Vika")
			plain.expectRemoved(v)
			support.send("Transfer", obj{"to": "agent", "agent": "ann"}) // who shows no offers
			support.expectError("not_found")
			for _, accept := range []bool{false, true} {
				support.send("Transfer", obj{"to": "agent", "agent": "dodo", "note": "knows him"})
				user.expect("SupportLeft", supportLeft(v, "transfer"))
				support.expectClose(1000)
				offer := desk.expectPast("Offer")
				if offer["userId"] != v.userID || offer["from"] != v.supportName || offer["note"] != "knows him" {
					w.Errorf("the offer is %v", offer)
				}
				late := vika.chat(v) // by her token she would have lost, not given it on
				late.send("Join", v.asSupport("Vika"))
				late.expectError("already_taken")
				late.expectClose(1008)
				v = v.given()
				if accept {
					desk.send("JoinUser", v.claim())
					take(dodo, "Dodo")
					continue
				}
				plain.expectNothing()
				plain.expectAnnounced(v) // after the time of an offer
				desk.expectPast("OfferGone")
				support = take(ann, "Ann")
				plain.expectRemoved(v)
			}
			plain.expectNothing()
		},
	}), alone(few, scenarios{
		"the user is pending again, in the old place": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo", "Ann")
			agents := w.agents(2, users...)
			support := w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			one := support.said("one", sockets[0])
			support.send("Transfer", toQueue)
			support.expectClose(1000)
			each(agents, func(a *client) { a.expectAnnounced(users[0]) })
			agents = append(agents, w.agents(2, users...)...)
			users[0] = users[0].given()
			tab := w.chat(users[0])
			tab.joinsAsUser()
			tab.expectHistory(one)
			each(agents, (*client).expectAnswersOnly)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			w.nextSupport(users[0], "Dodo", []obj{one}, sockets[0], tab)
			each(agents, (*client).expectAnswersOnly)
			w.loadedAgent(users[1:]...)
		},
		"one who had been dropped is pending again where they waited last": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo")
			agents := w.agents(2, users...)
			sockets[0].close()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			pass(grace) // so that it is not the place of a reload
			user := w.user(users[0])
			each(agents, func(a *client) { a.expectAnnounced(users[0]) })
			support := w.support(users[0], "Vika")
			user.expectSupportJoined()
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			support.send("Transfer", toQueue)
			support.expectClose(1000)
			each(agents, func(a *client) { a.expectAnnounced(users[0]) })
			w.agents(2, users[1], users[0])
		},
		"one who asks is told of the new wait": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.joinsWith("User", "queue", "transfer")
			user.expect("UserJoined", v.pending())
			user.awaitStanding(1, 1, nil)
			support := w.support(v, "Vika")
			user.expectSupportJoined()
			support.send("Transfer", toQueue)
			user.expect("SupportLeft", supportLeft(v, "transfer"))
			user.awaitStanding(1, 1, nil)
		},
		"one who has no socket is pending for a while, as anybody": func(w *world) {
			v, user, support := w.couple()
			agents := w.agents(2)
			user.close()
			support.send("Transfer", toQueue)
			support.expectClose(1000)
			each(agents, func(a *client) { a.expectAnnounced(v) })
			each(agents, func(a *client) { a.expectRemoved(v) })
			v = v.given()
			w.user(v)
			each(agents, func(a *client) { a.expectAnnounced(v) })
		},
	}))
}
