package backend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

// person is an agent with a token that may say more of them.
func (w *world) person(name string, more ...string) agent {
	claims := claimsOf(name, name)
	for _, what := range more {
		if what == "supervisor" {
			claims["role"] = what
			continue
		}
		teams, _ := claims["teams"].([]string)
		claims["teams"] = append(teams, what)
	}
	return agent{w, signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}.sign(claims)}
}

// sits opens a lobby socket of this agent that lists features.
func (a agent) sits(features ...string) *client {
	a.Helper()
	c := a.lobby()
	c.send("Load", obj{"batch": true, "features": listed(features)})
	c.expect("PendingUsers", obj{"users": anything})
	return c
}

// sits opens one for somebody without a token.
func (w *world) sits(name string, features ...string) *client {
	w.Helper()
	c := w.agent()
	c.send("Load", obj{"batch": true, "features": listed(features), "supportUserName": name})
	c.expect("PendingUsers", obj{"users": anything})
	return c
}

func withTokens(c *backend.Config) {
	unlimited(c)
	c.AgentSecret, c.AgentAudience, c.AgentIssuer = agentSecret, agentAudience, agentIssuer
}

func offered(v *visitor, more ...string) obj {
	offer := with(v.pending(), "expires", anything)
	for i := 0; i < len(more); i += 2 {
		offer[more[i]] = more[i+1]
	}
	return offer
}

func (c *client) expectOffer(v *visitor, more ...string) {
	c.t.Helper()
	got := c.expect("Offer", offered(v, more...))["expires"].(string)
	if when, err := time.Parse("2006-01-02T15:04:05.000000Z", got); err != nil || time.Until(when) > time.Minute || time.Until(when) < -time.Second {
		c.t.Errorf("%s: the offer expires at %s", c.name, got)
	}
}

func (c *client) expectOfferGone(v *visitor) {
	c.t.Helper()
	c.expect("OfferGone", obj{"userId": v.userID})
}

// vikasChat is a chat of Vika's, who can give it away.
func (w *world) vikasChat(name string) (v *visitor, user, support *client) {
	w.Helper()
	v = w.register(name)
	user = w.user(v)
	support = w.person("Vika").chat(v)
	support.joinsAsSupport("Vika")
	user.expectSupportJoined()
	user.ignoreRest()
	return v, user, support
}

func TestScenarioOffers(t *testing.T) {
	t.Parallel()
	const ttl = slowness * time.Second
	to := func(agent string) obj { return obj{"to": "agent", "agent": agent} }
	long := func(c *backend.Config) { withTokens(c); c.OfferTTL = time.Minute }
	short := func(c *backend.Config) { withTokens(c); c.OfferTTL = ttl }
	inEveryPlace(t, alone(long, scenarios{
		"an offer is the agent's alone, on all of their sockets that list it": func(w *world) {
			v, _, support := w.vikasChat("Nika")
			dodo := w.person("Dodo")
			desks := []*client{dodo.sits("offers"), dodo.sits("offers")}
			plain, other := dodo.sits(), w.person("Zaza").sits("offers")
			support.send("Transfer", with(to("Dodo"), "note", "knows it"))
			support.expectClose(1000)
			each(desks, func(c *client) { c.expectOffer(v, "from", "Vika", "note", "knows it") })
			late := dodo.sits("offers")
			late.expectOffer(v, "from", "Vika", "note", "knows it")
			other.send("JoinUser", v.claim())
			other.expectRemoved(v)
			other.expectError("already_taken")
			w.person("Zaza").sits().expectNothing()
			each([]*client{plain, other}, (*client).expectNothing)
			// Accepted: answered as a winner's, and over for the others.
			desks[0].send("JoinUser", v.claim())
			desks[0].expectRemoved(v)
			each([]*client{desks[1], late}, func(c *client) { c.expectOfferGone(v) })
			desks[0].send("JoinUser", v.claim())
			desks[0].expectRemoved(v)
			each([]*client{desks[0], desks[1], late, plain, other}, (*client).expectNothing)
			next := dodo.chat(v.given())
			next.joinsAsSupport("Dodo")
		},
		"an offer that is declined, or whose agent ends, is everybody's": func(w *world) {
			v, _, support := w.vikasChat("Nika")
			dodo := w.person("Dodo")
			desk, tab := dodo.sits("offers"), dodo.sits("offers")
			all := w.person("Zaza").sits()
			support.send("Transfer", to("Dodo"))
			support.expectClose(1000)
			each([]*client{desk, tab}, func(c *client) { c.expectOffer(v, "from", "Vika") })
			for _, args := range []any{nil, obj{}, obj{"userId": v.userID}, obj{"userId": v.userID, "chatId": 5}} {
				desk.send("Decline", args)
				desk.expectError("bad_request")
			}
			desk.send("Decline", with(v.claim(), "chatId", v.userID))
			all.send("Decline", v.claim()) // nothing is offered to them
			each([]*client{desk, all}, (*client).expectNothing)
			desk.send("Decline", v.claim())
			each([]*client{desk, tab}, func(c *client) { c.expectOfferGone(v) })
			each([]*client{desk, tab, all}, func(c *client) { c.expectAnnounced(v) })
			all.send("JoinUser", v.claim())
			each([]*client{desk, tab, all}, func(c *client) { c.expectRemoved(v) })
			support = w.person("Zaza").chat(v.given())
			support.joinsAsSupport("Zaza")
			support.send("Transfer", to("Dodo"))
			support.expectClose(1000)
			each([]*client{desk, tab}, func(c *client) { c.expectOffer(v, "from", "Zaza") })
			desk.close()
			all.expectNothing() // there is another socket
			tab.close()
			all.expectAnnounced(v)
		},
		"what changes while a user is offered is told to who shows the offer": func(w *world) {
			v, user, support := w.vikasChat("Nika")
			dodo := w.person("Dodo")
			desks := []*client{dodo.sits("offers", "details"), dodo.sits("details", "offers", "agents")}
			plain, other := dodo.sits("offers"), w.person("Zaza").sits("offers", "details")
			desks[1].ignoreRest() // of agents
			support.send("Transfer", to("Dodo"))
			support.expectClose(1000)
			full := with(v.pending(), "since", aTimestamp)
			each(desks[:1], func(c *client) { c.expect("Offer", with(with(full, "expires", anything), "from", "Vika")) })
			desks[1].expectPast("Offer")
			plain.expectOffer(v, "from", "Vika")
			user.say("one")
			each(desks[:1], func(c *client) { c.expect("UserChanged", with(full, "message", "one")) })
			if got := desks[1].expectPast("UserChanged"); got["message"] != "one" {
				w.Errorf("told %v", got)
			}
			// Many within a second are told together, the last one counts.
			for i := range 20 {
				user.say(fmt.Sprint("line ", i))
			}
			begun, told := time.Now(), 0
			for last := ""; last != "line 19"; told++ {
				last = desks[0].expect("UserChanged", with(full, "message", anything))["message"].(string)
			}
			if most := int(time.Since(begun)/time.Second) + 2; told > most {
				w.Errorf("told %d times in %v", told, time.Since(begun))
			}
			desks[0].send("Decline", v.claim())
			for _, c := range []*client{desks[0], plain} {
				c.expectOfferGone(v)
			}
			for _, c := range []*client{desks[0], other} {
				c.expect("UserJoined", with(full, "message", "line 19"))
			}
			plain.expectAnnounced(v)
			each([]*client{desks[0], plain, other}, (*client).expectNothing)
			user.say("two")
			for _, c := range []*client{desks[0], other} {
				c.expect("UserChanged", with(full, "message", "two"))
			}
			plain.expectNothing()
		},
		"an offer ends with its user": func(w *world) {
			v, user, support := w.vikasChat("Nika")
			desk := w.person("Dodo").sits("offers")
			support.send("Transfer", to("Dodo"))
			support.expectClose(1000)
			desk.expectOffer(v, "from", "Vika")
			user.send("CloseChat", nil)
			desk.expectOfferGone(v)
			desk.expectNothing()
		},
	}), alone(short, scenarios{
		"an offer runs out, and the user is everybody's": func(w *world) {
			v, _, support := w.vikasChat("Nika")
			desk, all := w.person("Dodo").sits("offers", "details"), w.person("Zaza").sits()
			support.send("Transfer", to("Dodo"))
			support.expectClose(1000)
			begun := time.Now()
			desk.expect("Offer", with(offered(v, "from", "Vika"), "since", aTimestamp))
			desk.expectOfferGone(v)
			if took := time.Since(begun); took < ttl*8/10 || took > ttl+2*time.Second*slowness {
				w.Errorf("an offer of %v was over after %v", ttl, took)
			}
			all.expectAnnounced(v)
			desk.expect("UserJoined", with(v.pending(), "since", aTimestamp))
			desk.send("Decline", v.claim())
			each([]*client{desk, all}, (*client).expectNothing)
		},
	}))
}
