package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// idleOptions has the flags of the test of idle connections.
type idleOptions struct {
	Conns     int           `default:"1000" help:"Number of idle connections."`
	Agents    float64       `default:"10" help:"Percentage of the connections that are agents at the lobby. The others are users and supports in their chats, half of them each."`
	Heartbeat int           `default:"30" help:"Seconds between two heartbeats to ask for; 0 leaves it to the servers."`
	Chats     int           `default:"0" help:"Number of chats that talk meanwhile, in addition to the idle connections."`
	Rate      float64       `default:"100" help:"Messages per second over all chats that talk."`
	Size      int           `default:"200" help:"Size of a message's content in bytes."`
	Settle    time.Duration `default:"2s" help:"Pause between opening the connections and the load."`
	OpenFor   time.Duration `placeholder:"TIME" help:"Open connections for this time at most, and hold those that are open by then."`
	Closers   int           `default:"10000" help:"How many connections to close at the same time."`
	KeepFree  int           `default:"1536" placeholder:"MIB" help:"Stop when the machine has less memory available, in MiB (default: ${default})."`
}

func (o *idleOptions) check() error {
	if o.Chats == 0 {
		o.Rate = 1 // of nothing
	}
	return first(
		within("conns", o.Conns, 2, 10*maxConnections),
		within("agents", o.Agents, 0, 100),
		within("heartbeat", o.Heartbeat, 0, 30),
		within("chats", o.Chats, 0, maxConnections/2),
		within("rate", o.Rate, 0.001, maxRate),
		within("size", o.Size, minContent, maxContent),
		within("settle", o.Settle, 0, time.Hour),
		within("open-for", o.OpenFor, 0, maxDuration),
		within("closers", o.Closers, 1, 10*maxConnections),
		within("keep-free", o.KeepFree, 0, 1<<30),
	)
}

// split shares the connections out: chats, with two of them each, and agents.
func (o *idleOptions) split() (chats, agents int) {
	agents = int(float64(o.Conns) * o.Agents / 100)
	chats = (o.Conns - agents) / 2
	return chats, o.Conns - 2*chats
}

// idleTest is the test of idle connections at work.
type idleTest struct {
	*chatTest
	idle  idleOptions
	crowd *crowd
	found Crowd

	lobbies *gauges
	lowest  float64 // available memory, in MiB
}

// idle runs the test of idle connections.
func (l *load) idle(ctx context.Context, o idleOptions) (*Summary, error) {
	t := &idleTest{chatTest: l.newChatTest(chatOptions{Chats: o.Chats, Rate: o.Rate, Size: o.Size, Direct: true, Histories: o.Chats}), idle: o}
	if o.Chats > 0 {
		t.planned = planned(o.Rate, l.options.Duration, 0)
	}
	urls := append(l.options.ChatURL[:len(l.options.ChatURL):len(l.options.ChatURL)], l.options.LobbyURL...)
	l.sources.choose(l.options.Source, o.Conns, urls)
	if err := checkMachine(o.Conns, urls, len(l.sources.addresses)); err != nil {
		return nil, err
	}
	t.found.Before = readMachine()
	t.lowest = t.found.Before.Available
	if _, agents := o.split(); agents > 0 {
		t.lobbies = l.gauge(ctx, l.options.LobbyURL)
	} else {
		t.lobbies = &gauges{load: l}
	}
	servers, err := t.openAll(ctx, o.Chats, true)
	if err == nil {
		err = t.checkServers(servers)
	}
	if err == nil && ctx.Err() == nil {
		t.crowd, err = l.startCrowd(o, maxWorkerConns())
	}
	if err != nil {
		return nil, err
	}
	if t.crowd != nil {
		err = t.run(ctx, servers)
	}
	if err != nil {
		return nil, err
	}
	l.close()
	if t.found.Stopped == "" {
		t.compareHistories(ctx)
	}
	return t.summarize(ctx, servers), nil
}

// run opens the crowd, holds it and closes it.
func (t *idleTest) run(ctx context.Context, servers *gauges) error {
	defer t.crowd.kill()
	if stopped := t.guard(); stopped != "" {
		return errors.New(stopped)
	}
	if err := t.open(ctx); err != nil {
		return err
	}
	wait(context.WithoutCancel(ctx), 2*tellEvery) // until all have said what they have
	all, err := t.crowd.sum()
	if err != nil {
		return err
	}
	t.found.Users, t.found.Supports, t.found.Agents = all.Open[kindUser], all.Open[kindSupport], all.Open[kindAgent]
	switch {
	case t.found.Stopped == "":
		wait(ctx, t.idle.Settle)
	case t.found.Users+t.found.Supports+t.found.Agents == 0:
		return errors.New(t.found.Stopped)
	}
	t.found.Opened = readMachine().less(t.found.Before)
	servers.settled(ctx)
	t.lobbies.settled(ctx)
	if err := t.hold(ctx, servers); err != nil {
		return err
	}
	return t.leave(ctx)
}

// open opens the crowd, as far as the time and the memory allow.
func (t *idleTest) open(ctx context.Context) (err error) {
	start := time.Now()
	t.progress.show(func() string { return "opening connections · " + t.crowd.line() })
	most := t.idle.OpenFor
	if most == 0 {
		most = maxDuration
	}
	opening, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	t.found.Stopped, err = t.crowd.open(opening, t.guard)
	if opening.Err() != nil {
		t.crowd.tell(commandEnough)
	}
	t.found.Opening = time.Since(start).Seconds()
	return err
}

// hold applies the load.
func (t *idleTest) hold(ctx context.Context, servers *gauges) error {
	all, err := t.crowd.sum()
	if err != nil {
		return err
	}
	before, cpu := all.Pings+t.load.pings.Load(), all.CPU
	servers.before(ctx)
	t.lobbies.before(ctx)
	start := time.Now()
	t.progress.show(func() string { return t.line(start) + " · " + t.crowd.line() })
	if t.found.Stopped == "" {
		t.found.Stopped = t.talk(ctx, start)
	}
	t.sendingFor = time.Since(start)
	ctx = context.WithoutCancel(ctx)
	servers.after(ctx)
	t.lobbies.after(ctx)
	if all, err = t.crowd.sum(); err != nil {
		return err
	}
	servers.heartbeats = all.Pings + t.load.pings.Load() - before
	t.found.CPU = 100 * (all.CPU - cpu) / time.Since(start).Seconds()
	_, own := ownUse()
	t.found.ResidentMiB = float64(all.Resident+own) / (1 << 20)
	t.found.Held = readMachine().less(t.found.Before)
	t.awaitMessages(ctx)
	return nil
}

// talk lets the chats talk until the time is over, and says if the memory ran out before.
func (t *idleTest) talk(ctx context.Context, start time.Time) (stopped string) {
	ctx, cancel := context.WithCancel(ctx)
	var sender sync.WaitGroup
	sender.Go(func() { t.send(ctx, start) })
	for stopped == "" && ctx.Err() == nil && time.Since(start) < t.load.options.Duration {
		wait(ctx, pollEvery)
		stopped = t.guard()
	}
	if stopped != "" {
		cancel()
	}
	sender.Wait()
	cancel()
	return stopped
}

// leave closes the crowd.
func (t *idleTest) leave(ctx context.Context) error {
	t.progress.show(func() string { return "closing connections · " + t.crowd.line() })
	took, err := t.crowd.close()
	t.found.Closing = took.Seconds()
	t.found.After = readMachine().less(t.found.Before)
	return err
}

// guard says when the memory runs out, and keeps the lowest value.
func (t *idleTest) guard() string {
	free := available()
	t.lowest = min(t.lowest, free)
	if free > 0 && free < float64(t.idle.KeepFree) {
		return fmt.Sprintf("memory: the machine has only %.0f MiB available", free)
	}
	return ""
}

// checkServers returns an error for a server that may not open enough files, as far as
// it tells.
func (t *idleTest) checkServers(chats *gauges) error {
	n, agents := t.idle.split()
	for _, part := range []struct {
		servers *gauges
		conns   int
	}{{chats, 2 * (n + t.idle.Chats)}, {t.lobbies, agents}} {
		for _, s := range part.servers.all {
			if each := part.conns / len(part.servers.all); s.err == nil && s.empty.files > 0 && s.empty.files < float64(each) {
				return fmt.Errorf("%s may open %.0f files, which is too few for its part of %d connections: start it with a higher limit (ulimit -n), or start more servers and name all of them", s.url, s.empty.files, each)
			}
		}
	}
	return nil
}

// line is the crowd's part of the progress.
func (c *crowd) line() string {
	s, _ := c.sum()
	return fmt.Sprintf("%d users, %d supports, %d agents · %d heartbeats answered",
		s.Open[kindUser], s.Open[kindSupport], s.Open[kindAgent], s.Pings)
}
