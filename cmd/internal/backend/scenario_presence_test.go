package backend_test

import (
	"testing"
	"time"
)

func present(from, state string) obj { return obj{"from": from, "state": state} }

func TestScenarioPresence(t *testing.T) {
	t.Parallel()
	features := []string{"presence"}
	inEveryPlace(t, shared(unlimited, scenarios{
		"told after the Join, when a support comes, and when it changes": func(w *world) {
			v := w.register("Nika")
			user, support := w.chat(v), w.chat(v)
			user.joinsWith("User", "presence")
			user.expect("UserJoined", v.pending())
			user.expectNothing() // there is no support
			support.joinsWith("Support", "presence")
			v.supportName = "Vika"
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			support.expect("Presence", present("User", "online"))
			user.expectSupportJoined()
			user.expect("Presence", present("Support", "online"))
			user.send("Presence", obj{"state": "away"})
			support.expect("Presence", present("User", "away"))
			user.send("Presence", obj{"state": "away"})
			support.expectNothing()
			user.send("Presence", obj{"state": "online"})
			support.expect("Presence", present("User", "online"))
			each([]*client{user, support}, (*client).expectNothing)
		},
		"away is when every socket of the role has said so": func(w *world) {
			v, user, support := w.liveCouple("presence")
			support.expect("Presence", present("User", "online"))
			user.expect("Presence", present("Support", "online"))
			tab := w.rejoined(v, "User", features)
			tab.expect("Presence", present("Support", "online"))
			user.send("Presence", obj{"state": "away"})
			support.expectNothing()
			tab.send("Presence", obj{"state": "away"})
			support.expect("Presence", present("User", "away"))
			user.close()
			support.expectNothing()
			third := w.rejoined(v, "User", nil) // one of the original README is online
			support.expect("Presence", present("User", "online"))
			third.expectNothing()
			support.close() // it would be told that the third one goes
		},
		"offline is told after three seconds, so that a reload is not seen": func(w *world) {
			v, user, support := w.liveCouple("presence")
			support.expect("Presence", present("User", "online"))
			user.expect("Presence", present("Support", "online"))
			user.close()
			support.expectNothingFor(time.Second)
			again := w.rejoined(v, "User", features)
			again.expect("Presence", present("Support", "online"))
			support.expectNothingFor(4 * time.Second)
			left := time.Now()
			again.close()
			support.expect("Presence", present("User", "offline"))
			if took := time.Since(left); took < 2900*time.Millisecond {
				w.Fatalf("offline was told after %v", took)
			}
			late := w.rejoined(v, "Support", features)
			late.expect("Presence", present("User", "offline"))
			w.rejoined(v, "User", nil)
			late.expect("Presence", present("User", "online"))
			support.expect("Presence", present("User", "online"))
		},
		"a user who has never connected is offline": func(w *world) {
			v := w.register("Nika")
			support := w.chat(v)
			support.joinsWith("Support", "presence")
			v.supportName = "Vika"
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			support.expect("Presence", present("User", "offline"))
			user := w.chat(v)
			user.send("Join", v.asUser())
			user.expect("UserJoined", v.pending())
			user.expectSupportJoined()
			user.expectHistory()
			support.expect("Presence", present("User", "online"))
		},
		"sockets that have not listed it get nothing, and count all the same": func(w *world) {
			v, user, support := w.couple()
			listening := w.rejoined(v, "Support", features)
			listening.expect("Presence", present("User", "online"))
			user.send("Presence", obj{"state": "away"})
			listening.expect("Presence", present("User", "away"))
			each([]*client{user, support, listening}, (*client).expectNothing)
		},
		"what is no state is refused": func(w *world) {
			_, user, support := w.couple()
			for _, args := range []any{obj{}, nil, obj{"state": nil}, obj{"state": "offline"}, obj{"state": ""}, obj{"state": 1}, obj{"state": "Online"}} {
				user.send("Presence", args)
				user.expectError("bad_request")
			}
			support.expectNothing()
			early := w.chat(user.v)
			early.send("Presence", obj{"state": "away"})
			early.expectError("not_joined")
		},
	}))
}
