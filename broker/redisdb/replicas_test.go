package redisdb_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// If replicas have to confirm, nothing succeeds that no replica has: neither a write, nor the
// reading of what somebody else has written. It is still executed only once.
func TestReplicas(t *testing.T) {
	t.Parallel()
	primary := brokertest.StartRedisServer(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr(), ":")
	brokertest.StartRedisServer(t, "--replicaof", host, port)
	db := openReady(t, primary.URL(), redisdb.Replicas(1))
	other := redis.NewClient(&redis.Options{Addr: primary.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = other.Close() })
	write := func() (int64, error) {
		ctx := within(t, 5*time.Second)
		push := redis.NewIntCmd(ctx, "rpush", "log", "entry")
		err := db.Do(ctx, push)
		return push.Val(), err
	}
	read := func() (int, error) {
		ctx := within(t, 5*time.Second)
		list := redis.NewStringSliceCmd(ctx, "lrange", "log", 0, -1)
		err := db.Do(ctx, list)
		return len(list.Val()), err
	}
	confirmed := func() bool {
		_, err := write()
		return err == nil
	}
	deadline := time.Now().Add(10 * time.Second)
	for !confirmed() {
		if time.Now().After(deadline) {
			t.Fatal("no replica confirms")
		}
	}
	length, err := write()
	if n, readErr := read(); err != nil || readErr != nil || int64(n) != length {
		t.Fatalf("%d entries (%v), read %d (%v)", length, err, n, readErr)
	}

	primary.Detach()
	began := time.Now()
	if _, err := write(); !errors.Is(err, redisdb.ErrUnconfirmed) || !errors.Is(err, redisdb.ErrUnavailable) {
		t.Errorf("a write without a replica: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := other.LLen(t.Context(), "log").Val(); n != length+1 {
		t.Errorf("%d entries, want %d: a call is executed once", n, length+1)
	}
	other.RPush(t.Context(), "log", "of somebody else")
	fresh := openReady(t, primary.URL(), redisdb.Replicas(1)) // it has written nothing itself
	ctx := within(t, 5*time.Second)
	if err := fresh.Do(ctx, redis.NewStringSliceCmd(ctx, "lrange", "log", 0, -1)); !errors.Is(err, redisdb.ErrUnconfirmed) {
		t.Errorf("an entry was shown that no replica has: %v", err)
	}
	publish := redis.NewIntCmd(ctx, "publish", "news", "")
	if err := fresh.Do(ctx, publish); err != nil {
		t.Errorf("a publication: %v", err)
	}

	// Without +sync: a replica that was refused PSYNC asks by SYNC next, and one that follows by SYNC never confirms.
	if err := other.Do(t.Context(), "acl", "setuser", "default", "+psync").Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		n, err := read()
		if err == nil {
			if n < int(length)+2 {
				t.Errorf("%d entries, want at least %d", n, length+2)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replica is back, and %v", err)
		}
	}
	if keys := other.Keys(t.Context(), "*:read").Val(); len(keys) > 0 {
		t.Errorf("left behind: %q", keys)
	}
}

// In a Cluster each node waits for its own replicas. A call that is redirected waits at the node
// that executes it.
func TestReplicasOfCluster(t *testing.T) {
	t.Parallel()
	cluster := brokertest.StartReplicatedCluster(t, 3)
	db := openReady(t, cluster.URL(), redisdb.Replicas(1))
	write := func() (err error) {
		ctx := within(t, 5*time.Second)
		var cmds []redis.Cmder
		for i := range 30 {
			key := "{log" + strconv.Itoa(i) + "}"
			cmds = append(cmds, redis.NewIntCmd(ctx, "rpush", key, ""), redis.NewStringSliceCmd(ctx, "lrange", key, 0, -1))
		}
		if err := db.Do(ctx, cmds...); err != nil {
			return err
		}
		for _, cmd := range cmds {
			err = errors.Join(err, cmd.Err())
		}
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	cluster.MoveSlot("{log0}", cluster.OtherMaster("{log0}"), func() {
		if err := write(); err != nil {
			t.Errorf("while a slot is moving: %v", err)
		}
	})
	if err := write(); err != nil {
		t.Errorf("when it has moved: %v", err)
	}
	cluster.Owner("{log1}").Detach()
	if err := write(); !errors.Is(err, redisdb.ErrUnconfirmed) {
		t.Errorf("one node without its replica: %v", err)
	}
}
