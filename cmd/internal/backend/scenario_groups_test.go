package backend_test

import (
	"testing"

	"livesupport/broker/brokertest"
)

// TestScenarioSentinel kills the primary of a Sentinel group in the middle of
// conversations.
func TestScenarioSentinel(t *testing.T) {
	t.Parallel()
	group := brokertest.StartRedisSentinel(t, 1)
	w := place{open: at(group.URL()), split: true}.start(t, nil).world(t)
	agents := w.agents(2)
	v, user, support := w.coupleSeenBy(agents)
	said := []obj{user.said("before", support), support.said("yes, before", user)}
	waiting, sockets := w.waiting("Dodo", "Zaza")
	for _, v := range waiting {
		each(agents, func(a *client) { a.expectAnnounced(v) })
	}

	group.KillPrimary()
	w.isBack(
		request{user, "ChatMessage", user.says("after")},
		request{agents[0], "Load", obj{"batch": true}},
		request{agents[1], "Load", obj{"batch": true}},
	)
	again := user.expectMessage("User", "after")
	support.expect("ChatMessage", again)
	each(agents, func(a *client) { a.expectUsers(waiting...) })
	said = append(said, again, support.said("yes, after", user))

	agents[1].send("JoinUser", waiting[0].claim())
	each(agents, func(a *client) { a.expectRemoved(waiting[0]) })
	w.support(waiting[0], "Kiku")
	sockets[0].expectSupportJoined()
	last := w.chat(v)
	last.rejoins("User")
	last.expectHistory(said...)
	each(append(agents, user, support, last), (*client).expectNothing)
}

// TestScenarioCluster has conversations on every node of a Redis Cluster, of which the servers are told one.
func TestScenarioCluster(t *testing.T) {
	t.Parallel()
	cluster := brokertest.StartRedisCluster(t)
	w := place{open: at(cluster.Node()), split: true}.start(t, nil).world(t)
	agents := w.agents(2)
	for n := 0; !cluster.EveryNodeHas("chat:*"); n++ {
		if n == 100 { // chats are spread by chance
			t.Fatal("a node of the cluster has no chat")
		}
		v := w.register("Nika")
		user := w.user(v)
		each(agents, func(a *client) { a.expectAnnounced(v) })
		agents[n%2].send("JoinUser", v.claim())
		each(agents, func(a *client) { a.expectRemoved(v) })
		support := w.support(v, "Vika")
		user.expectSupportJoined()
		said := []obj{user.said("hello", support), support.said("hey", user)}
		last := w.chat(v)
		last.rejoins("User")
		last.expectHistory(said...)
		each([]*client{user, support, last}, (*client).expectAnswersOnly)
	}
	each(agents, (*client).expectNothing)
}
