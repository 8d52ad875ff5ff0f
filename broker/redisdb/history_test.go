package redisdb_test

import (
	"testing"

	"livesupport/broker/brokertest"
)

// A store that comes back may lack what it had confirmed, also if nobody has missed it meanwhile. One that
// only cuts a connection has lost nothing.
func TestReplaced(t *testing.T) {
	server := brokertest.StartRedisServer(t)
	proxy := brokertest.StartProxy(t, server.Addr())
	db := openReady(t, "redis://"+proxy.Addr())
	replaced := db.Replaced()
	proxy.Reset()
	eventually(t, "Ready after a cut connection", func() bool { return db.Do(t.Context(), incr("n")) == nil && db.Ready() == nil })
	if isClosed(replaced) {
		t.Error("a connection was cut, and the store counts as replaced")
	}
	server.Kill()
	server.Restart()
	eventually(t, "a restart is noticed", func() bool { return isClosed(replaced) })
	if isClosed(db.Replaced()) {
		t.Error("the next one has come already")
	}
}

// A store that does not tell counts as replaced whenever it was away.
func TestReplacedUntold(t *testing.T) {
	proxy := brokertest.StartProxy(t, startRedis(t).Addr())
	db := openReady(t, "redis://"+proxy.Addr())
	replaced := db.Replaced()
	proxy.Stall()
	eventually(t, "not Ready", func() bool { return db.Ready() != nil })
	proxy.Heal()
	eventually(t, "it is noticed", func() bool { return isClosed(replaced) })
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
