package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Summary is what a test has found. Times are in milliseconds unless the name
// says otherwise. Faults is empty if the servers did what they promise.
type Summary struct {
	Test        string    `json:"test"`
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"` // of load
	Interrupted bool      `json:"interrupted"`
	Generator   Generator `json:"generator"`

	Connections int            `json:"connections"`
	Cut         map[string]int `json:"cut"`     // connections that ended before, by reason
	Refused     map[string]int `json:"refused"` // requests that got an Error, by code
	Heartbeats  Heartbeats     `json:"heartbeats"`
	Servers     []Server       `json:"servers"`

	Chats *Chats `json:"chats,omitempty"`
	Lobby *Lobby `json:"lobby,omitempty"`
	Idle  *Crowd `json:"idle,omitempty"`

	Typing *Typing `json:"typing,omitempty"`

	Faults []string `json:"faults"`
}

// Generator is where the test ran.
type Generator struct {
	System     string `json:"system"`
	Processors int    `json:"processors"`
}

// Heartbeats are the server's pings, and the time between two on a connection.
type Heartbeats struct {
	Answered int64       `json:"answered"`
	Gap      Percentiles `json:"gap"`
	// MicrosEach is the servers' CPU time for one of an idle connection.
	MicrosEach float64 `json:"cpuMicrosEach,omitempty"`
}

// Chats is the part of a summary about chats.
type Chats struct {
	Count   int     `json:"count"`
	Opening Opening `json:"opening"`
	// Planned messages, sent ones, and those for which a connection was gone.
	Planned int64 `json:"planned"`
	Sent    int64 `json:"sent"`
	Unsent  int64 `json:"unsent"`

	PerSecond float64 `json:"perSecond"` // sent
	// Copies counts different messages at either side: two of each, if nothing is
	// lost. Lost does not count what was refused.
	Copies     int64 `json:"copies"`
	Lost       int64 `json:"lost"`
	Duplicates int64 `json:"duplicates"`
	OutOfOrder int64 `json:"outOfOrder"` // behind a later one of the same sender
	Disagree   int64 `json:"chatsInDifferentOrder"`
	Backwards  int64 `json:"timestampsBackwards"`
	Unexpected int64 `json:"unexpected"` // what no client should get

	Histories      int `json:"histories"` // compared
	HistoriesWrong int `json:"historiesWrong"`
	// Rejoin is the Join for a history, of so many messages on average.
	Rejoin             Percentiles `json:"rejoin"`
	MessagesPerHistory float64     `json:"messagesPerHistory"`

	Delivery Percentiles `json:"delivery"` // from when it was due to the other side
	Receipt  Percentiles `json:"receipt"`  // and back to the sender
	SendLag  Percentiles `json:"sendLag"`  // this program's own lateness

	// CPU time of the chat servers for a message, in microseconds; Net is less
	// what the connections cost at rest.
	CPUMicros    float64 `json:"cpuMicrosPerMessage"`
	CPUMicrosNet float64 `json:"cpuMicrosPerMessageNet"`
}

// Opening is what it took to bring users and supports into their chats.
type Opening struct {
	Seconds     float64     `json:"seconds"`
	Register    Percentiles `json:"register"`
	Join        Percentiles `json:"join"`     // connect and Join, of a user
	Announce    Percentiles `json:"announce"` // from there to UserJoined at an agent
	Claim       Percentiles `json:"claim"`    // from JoinUser to RemoveUser
	SupportJoin Percentiles `json:"supportJoin"`
	// CPUMicros is the chat servers' CPU time for a connection that is opened and
	// joins, half of a registration included.
	CPUMicros float64 `json:"cpuMicrosPerJoin"`
}

func (l *load) newSummary(ctx context.Context, test string, began time.Time, seconds float64) *Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Summary{
		Test: test, Began: began.UTC().Truncate(time.Second), Seconds: seconds,
		Interrupted: ctx.Err() != nil,
		Generator:   Generator{runtime.GOOS + "/" + runtime.GOARCH, runtime.NumCPU()},
		Cut:         l.cut, Refused: l.refused,
		Heartbeats: Heartbeats{Answered: l.pings.Load(), Gap: l.gaps.percentiles()},
		Faults:     []string{},
	}
	for _, reason := range sorted(l.cut) {
		s.fault(int64(l.cut[reason]), "connections were cut: "+reason)
	}
	for _, code := range sorted(l.refused) {
		s.fault(int64(l.refused[code]), "requests were refused: "+code)
	}
	return s
}

func sorted(counts map[string]int) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fault adds a sentence, unless there is none.
func (s *Summary) fault(n int64, what string) {
	if n > 0 {
		s.Faults = append(s.Faults, fmt.Sprintf("%d %s", n, what))
	}
}

// summary makes the account, when nothing reads any more.
func (t *chatTest) summary(ctx context.Context, test string, servers *gauges) *Summary {
	seconds := t.sendingFor.Seconds()
	s := t.newSummary(ctx, test, t.start, seconds)
	c := &Chats{
		Planned: int64(t.planned), Sent: t.sent.Load(), Unsent: t.unsent.Load(),
		Unexpected: t.unexpected.Load(), Backwards: t.backwards.Load(),
		Histories: t.histories, HistoriesWrong: t.historiesWrong,
		Delivery: t.delivery.percentiles(), Receipt: t.receipt.percentiles(), SendLag: t.lag.percentiles(),
		Opening: Opening{
			Seconds: t.openings.seconds, Register: t.openings.register.percentiles(), Join: t.openings.join.percentiles(),
			Announce: t.openings.announce.percentiles(), Claim: t.openings.claim.percentiles(), SupportJoin: t.openings.supportJoin.percentiles(),
		},
		Rejoin: t.rejoin.percentiles(),
	}
	s.Chats = c
	for _, chat := range t.ready() {
		c.Count++
		c.account(chat)
	}
	s.Connections = 2 * c.Count
	if c.Count > 0 {
		c.Opening.CPUMicros = servers.opening() * 1e6 / float64(s.Connections)
	}
	if c.Histories > 0 {
		c.MessagesPerHistory = float64(t.inHistories) / float64(c.Histories)
	}
	if seconds > 0 {
		c.PerSecond = float64(c.Sent) / seconds
	}
	s.Servers = servers.servers(s.Connections, func(g *gauge) reading { return g.begin })
	gross, net := costs(s.Servers)
	if c.Sent > 0 {
		c.CPUMicros, c.CPUMicrosNet = gross*1e6/float64(c.Sent), net*1e6/float64(c.Sent)
	}
	if servers.heartbeats > 0 {
		s.Heartbeats.MicrosEach = gross * 1e6 / float64(servers.heartbeats)
	}
	s.fault(c.Lost, "copies of messages were lost")
	s.fault(c.Duplicates, "copies of messages came more than once")
	s.fault(c.OutOfOrder, "copies of messages came behind a later one of the same sender")
	s.fault(c.Disagree, "chats whose two sides saw different orders")
	s.fault(c.Backwards, "timestamps ran backwards within a chat")
	s.fault(c.Unexpected, "messages came that no client should get")
	s.fault(int64(c.HistoriesWrong), "histories differ from what came live")
	if !s.Interrupted {
		s.fault(c.Planned-c.Sent, "messages could not be sent in time")
	}
	return s
}

// costs are the servers' seconds of CPU time under load, and less what rest would have cost.
func costs(servers []Server) (gross, net float64) {
	for _, server := range servers {
		gross += server.gross
		net += server.net
	}
	return gross, net
}

// account adds what the two sides of a chat should have and have got.
func (c *Chats) account(chat *conversation) {
	complete := true
	for sender, p := range chat.sides {
		for _, receiver := range chat.sides {
			got := &receiver.from[sender]
			c.Copies += int64(got.got)
			c.Duplicates += int64(got.doubled)
			c.OutOfOrder += int64(got.late)
			missing := int(p.sent) - got.got
			c.Lost += int64(max(0, missing-p.refused))
			complete = complete && missing == 0
		}
	}
	// With something missing the orders differ for that reason.
	if complete && chat.sides[0].order != chat.sides[1].order {
		c.Disagree++
	}
}

// Lobby is the part of a summary about lobbies.
type Lobby struct {
	Agents  int `json:"agents"`
	Pending int `json:"pending"` // before the load

	// A fresh agent's Load, to the first and the last pending user; and with batch.
	LoadFirst Percentiles `json:"loadFirst"`
	LoadLast  Percentiles `json:"loadLast"`
	LoadBatch Percentiles `json:"loadBatch"`

	PlannedJoins   int         `json:"plannedJoins"`
	Joins          int64       `json:"joins"`
	JoinsPerSecond float64     `json:"joinsPerSecond"`
	Join           Percentiles `json:"join"`        // until the user's own UserJoined
	Announce       Percentiles `json:"announce"`    // until UserJoined at each agent
	AnnounceAll    Percentiles `json:"announceAll"` // until the last agent has it
	Spread         Percentiles `json:"spread"`      // from the first agent to the last
	// CPU time of the lobbies while users came, for each of them and for each copy
	// of UserJoined, in microseconds.
	CPUMicrosPerJoin float64 `json:"cpuMicrosPerJoin"`
	CPUMicrosPerCopy float64 `json:"cpuMicrosPerCopy"`

	Claims  int64       `json:"claims"`
	Claim   Percentiles `json:"claim"`   // until RemoveUser at the agent who claims
	Removal Percentiles `json:"removal"` // at each agent
	Taken   Percentiles `json:"taken"`   // until the support has joined

	Missing int64 `json:"missing"` // announcements and removals that did not come
	Doubled int64 `json:"doubled"`
	Ghosts  int64 `json:"ghosts"` // removals of users who wait
	Failed  int64 `json:"failed"` // joins and claims
}

func (t *lobbyTest) summary(ctx context.Context, servers *gauges) *Summary {
	s := t.newSummary(ctx, "lobby", t.start, t.joinsFor.Seconds())
	joined, agents := t.joined.Load(), int64(len(t.agents))
	v := &Lobby{
		Agents: len(t.agents), Pending: int(min(joined, int64(t.options.Pending))),
		LoadFirst: t.loadFirst.percentiles(), LoadLast: t.loadLast.percentiles(), LoadBatch: t.loadBatch.percentiles(),
		PlannedJoins: t.plannedJoins, Join: t.join.percentiles(),
		Announce: t.announce.percentiles(), AnnounceAll: t.announceAll.percentiles(), Spread: t.spread.percentiles(),
		Claims: t.claimed.Load(), Claim: t.claim.percentiles(), Removal: t.removal.percentiles(), Taken: t.taken.percentiles(),
		Doubled: t.doubled.Load(), Ghosts: t.ghosts.Load(), Failed: t.failed.Load(),
	}
	s.Lobby = v
	v.Joins = joined - int64(v.Pending)
	v.Missing = t.missedByLoad.Load() + max(0, agents*joined-t.announced.Load()) + max(0, agents*v.Claims-t.removed.Load())
	s.Connections = int(joined+agents) + int(v.Taken.Count)
	s.Servers = servers.servers(0, nil)
	var cpu float64
	for _, server := range s.Servers {
		cpu += server.gross
	}
	if v.Joins > 0 && s.Seconds > 0 {
		v.JoinsPerSecond = float64(v.Joins) / s.Seconds
		v.CPUMicrosPerJoin = cpu * 1e6 / float64(v.Joins)
		v.CPUMicrosPerCopy = v.CPUMicrosPerJoin / float64(max(1, agents))
	}
	s.fault(v.Missing, "announcements or removals did not come to an agent")
	s.fault(v.Doubled, "announcements or removals came twice to an agent")
	s.fault(v.Ghosts, "removals came of users who wait and were not claimed")
	if text := t.firstFault.Load(); text != nil {
		s.fault(v.Failed, "joins or claims failed, the first because of: "+*text)
	}
	return s
}

func (s *Summary) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}

// writeText writes the summary for people.
func (s *Summary) writeText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	end := ""
	if s.Interrupted {
		end = ", interrupted"
	}
	fmt.Fprintf(w, "%s: %.1f s of load, %d connections, from %s with %d processors%s\n",
		s.Test, s.Seconds, s.Connections, s.Generator.System, s.Generator.Processors, end)
	fmt.Fprintf(w, "\tcount\tp50 ms\tp90 ms\tp99 ms\tp99.9 ms\tmax ms\n")
	row := func(name string, p Percentiles) {
		if p.Count > 0 {
			fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", name, p.Count, p.P50, p.P90, p.P99, p.P999, p.Max)
		}
	}
	if c := s.Chats; c != nil {
		row("register", c.Opening.Register)
		row("user's Join", c.Opening.Join)
		row("announced", c.Opening.Announce)
		row("claim", c.Opening.Claim)
		row("support's Join", c.Opening.SupportJoin)
		row("delivery", c.Delivery)
		row("receipt", c.Receipt)
		row("sent late by", c.SendLag)
		row("Join for a history", c.Rejoin)
	}
	if v := s.Lobby; v != nil {
		row("Load: first user", v.LoadFirst)
		row("Load: last user", v.LoadLast)
		row("Load: batch", v.LoadBatch)
		row("join", v.Join)
		row("UserJoined at an agent", v.Announce)
		row("UserJoined at all agents", v.AnnounceAll)
		row("first to last agent", v.Spread)
		row("claim", v.Claim)
		row("RemoveUser at an agent", v.Removal)
		row("support's Join", v.Taken)
	}
	if c := s.Idle; c != nil {
		row("an idle user's way in", c.UserJoin)
		row("an idle support's", c.SupportJoin)
		row("an idle agent's", c.AgentLoad)
	}
	row("between heartbeats", s.Heartbeats.Gap)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, line := range s.lines() {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// processes are the servers, in one line for each kind if they are many.
func (s *Summary) processes() (all []Server) {
	const few = 4
	kinds := [][]Server{s.Servers}
	if s.Idle != nil {
		kinds = append(kinds, s.Idle.Lobbies)
	}
	for _, kind := range kinds {
		if len(kind) > few {
			kind = []Server{sumOf(kind)}
		}
		all = append(all, kind...)
	}
	return all
}

// lines are what is not a percentile.
func (s *Summary) lines() []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c := s.Idle; c != nil {
		lines = append(lines, c.lines()...)
	}
	if c := s.Chats; c != nil && (c.Count > 0 || s.Idle == nil) {
		add("chats: %d, opened in %.1f s, %.0f µs of the chat servers' CPU for each connection", c.Count, c.Opening.Seconds, c.Opening.CPUMicros)
		if c.Planned > 0 {
			add("messages: %d sent of %d, %.0f a second; %d copies; %d lost, %d duplicates, %d out of order, %d chats in different order",
				c.Sent, c.Planned, c.PerSecond, c.Copies, c.Lost, c.Duplicates, c.OutOfOrder, c.Disagree)
			add("histories: %d compared, of %.0f messages each, %d wrong", c.Histories, c.MessagesPerHistory, c.HistoriesWrong)
			add("chat servers' CPU: %.0f µs a message, %.0f µs less what rest costs", c.CPUMicros, c.CPUMicrosNet)
		}
	}
	if v := s.Lobby; v != nil {
		add("users: %d waited before, %d came, %.0f a second, while %d agents watched; %d were claimed", v.Pending, v.Joins, v.JoinsPerSecond, v.Agents, v.Claims)
		add("agents' lists: %d missing, %d doubled, %d removed without a claim", v.Missing, v.Doubled, v.Ghosts)
		add("lobbies' CPU: %.0f µs for a user who comes, %.2f µs for each copy of UserJoined", v.CPUMicrosPerJoin, v.CPUMicrosPerCopy)
	}
	if v := s.Typing; v != nil {
		add("typing: %d sent in %d chats, %d passed on", v.Sent, v.Chats, v.PassedOn)
		add("chat servers' CPU: %.1f µs each, %.1f µs less what rest costs", v.CPUMicros, v.CPUMicrosNet)
	}
	heartbeats := fmt.Sprintf("heartbeats: %d answered", s.Heartbeats.Answered)
	if s.Heartbeats.MicrosEach > 0 {
		heartbeats += fmt.Sprintf(", %.1f µs of the servers' CPU each", s.Heartbeats.MicrosEach)
	}
	add("%s", heartbeats)
	for _, server := range s.processes() {
		if server.Error != "" {
			add("%s: no figures: %s", server.URL, server.Error)
			continue
		}
		line := fmt.Sprintf("%s: %.0f%% of a processor, %.1f MiB resident", server.URL, server.CPU, server.ResidentMiB)
		if server.KiBPerConnection != 0 {
			line += fmt.Sprintf(", %.1f KiB for each connection", server.KiBPerConnection)
		}
		lines = append(lines, line)
	}
	if len(s.Faults) == 0 {
		add("no faults")
	} else {
		add("FAULTS: %s", strings.Join(s.Faults, "; "))
	}
	return lines
}
