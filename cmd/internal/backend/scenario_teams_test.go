package backend_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

func TestScenarioTeams(t *testing.T) {
	t.Parallel()
	settings := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(settings, []byte(`{"teams":[{"id":"billing","name":"Billing"},{"id":"sales","name":"Sales"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	withSettings := func(c *backend.Config) { withTokens(c); c.Settings = settings; c.OfferTTL = time.Minute }
	of := func(team string) obj { return obj{"team": team} }
	inEveryPlace(t, alone(withSettings, scenarios{
		"an agent with teams sees their users, and those without one": func(w *world) {
			billing, sales, both := w.person("Vika", "billing").sits(), w.person("Dodo", "sales").sits("verified"), w.person("Lali", "sales", "billing").sits()
			everybody := []*client{w.person("Nino").sits(), w.person("Gia", "unknown").sits("details")}
			bill, none := w.registerWith("Nika", of("billing")), w.register("Zaza")
			w.user(bill)
			each([]*client{billing, both, everybody[0]}, func(c *client) { c.expectAnnounced(bill) })
			everybody[1].expect("UserJoined", with(with(bill.pending(), "since", aTimestamp), "team", "billing"))
			w.user(none)
			each([]*client{billing, sales, both, everybody[0]}, func(c *client) { c.expectAnnounced(none) })
			everybody[1].expect("UserJoined", with(none.pending(), "since", aTimestamp))
			// In a Load as well, in both forms.
			late := w.person("Dodo", "sales").lobby()
			late.load(none)
			late.loadBatch(none)
			vika := w.person("Vika", "billing", "unknown").lobby()
			vika.loadBatch(bill, none)
			// Another team's user is as an unknown one.
			for i := range 2 {
				sales.send("JoinUser", bill.claim())
				if i == 0 {
					sales.expectRemoved(bill)
				}
				sales.expectError("already_taken")
			}
			billing.send("JoinUser", bill.claim())
			for _, c := range append(everybody, billing, both, vika) {
				c.expectRemoved(bill)
			}
			each([]*client{sales, late}, (*client).expectNothing)
		},
		"a Transfer to a team, or to an agent of another one": func(w *world) {
			sales, billing, all := w.person("Dodo", "sales").sits("offers"), w.person("Lali", "billing").sits(), w.person("Nino").sits()
			v, _, support := w.vikasChat("Nika")
			each([]*client{sales, billing, all}, func(c *client) { c.expectAnnounced(v); c.expectRemoved(v) })
			support.send("Transfer", obj{"to": "team", "team": "billing"})
			support.expectClose(1000)
			each([]*client{billing, all}, func(c *client) { c.expectAnnounced(v) })
			next := w.person("Lali", "billing").chat(v.given())
			next.joinsAsSupport("Lali")
			each([]*client{billing, all}, func(c *client) { c.expectRemoved(v) })
			sales.expectNothing()
			next.send("Transfer", obj{"to": "agent", "agent": "Dodo"})
			next.expectClose(1000)
			sales.expectOffer(v, "from", "Lali")
			sales.send("JoinUser", v.claim())
			sales.expectRemoved(v)
			each([]*client{sales, billing, all}, (*client).expectNothing)
		},
	}), alone(func(c *backend.Config) { withSettings(c); c.Assign = "round_robin" }, scenarios{
		"assignment is within the team": func(w *world) {
			desks := []*client{
				w.person("Vika", "billing").sits("offers"), w.person("Dodo", "sales").sits("offers"), w.person("Nino", "unknown").sits("offers"),
			}
			team := func(name, team string) *visitor {
				v := w.registerWith(name, of(team))
				w.user(v)
				return v
			}
			if got := w.offeredTo(team("a", "sales"), desks...); got != 1 {
				w.Fatalf("to %d", got)
			}
			second := team("b", "sales")
			if got := w.offeredTo(second, desks...); got != 2 {
				w.Fatalf("to %d", got)
			}
			third := team("c", "billing")
			if got := w.offeredTo(third, desks...); got != 0 {
				w.Fatalf("to %d", got)
			}
			desks[2].send("Decline", second.claim())
			desks[2].expectOfferGone(second)
			if got := w.offeredTo(second, desks...); got != 1 {
				w.Fatalf("to %d", got)
			}
			desks[1].send("Decline", second.claim())
			desks[1].expectOfferGone(second)
			each(desks[1:], func(c *client) { c.expectAnnounced(second) })
			desks[0].expectNothing()
		},
	}), alone(func(c *backend.Config) { unlimited(c); c.Settings = settings }, scenarios{
		"without tokens everybody sees all": func(w *world) {
			v := w.registerWith("Nika", of("sales"))
			w.user(v)
			w.loadedAgent(v)
		},
	}))
}

// The settings change, and with them which teams of a token count: who is loaded is told
// of the users whom they see now, and no longer see.
func TestScenarioTeamsAgain(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, func(t *testing.T, p place) func() {
		const one, two = `{"teams":[{"id":"billing"}]}`, `{"teams":[{"id":"billing"},{"id":"sales"}]}`
		file := settingsFile(t, one)
		d := p.start(t, func(c *backend.Config) { withTokens(c); c.Settings = file })
		return func() {
			w := d.world(t)
			dodo := w.person("Dodo", "sales") // which does not count yet
			plain, asked, all := dodo.sits(), dodo.sits("details"), w.person("Nino").sits()
			joined := func(v *visitor, team string) obj {
				args := with(v.pending(), "since", aTimestamp)
				if team != "" {
					args["team"] = team
				}
				return args
			}
			bill, none := w.registerWith("Nika", obj{"team": "billing"}), w.register("Zaza")
			for v, team := range map[*visitor]string{bill: "billing", none: ""} {
				w.user(v)
				each([]*client{plain, all}, func(c *client) { c.expectAnnounced(v) })
				asked.expect("UserJoined", joined(v, team))
			}
			w.settingsAgain(file, two)
			each([]*client{plain, asked}, func(c *client) { c.expectRemoved(bill) })
			plain.send("JoinUser", bill.claim())
			plain.expectError("already_taken")
			mine := w.registerWith("Lali", obj{"team": "sales"})
			w.user(mine)
			each([]*client{plain, all}, func(c *client) { c.expectAnnounced(mine) })
			asked.expect("UserJoined", joined(mine, "sales"))
			w.settingsAgain(file, one)
			plain.expectAnnounced(bill)
			asked.expect("UserJoined", joined(bill, "billing"))
			plain.send("JoinUser", bill.claim())
			each([]*client{plain, asked, all}, func(c *client) { c.expectRemoved(bill) })
			each([]*client{plain, asked, all}, (*client).expectNothing)
		}
	})
}
