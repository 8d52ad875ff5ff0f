package redisdb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startRedis(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func open(t testing.TB, url string, options ...redisdb.Option) *redisdb.DB {
	t.Helper()
	db, err := redisdb.Open(url, nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func openReady(t testing.TB, url string, options ...redisdb.Option) *redisdb.DB {
	t.Helper()
	db := open(t, url, options...)
	eventually(t, "Ready", func() bool { return db.Ready() == nil })
	return db
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func incr(key string) *redis.IntCmd {
	return redis.NewIntCmd(context.Background(), "incr", key)
}

func TestStoreComesLater(t *testing.T) {
	addr := brokertest.FreeAddr(t)
	db := open(t, "redis://"+addr)
	start := time.Now()
	if err := db.Do(within(t, 300*time.Millisecond), incr("n")); !errors.Is(err, redisdb.ErrUnavailable) {
		t.Errorf("Do without a store: %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("Do took %v", took)
	}
	eventually(t, "Ready tells the reason", func() bool {
		err := db.Ready()
		return err != nil && strings.Contains(err.Error(), addr) && strings.Contains(err.Error(), "refused")
	})
	// More failures in a row than go-redis's pool takes without a pause.
	for range 40 {
		_ = db.Client().Ping(within(t, time.Second)).Err()
	}

	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	cmd := incr("n")
	if err := db.Do(within(t, 5*time.Second), cmd); err != nil || cmd.Err() != nil {
		t.Errorf("Do when the store has come: %v, %v", err, cmd.Err())
	}
	start = time.Now()
	eventually(t, "Ready", func() bool { return db.Ready() == nil })
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("not ready for %v after the store had come", took)
	}
}

// TestUnreachableStoreIsLogged once, with the reason. Otherwise a server would wait for its store
// in silence.
func TestUnreachableStoreIsLogged(t *testing.T) {
	var log bytes.Buffer // read after Close
	db, err := redisdb.Open("redis://:s3cret@"+brokertest.FreeAddr(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	starting := db.Ready()
	eventually(t, "an attempt has failed", func() bool { return db.Ready() != starting })
	first := db.Ready()
	eventually(t, "another, too", func() bool { return db.Ready() != first })
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "cannot use the store") || !strings.Contains(text, "refused") || strings.Contains(text, "s3cret") {
		t.Errorf("log: %s", text)
	}
}

func TestSubmitOrder(t *testing.T) {
	db := openReady(t, "redis://"+startRedis(t).Addr())
	const callers, n = 8, 500
	var mu sync.Mutex // held around Submit, as rooms do, so that the order is known
	var submitted, finished, failed int
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range n {
				mu.Lock()
				submitted++
				turn := submitted
				one, two := incr("one"), incr("two")
				db.Submit(time.Now().Add(10*time.Second), func(err error) {
					mu.Lock()
					defer mu.Unlock()
					finished++
					if err != nil || finished != turn || one.Val() != int64(turn) || two.Val() != int64(turn) {
						failed++
					}
					if finished == callers*n {
						close(done)
					}
				}, one, two)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("not all calls were settled")
	}
	if failed > 0 {
		t.Errorf("%d of %d calls failed or were out of order", failed, finished)
	}
}

func TestReplies(t *testing.T) {
	db := openReady(t, "redis://"+startRedis(t).Addr())
	ctx := within(t, 5*time.Second)
	set := redis.NewStatusCmd(ctx, "set", "text", "x")
	wrong := redis.NewIntCmd(ctx, "rpush", "text", "x")
	missing := redis.NewStringCmd(ctx, "get", "nothing")
	last := incr("n")
	if err := db.Do(ctx, set, wrong, missing, last); err != nil {
		t.Fatal(err)
	}
	if wrong.Err() == nil || !strings.HasPrefix(wrong.Err().Error(), "WRONGTYPE") {
		t.Errorf("RPUSH to a string: %v", wrong.Err())
	}
	if missing.Err() != redis.Nil {
		t.Errorf("GET of nothing: %v", missing.Err())
	}
	if set.Err() != nil || last.Err() != nil || last.Val() != 1 {
		t.Errorf("commands around those with errors: %v; %v, %v", set.Err(), last.Val(), last.Err())
	}
}

// TestRefusals: if a store answers that it cannot work now, it counts as unavailable, and calls
// wait for it until their deadline.
func TestRefusals(t *testing.T) {
	for _, refusal := range []string{
		"LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
		"MASTERDOWN Link with MASTER is down", "CLUSTERDOWN The cluster is down", "TRYAGAIN Multiple keys request",
		"OOM command not allowed", "NOAUTH Authentication required.", "NOREPLICAS Not enough good replicas",
		"MISCONF Redis is configured to save", "BUSY Redis is busy running a script", "ERR max number of clients reached",
	} {
		t.Run(strings.Fields(refusal)[0], func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			db := openReady(t, "redis://"+server.Addr())
			server.SetError(refusal)
			cmd := incr("n")
			err := db.Do(within(t, 100*time.Millisecond), cmd)
			if !errors.Is(err, redisdb.ErrUnavailable) {
				t.Fatalf("while the store refuses: %v", err)
			}
			settled := make(chan error, 1)
			late := incr("late")
			db.Submit(time.Now().Add(50*time.Millisecond), func(err error) { settled <- err }, late)
			if err := <-settled; !errors.Is(err, redisdb.ErrUnavailable) || !strings.Contains(err.Error(), refusal) {
				t.Errorf("while the store refuses: %v", err)
			}

			patient, result := incr("patient"), make(chan error, 1)
			db.Submit(time.Now().Add(5*time.Second), func(err error) { result <- err }, patient)
			select {
			case err := <-result:
				t.Fatalf("settled while the store refuses: %v", err)
			case <-time.After(100 * time.Millisecond):
			}
			server.SetError("")
			if err := <-result; err != nil || patient.Err() != nil || patient.Val() != 1 {
				t.Errorf("when the store works again: %v; %v, %v", err, patient.Val(), patient.Err())
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	server := startRedis(t)
	server.RequireAuth("right")
	for _, url := range []string{"redis://:s3cret@" + server.Addr(), "redis://" + server.Addr()} {
		db := open(t, url)
		err := db.Do(within(t, 200*time.Millisecond), incr("n"))
		if !errors.Is(err, redisdb.ErrUnavailable) {
			t.Errorf("Do without the right password: %v", err)
		}
		eventually(t, "Ready tells the reason", func() bool {
			err := db.Ready()
			return err != nil && (strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "NOAUTH"))
		})
		if err := db.Ready(); strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password shows: %v", err)
		}
	}
	openReady(t, "redis://:right@"+server.Addr())
}

// TestOutage takes the store away while calls are made. Every call that succeeds has been executed,
// all are in order, and none waits past its deadline.
func TestOutage(t *testing.T) {
	for name, harm := range map[string]func(brokertest.Fault){
		"cut": brokertest.Fault.Cut, "stall": brokertest.Fault.Stall, "reset": brokertest.Fault.Reset,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			proxy := brokertest.StartProxy(t, server.Addr())
			db := openReady(t, "redis://"+proxy.Addr())
			type result struct {
				n    int
				late time.Duration
				err  error
			}
			results := make(chan result, 1000)
			submit := func(n int, patience time.Duration) {
				deadline := time.Now().Add(patience)
				db.Submit(deadline, func(err error) { results <- result{n, time.Since(deadline), err} },
					redis.NewIntCmd(context.Background(), "rpush", "list", n))
			}
			const calls = 90
			for n := range calls / 3 {
				submit(n, 10*time.Second)
			}
			harm(proxy)
			for n := calls / 3; n < calls*2/3; n++ {
				if n%2 == 0 {
					submit(n, 10*time.Second)
				} else {
					submit(n, 300*time.Millisecond)
				}
			}
			if name != "reset" {
				eventually(t, "Ready shows the outage", func() bool { return db.Ready() != nil })
				time.Sleep(400 * time.Millisecond)
				proxy.Heal()
			}
			for n := calls * 2 / 3; n < calls; n++ {
				submit(n, 10*time.Second)
			}
			var succeeded []string
			for range calls {
				r := <-results
				switch {
				case r.err == nil:
					succeeded = append(succeeded, fmt.Sprint(r.n))
				case !errors.Is(r.err, redisdb.ErrUnavailable) || r.n%2 == 0 || name == "reset":
					t.Errorf("call %d: %v", r.n, r.err)
				}
				if r.late > 2*time.Second {
					t.Errorf("call %d was settled %v after its deadline", r.n, r.late)
				}
			}
			list, err := server.List("list")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range succeeded { // in order, apart from what came twice
				for len(list) > 0 && list[0] != want {
					list = list[1:]
				}
				if len(list) == 0 {
					t.Fatalf("%s was settled with nil but is not in its place", want)
				}
			}
		})
	}
}

// TestCallsTrickleIn makes calls during an outage so slowly that the flusher,
// busy with the first, often finds no new one.
func TestCallsTrickleIn(t *testing.T) {
	t.Parallel()
	proxy := brokertest.StartProxy(t, startRedis(t).Addr())
	db := openReady(t, "redis://"+proxy.Addr())
	proxy.Cut()
	const calls = 4
	results := make(chan error, calls)
	submitted := make(chan struct{})
	go func() {
		defer close(submitted)
		for range calls {
			db.Submit(time.Now().Add(30*time.Second), func(err error) { results <- err }, incr("n"))
			time.Sleep(800 * time.Millisecond) // more than two attempts
		}
	}()
	select {
	case <-submitted:
	case <-time.After(10 * time.Second):
		t.Fatal("Submit blocks")
	}
	proxy.Heal()
	for range calls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	proxy := brokertest.StartProxy(t, startRedis(t).Addr())
	db := openReady(t, "redis://"+proxy.Addr())
	proxy.Stall()
	var mu sync.Mutex // Submit's caller may hold what done takes
	settled := make(chan error, 70000)
	mu.Lock()
	start := time.Now()
	for range 65536 + 100 {
		db.Submit(start.Add(time.Minute), func(err error) {
			mu.Lock()
			defer mu.Unlock()
			settled <- err
		}, incr("n"))
	}
	mu.Unlock()
	for range 100 {
		if err := <-settled; !errors.Is(err, redisdb.ErrUnavailable) {
			t.Fatalf("over the bound: %v", err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("refused after %v", took)
	}
	if len(settled) > 0 {
		t.Errorf("%d too many were refused", len(settled))
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	for range 65536 {
		if err := <-settled; !errors.Is(err, redisdb.ErrClosed) {
			t.Fatalf("at Close: %v", err)
		}
	}
}

func TestClose(t *testing.T) {
	db := openReady(t, "redis://"+startRedis(t).Addr())
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Do(within(t, time.Second), incr("n")); !errors.Is(err, redisdb.ErrClosed) {
		t.Errorf("Do after Close: %v", err)
	}
	if _, err := db.Listen(within(t, time.Second), redisdb.Node{}); !errors.Is(err, redisdb.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
	if err := db.Ready(); !errors.Is(err, redisdb.ErrClosed) {
		t.Errorf("Ready after Close: %v", err)
	}
}

func TestClock(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour, 0} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			server.SetTime(time.Now().Add(off)) // stands still
			db := openReady(t, "redis://"+server.Addr())
			if d := time.Until(db.Now()) - off; d.Abs() > time.Second {
				t.Errorf("with a store %v off, Now is off by %v", off, d)
			}
			last := db.Now()
			server.SetTime(time.Now().Add(off - time.Minute))
			for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
				now := db.Now() // the monitor asks once a second
				if now.Before(last) {
					t.Fatalf("Now went back by %v", last.Sub(now))
				}
				last = now
			}
			server.SetTime(time.Now().Add(off + time.Minute))
			eventually(t, "Now follows the store", func() bool {
				return (time.Until(db.Now()) - off - time.Minute).Abs() < 2*time.Second
			})
		})
	}
}

func TestListenerNeverReconnects(t *testing.T) {
	server := startRedis(t)
	proxy := brokertest.StartProxy(t, server.Addr())
	db := openReady(t, "redis://"+proxy.Addr())
	l, err := db.Listen(within(t, time.Second), redisdb.Node{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Subscribe("a", "b"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // two confirmations and the answer to the first ping
		if _, err := l.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Reset()
	if msg, err := l.Receive(); err == nil {
		t.Fatalf("received %v after a reset", msg)
	}
	for _, use := range []func() error{
		l.Ping,
		func() error { return l.Subscribe("c") },
		func() error { _, err := l.Receive(); return err },
	} {
		if err := use(); err == nil {
			t.Error("a failed Listener works again")
		}
	}
	eventually(t, "no subscriber is left", func() bool { return server.PubSubNumSub("a")["a"] == 0 })
}

// TestRealRedis kills a real Redis (kill -9) and starts it again.
func TestRealRedis(t *testing.T) {
	server := brokertest.StartRedisServer(t)
	db := openReady(t, server.URL())
	if d := time.Until(db.Now()); d.Abs() > 200*time.Millisecond {
		t.Errorf("Now is off by %v", d)
	}
	if err := db.Do(within(t, 5*time.Second), incr("n")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	result := make(chan error, 1)
	cmd := incr("n")
	db.Submit(time.Now().Add(15*time.Second), func(err error) { result <- err }, cmd)
	eventually(t, "Ready shows the loss", func() bool { return db.Ready() != nil })
	server.Restart()
	if err := <-result; err != nil || cmd.Val() != 2 {
		t.Errorf("call that waited for Redis: %v, %v", cmd.Val(), err)
	}
	eventually(t, "Ready", func() bool { return db.Ready() == nil })
}
