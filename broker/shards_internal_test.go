package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever becomes of topics, each line knows how many it has.
func TestLinesCountTheirTopics(t *testing.T) {
	ts := newTopics()
	defer ts.close()
	ts.sharded = func(string) bool { return true }
	var lines []*line
	for range 3 {
		l := newLine(ts, ts.ctx)
		lines = append(lines, &l)
	}
	random := rand.New(rand.NewPCG(1, 2))
	subscriptions := map[*subscription]bool{}
	most := 0
	for range 5_000 {
		ts.mu.Lock()
		switch random.IntN(5) {
		case 0, 1:
			subscriptions[ts.add(fmt.Sprint(random.IntN(50)), listener{})] = true
		case 2:
			for _, one := range ts.byName {
				ts.unplace(one)
				break
			}
		}
		ts.mu.Unlock()
		todo, _ := ts.unplaced(random.IntN(10) == 0)
		for _, p := range todo {
			if p.line == nil {
				ts.move(p.topic, lines[random.IntN(3)])
			}
		}
		for s := range subscriptions {
			if random.IntN(3) == 0 {
				delete(subscriptions, s)
				s.Close()
				l := s.topic.line
				for l != nil && s.topic.state != off { // as its connection would confirm it
					l.left(s.topic.name)
				}
			}
			break
		}
		most = max(most, len(ts.byName))
		counts := map[*line]int{}
		for _, one := range ts.byName {
			counts[one.line]++
		}
		for i, l := range lines {
			if l.count != counts[l] {
				t.Fatalf("line %d counts %d topics of %d", i, l.count, counts[l])
			}
		}
	}
	if most < 10 {
		t.Fatalf("never more than %d topics", most)
	}
}

// A connection without topics is kept for a while, since the next chat may need it.
func TestIdleLine(t *testing.T) {
	ts := newTopics()
	defer ts.close()
	l := newLine(ts, ts.ctx)
	ts.mu.Lock()
	topic := &topic{name: "one"}
	ts.byName["one"] = topic
	ts.assign(topic, &l)
	ts.mu.Unlock()
	now := time.Now()
	if l.idle(now) || l.idle(now.Add(time.Hour)) {
		t.Error("a line with a topic is idle")
	}
	ts.mu.Lock()
	ts.remove(topic)
	ts.mu.Unlock()
	if l.idle(now) || l.idle(now.Add(maxIdle)) {
		t.Error("a line is idle at once")
	}
	if !l.idle(now.Add(maxIdle + time.Second)) {
		t.Error("a line without topics is never idle")
	}
}
