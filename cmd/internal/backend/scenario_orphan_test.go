package backend_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

// orphanGrace is SUPPORT_GRACE in these scenarios.
const orphanGrace = slowness * 2 * time.Second

// longGrace is that where somebody must be back in time, on a busy machine.
const longGrace = 5 * orphanGrace

// released is how long after the grace a chat may be released at the latest.
const released = 5 * time.Second

// expectLostSince wants what the user's sockets are told when the support has lost the
// chat, in time.
func (c *client) expectLostSince(v *visitor, both time.Time) {
	c.t.Helper()
	text, err := c.next(orphanGrace + released)
	if err != nil {
		c.t.Fatalf("%s: instead of SupportLeft: %v", c.name, err)
	}
	c.unread(text)
	c.expect("SupportLeft", supportLeft(v, "lost"))
	if took := time.Since(both); took < orphanGrace-100*time.Millisecond {
		c.t.Fatalf("it was released after %v", took)
	}
}

func TestScenarioOrphan(t *testing.T) {
	t.Parallel()
	short := func(c *backend.Config) { unlimited(c); c.SupportGrace = orphanGrace; c.LeaveGrace = 4 * orphanGrace }
	long := func(c *backend.Config) { unlimited(c); c.SupportGrace = longGrace }
	never := func(c *backend.Config) { unlimited(c); c.SupportGrace = 0 }
	inEveryPlace(t, alone(short, scenarios{
		"a support without a socket has lost the chat": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			plain := w.rejoined(v, "User", nil)
			one := support.said("one", user, plain)
			agents := w.agents(2)
			left := time.Now()
			support.close()
			user.expectLostSince(v, left)
			each(agents, func(a *client) { a.expectAnnounced(v) })
			v = v.given()
			user.v, plain.v = v, v
			plain.expectNothing()
			two := user.said("two", plain)
			w.nextSupport(v, "Dodo", []obj{one, two}, user, plain)
			each(agents, func(a *client) { a.expectRemoved(v) })
			user.expectNothingFor(orphanGrace + orphanGrace/2)
		},
		"one who comes back while nobody has claimed the user has the chat again": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			plain := w.rejoined(v, "User", nil)
			boss := w.observer(v, transferring)
			one := support.said("one", user, plain, boss)
			agents := w.agents(2)
			left := time.Now()
			support.close()
			user.expectLostSince(v, left)
			boss.expect("SupportLeft", supportLeft(v, "lost"))
			each(agents, func(a *client) { a.expectAnnounced(v) })
			during := w.chat(v)
			during.send("Join", with(v.asUser(), "supportId", v.supportID))
			during.expect("UserJoined", v.pending())
			during.expectHistory(one)
			for _, c := range []*client{user, plain, boss, during} {
				c.v = v.given()
			}
			two := user.said("two", plain, boss, during)
			for _, c := range []*client{user, plain, boss, during} {
				c.v = v
			}
			support = w.rejoined(v, "Support", transferring, one, two)
			each(agents, func(a *client) { a.expectRemoved(v) })
			for _, c := range []*client{user, boss, during} {
				c.expectSupportJoined()
			}
			plain.expectNothing()
			three := support.said("three", user, plain, boss, during)
			w.rejoined(v, "Support", nil, one, two, three)
			w.rejoined(v, "User", nil, one, two, three)
			each(agents, (*client).expectAnswersOnly)
			// And may lose it again.
			support.ignoreRest()
			user.expectNothing()
		},
		"later the chat is another's": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			agent := w.loadedAgent()
			left := time.Now()
			support.close()
			user.expectLostSince(v, left)
			agent.expectAnnounced(v)
			old := v.supportID
			agent.send("JoinUser", v.claim())
			agent.expectRemoved(v)
			refused := func() {
				w.Helper()
				c := w.joinsAs(v, old)
				c.expectError("already_taken")
				c.expectClose(1008)
			}
			refused()
			v = v.given()
			user.v = v
			w.nextSupport(v, "Dodo", nil, user)
			refused()
			user.expectNothing()
		},
		"while the user is away, too, nothing happens": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			user.close()
			support.close()
			agent := w.loadedAgent()
			agent.expectNothingFor(orphanGrace + orphanGrace/2)
			back := time.Now()
			user = w.rejoined(v, "User", transferring)
			user.expectLostSince(v, back)
			agent.expectAnnounced(v)
		},
		"nobody is released from a closed chat": func(w *world) {
			_, user, support := w.liveCouple("transfer", "close")
			agent := w.loadedAgent()
			user.send("CloseChat", nil)
			user.expectClosed("User")
			support.expectClosed("User")
			support.close()
			user.expectNothingFor(2 * orphanGrace)
			agent.expectNothing()
		},
	}), alone(func(c *backend.Config) { short(c); c.AgentSecret = agentSecret }, scenarios{
		"with tokens, one who comes back needs no supportId": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.joinsWith("User", "transfer")
			user.expect("UserJoined", v.pending())
			hs256 := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
			vika, ada := agent{w, hs256.sign(claimsOf("vika", "Vika"))}, agent{w, hs256.sign(claimsOf("ada", "Ada"))}
			support, desk := vika.chat(v), ada.lobby()
			desk.load(v)
			support.joinsAsSupport("Vika")
			user.expectSupportJoined()
			desk.expectRemoved(v)
			one := support.said("one", user)
			left := time.Now()
			support.close()
			user.expectLostSince(v, left)
			desk.expectAnnounced(v)
			thief := ada.chat(v)
			thief.send("Join", with(v.asSupport("Ada"), "supportId", v.supportID))
			thief.expectError("forbidden")
			thief.expectClose(1008)
			support = vika.chat(v)
			support.role = "Support"
			support.send("Join", v.asSupport("Vika"))
			support.expectSupportJoined()
			support.expectHistory(one)
			user.expectSupportJoined()
			desk.expectRemoved(v)
			support.said("two", user)
			left = time.Now()
			support.close()
			user.expectLostSince(v, left)
			desk.expectAnnounced(v)
			desk.send("JoinUser", v.claim())
			desk.expectRemoved(v)
			late := vika.chat(v)
			late.send("Join", v.asSupport("Vika"))
			late.expectError("already_taken")
			late.expectClose(1008)
		},
	}), shared(long, scenarios{
		"one who comes back in time has lost nothing": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			for range 2 {
				support.close()
				pass(orphanGrace / 4)
				support = w.rejoined(v, "Support", transferring)
			}
			tab := w.rejoined(v, "Support", transferring)
			support.close()
			user.expectNothingFor(longGrace + orphanGrace)
			tab.said("still here", user)
		},
	}), shared(never, scenarios{
		"with 0 nobody is ever lost": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			support.close()
			user.expectNothingFor(orphanGrace + orphanGrace/2)
			w.rejoined(v, "Support", nil).said("still mine", user)
		},
	}))
}
