package browser_test

import (
	"testing"
)

func TestTalk(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = `window.jumps = 0;
		new PerformanceObserver((list) => list.getEntries().forEach(({ value, hadRecentInput }) => { window.jumps += hadRecentInput ? 0 : value; }))
			.observe({ type: "layout-shift", buffered: true });`
	visitor, agent := s.visitor(as), s.agent(as, "Vika")
	agent.shows(".waiting .empty", "No one is waiting.")

	visitor.asks("Nika", "one")
	visitor.shows(".status", "You are number")
	agent.shows(".queue .name", "Nika")
	agent.shows(".queue .since", "Waiting for ")
	visitor.says("two") // while waiting

	agent.takes("Nika")
	agent.shows(".waiting .empty", "No one is waiting.")
	visitor.shows(".status", "You’re chatting with Vika")
	agent.says("three")
	visitor.conversation("one", "two", "three")
	visitor.shows(".who", "Vika")
	visitor.says("four")
	visitor.shows(".fate", "Read")
	all := []string{"one", "two", "three", "four"}
	agent.conversation(all...)

	// Both come back from a reload.
	visitor.reload()
	visitor.shows(".status", "You’re chatting with Vika")
	visitor.conversation(all...)
	agent.reload()
	agent.connected()
	agent.conversation(all...)
	for _, w := range []*window{visitor, agent} {
		if jumps := get[float64](w, `jumps`); jumps > 0.01 {
			t.Errorf("while %s comes back, its layout jumps by %v", get[string](w, `location.href`), jumps)
		}
	}

	// The visitor has a second tab.
	tab := visitor.another(desktop)
	tab.visit(s.chat)
	tab.click(".launcher")
	tab.conversation(all...)
	tab.says("five")
	agent.says("six")
	all = append(all, "five", "six")
	for _, w := range []*window{visitor, tab, agent} {
		w.conversation(all...)
	}
}
