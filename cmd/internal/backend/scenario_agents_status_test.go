package backend_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// agentList is the latest list of agents that a socket is shown, as one line; "" until
// one comes.
func (c *client) shownAgents(wait time.Duration) (line string) {
	for {
		text, err := c.next(wait)
		if err != nil {
			return line
		}
		object, _ := parse(text)
		if object["type"] != "Agents" {
			continue
		}
		var all []string
		for _, one := range object["args"].(obj)["agents"].([]any) {
			a := one.(obj)
			one := fmt.Sprintf("%v %v %v/%v", a["supportUserName"], a["status"], a["chats"], a["capacity"])
			if teams, ok := a["teams"]; ok {
				one += fmt.Sprint(" ", teams)
			}
			all = append(all, one)
		}
		slices.Sort(all)
		line = strings.Join(all, ", ")
	}
}

// showsAgents waits for a list.
func (c *client) showsAgents(want ...string) {
	c.t.Helper()
	line, seen := "", false
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		if got := c.shownAgents(50 * time.Millisecond); got != "" {
			line, seen = got, true
		}
		if seen && line == strings.Join(want, ", ") {
			return
		}
	}
	c.t.Fatalf("%s: agents are %q, want %q", c.name, line, want)
}

func TestScenarioAgentsStatus(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(withTokens, scenarios{
		"everybody who lists it is shown all agents, their status and their chats": func(w *world) {
			readme := w.person("Lali").lobby()
			readme.load()
			vika := w.person("Vika", "billing", "sales").sits("agents")
			vika.ignoreRest()
			vika.showsAgents("Lali online 0/0", "Vika online 0/0 [billing sales]")
			dodo := []*client{w.person("Dodo").sits("agents"), w.person("Dodo").sits()}
			dodo[0].ignoreRest()
			all := func(want ...string) {
				w.Helper()
				for _, c := range []*client{vika, dodo[0]} {
					c.showsAgents(want...)
				}
			}
			all("Dodo online 0/0", "Lali online 0/0", "Vika online 0/0 [billing sales]")
			dodo[1].send("Status", obj{"status": "away", "capacity": 3}) // one on all sockets
			all("Dodo away 0/3", "Lali online 0/0", "Vika online 0/0 [billing sales]")
			v := w.register("Nika")
			user := w.user(v)
			user.ignoreRest()
			dodo[1].ignoreRest()
			readme.ignoreRest()
			support, tab := w.person("Dodo").chat(v), w.person("Dodo").chat(v)
			support.ignoreRest()
			support.joinsAsSupport("Dodo")
			tab.ignoreRest()
			tab.send("Join", v.asSupport("Dodo"))
			all("Dodo away 1/3", "Lali online 0/0", "Vika online 0/0 [billing sales]")
			dodo[1].close()
			readme.close()
			all("Dodo away 1/3", "Vika online 0/0 [billing sales]")
			user.send("CloseChat", nil)
			all("Dodo away 0/3", "Vika online 0/0 [billing sales]")
			dodo[0].close() // the status ends with the agent
			vika.showsAgents("Vika online 0/0 [billing sales]")
			dodo[0] = w.person("Dodo").sits("agents")
			dodo[0].ignoreRest()
			all("Dodo online 0/0", "Vika online 0/0 [billing sales]")
		},
		"the name is the token's": func(w *world) {
			c := w.person("Vika").lobby()
			c.send("Load", obj{"batch": true, "supportUserName": "Dodo"})
			c.expectError("forbidden")
			c.send("Load", obj{"batch": true, "supportUserName": "Vika"})
			c.expect("PendingUsers", obj{"users": []obj{}})
		},
	}), alone(unlimited, scenarios{
		"without tokens each loaded socket is an agent, who has what it claimed": func(w *world) {
			visitors, sockets := w.waiting("Nika")
			first, second := w.sits("Vika"), w.sits("Vika", "agents")
			second.ignoreRest()
			first.ignoreRest()
			second.showsAgents("Vika online 0/0", "Vika online 0/0")
			w.agent() // not loaded
			first.send("JoinUser", visitors[0].claim())
			support := w.chat(visitors[0])
			support.joinsAsSupport("Vika")
			sockets[0].expectSupportJoined()
			second.showsAgents("Vika online 0/0", "Vika online 1/0")
			first.send("Status", obj{"status": "away", "capacity": 100})
			second.showsAgents("Vika away 1/100", "Vika online 0/0")
			sockets[0].ignoreRest()
			support.ignoreRest()
			first.close()
			second.showsAgents("Vika online 0/0")
		},
		"a Status that is wrong is refused": func(w *world) {
			c := w.sits("")
			for _, args := range []any{
				nil, obj{}, obj{"status": "away"}, obj{"capacity": 1}, obj{"status": "gone", "capacity": 1}, obj{"status": "away", "capacity": 101},
				obj{"status": "away", "capacity": -1}, obj{"status": "away", "capacity": 0.5}, obj{"status": true, "capacity": 1},
			} {
				c.send("Status", args)
				c.expectError("bad_request")
			}
			other := w.sits("Vika", "agents")
			other.ignoreRest()
			other.showsAgents(" online 0/0", "Vika online 0/0")
		},
		"a socket that does not list it is told of nobody, and nobody is told twice a second": func(w *world) {
			plain, c := w.loadedAgent(), w.sits("Vika", "agents")
			c.ignoreRest()
			var times []time.Time
			for i := range 100 {
				c.send("Status", obj{"status": "online", "capacity": i % 10})
				for {
					text, err := c.next(30 * time.Millisecond)
					if err != nil {
						break
					}
					if strings.Contains(text, `"Agents"`) {
						times = append(times, time.Now())
					}
				}
			}
			for i := range times[1:] {
				if gap := times[i+1].Sub(times[i]); gap < 900*time.Millisecond {
					w.Errorf("lists %v apart", gap)
				}
			}
			if len(times) < 2 {
				w.Error("no list has come")
			}
			plain.expectNothing()
		},
	}))
}
