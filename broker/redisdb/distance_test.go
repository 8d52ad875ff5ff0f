package redisdb_test

import (
	"testing"
	"time"

	"livesupport/broker/brokertest"
)

// TestFarStore: a call that is submitted while a pipeline is on its way to a distant store does not
// wait until that pipeline is back.
func TestFarStore(t *testing.T) {
	const oneWay = 400 * time.Millisecond
	server := startRedis(t)
	proxy := brokertest.StartProxy(t, server.Addr())
	proxy.Delay(oneWay)
	db := openReady(t, "redis://"+proxy.Addr())

	one, two := incr("one"), incr("two")
	arrived := make(chan string, 1)
	done := make(chan error, 2)
	deadline := time.Now().Add(3 * time.Second)
	db.Submit(deadline, func(err error) {
		value, _ := server.Get("two") // what the store has executed by now
		arrived <- value
		done <- err
	}, one)
	time.Sleep(oneWay / 20) // the first is on its way
	db.Submit(deadline, func(err error) { done <- err }, two)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got := <-arrived; got != "1" || one.Val() != 1 || two.Val() != 1 {
		t.Errorf("the second call had left %q in the store when the first was answered; results %d and %d", got, one.Val(), two.Val())
	}
}
