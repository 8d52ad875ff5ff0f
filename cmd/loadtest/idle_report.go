package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Crowd is the part of a summary about idle connections.
type Crowd struct {
	Users    int `json:"users"`
	Supports int `json:"supports"`
	Agents   int `json:"agents"`
	// Stopped says what ran out before all were open or the time was over.
	Stopped   string `json:"stopped,omitempty"`
	Processes int    `json:"processes"` // that held them
	Addresses int    `json:"addresses"` // from which they came; 0: the system chose

	Opening   float64 `json:"openingSeconds"`
	PerSecond float64 `json:"connectsPerSecond"`
	Closing   float64 `json:"closingSeconds"` // until the last one was closed again

	// From the start of connecting until the answer to the Join or Load; a user
	// registers in between.
	UserJoin    Percentiles `json:"userJoin"`
	SupportJoin Percentiles `json:"supportJoin"`
	AgentLoad   Percentiles `json:"agentLoad"`

	// The test's own processes: memory, and share of one processor while it held.
	ResidentMiB float64 `json:"residentMiB"`
	CPU         float64 `json:"cpuPercent"`

	Lobbies []Server `json:"lobbies"`
	// Before is the machine before the first connection; the others are what has come
	// on top: with all of them open, at the end of the load, and after the last one.
	Before Machine `json:"before"`
	Opened Machine `json:"opened"`
	Held   Machine `json:"held"`
	After  Machine `json:"after"`
	Lowest float64 `json:"lowestAvailableMiB"`
}

// summarize makes the account.
func (t *idleTest) summarize(ctx context.Context, servers *gauges) *Summary {
	var all workerStatus
	if t.crowd != nil {
		all, _ = t.crowd.sum()
		joins, gaps := t.crowd.merged()
		t.found.UserJoin, t.found.SupportJoin, t.found.AgentLoad = joins[kindUser].percentiles(), joins[kindSupport].percentiles(), joins[kindAgent].percentiles()
		t.gaps.histogram.Merge(gaps.histogram)
		t.found.Processes = len(t.crowd.workers)
	}
	t.load.pings.Add(all.Pings)
	for reason, n := range all.Cut {
		t.cut[reason] += n
	}
	for code, n := range all.Refused {
		t.refused[code] += n
	}
	c := &t.found
	c.Addresses, c.Lowest = len(t.sources.addresses), t.lowest
	open := c.Users + c.Supports + c.Agents
	if c.Opening > 0 {
		c.PerSecond = float64(open) / c.Opening
	}
	if c.Stopped != "" {
		t.planned = int(t.sent.Load())
	}
	s := t.summary(ctx, "idle", servers)
	s.Connections += open
	s.Servers = servers.servers(2*len(t.ready())+c.Users+c.Supports, func(g *gauge) reading { return g.ended })
	c.Lobbies = t.lobbies.servers(c.Agents, func(g *gauge) reading { return g.ended })
	s.Heartbeats.MicrosEach = 0
	if n := servers.heartbeats; n > 0 && t.idle.Chats == 0 {
		for _, server := range append(s.Servers[:len(s.Servers):len(s.Servers)], c.Lobbies...) {
			s.Heartbeats.MicrosEach += server.gross * 1e6 / float64(n)
		}
	}
	s.Idle = c
	if c.Stopped != "" {
		s.Faults = append(s.Faults, "stopped with "+fmt.Sprint(open)+" connections: "+c.Stopped)
	}
	return s
}

// lines are what is not a percentile.
func (c *Crowd) lines() []string {
	lines := []string{
		fmt.Sprintf("idle: %d users, %d supports and %d agents, from %d addresses, held by %d processes",
			c.Users, c.Supports, c.Agents, max(1, c.Addresses), c.Processes),
		fmt.Sprintf("opened in %.1f s, %.0f a second; closed in %.1f s", c.Opening, c.PerSecond, c.Closing),
		fmt.Sprintf("load test: %.0f%% of a processor, %.1f MiB resident", c.CPU, c.ResidentMiB),
	}
	if c.Before.Available == 0 {
		return lines
	}
	lines = append(lines, fmt.Sprintf("machine: %.0f MiB available before, %.0f at the least", c.Before.Available, c.Lowest))
	for _, at := range []struct {
		when string
		m    Machine
	}{{"all open", c.Opened}, {"at the end", c.Held}, {"all closed", c.After}} {
		m := at.m
		line := fmt.Sprintf("  %s: %.0f MiB taken; slab %+.0f MiB, page tables %+.0f, stacks %+.0f, TCP's buffers %+.1f; TCP sockets %+d",
			at.when, m.Available, m.Slab, m.PageTables, m.KernelStack, m.Buffers, m.Sockets)
		names := slices.SortedFunc(maps.Keys(m.Caches), func(a, b string) int { return int(m.Caches[b] - m.Caches[a]) })
		var largest []string
		for _, name := range names[:min(8, len(names))] {
			largest = append(largest, fmt.Sprintf("%s %.0f", name, m.Caches[name]))
		}
		if largest != nil {
			line += "; of the slab " + strings.Join(largest, ", ")
		}
		lines = append(lines, line)
	}
	return lines
}

// sumOf is several servers as one.
func sumOf(servers []Server) (sum Server) {
	for _, s := range servers {
		sum.ResidentMiB += s.ResidentMiB
		sum.KiBPerConnection += s.KiBPerConnection / float64(len(servers))
		sum.CPU += s.CPU
		if s.Error != "" {
			sum.Error = s.Error
		}
	}
	sum.URL = fmt.Sprintf("%d servers, %s and so on", len(servers), servers[0].URL)
	return sum
}
