package backend_test

import (
	"strings"
	"testing"
)

func TestScenarioRating(t *testing.T) {
	t.Parallel()
	rating := []string{"rating"}
	inEveryPlace(t, shared(unlimited, scenarios{
		"a rating is told to all that listed it, and to whoever joins later": func(w *world) {
			v, user, support := w.liveCouple("rating")
			plain := w.rejoined(v, "Support", nil)
			user.send("Rate", obj{"score": 4, "comment": "good, ünd fast"})
			first := user.expect("Rated", obj{"score": 4.0, "comment": "good, ünd fast", "timestamp": aTimestamp})
			support.expect("Rated", first)
			user.strays() // null is as absent
			for _, args := range []obj{{"score": 1}, {"score": 1, "comment": ""}, {"score": 1, "comment": nil}} {
				user.send("Rate", args) // the last one counts; without a comment there is no field
				last := user.expect("Rated", obj{"score": 1.0, "timestamp": aTimestamp})
				support.expect("Rated", last)
				late := w.rejoined(v, "Support", rating)
				late.expect("Rated", last)
				late.close()
			}
			each([]*client{plain, user, support}, (*client).expectNothing)
			w.rejoined(v, "User", nil).expectNothing()
		},
		"only the user, and only where there is a support": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			user.send("Rate", obj{"score": 5})
			user.expectError("forbidden")
			early := w.chat(v)
			early.send("Rate", obj{"score": 5})
			early.expectError("not_joined")
			support := w.support(v, "Vika")
			user.expectSupportJoined()
			support.send("Rate", obj{"score": 5})
			support.expectError("forbidden")
			support.expectNothing()
		},
		"what is no rating is refused": func(w *world) {
			_, user, support := w.liveCouple("rating")
			long := strings.Repeat("ü", 1000)
			for _, args := range []any{
				obj{"score": 0}, obj{"score": 6}, obj{"score": -1}, obj{"score": 2.5}, obj{"score": "5"}, obj{"score": 261},
				obj{}, nil, obj{"comment": "x"}, obj{"score": nil}, obj{"score": 5, "comment": 5}, obj{"score": 5, "comment": long + "x"},
			} {
				user.send("Rate", args)
				user.expectError("bad_request")
			}
			user.send("Rate", obj{"score": 5, "comment": long})
			user.expect("Rated", obj{"score": 5.0, "comment": long, "timestamp": aTimestamp})
			support.expect("Rated", anything)
			support.expectNothing()
		},
	}))
}
