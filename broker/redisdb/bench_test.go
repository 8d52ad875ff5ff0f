package redisdb_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
)

// BenchmarkSubmit appends as a chat does, with up to 256 calls under way.
func BenchmarkSubmit(b *testing.B) {
	db := openReady(b, brokertest.StartRedisServer(b).URL())
	ctx := context.Background()
	entry := make([]byte, 200)
	if err := db.Client().RPush(ctx, "chat", "registration").Err(); err != nil {
		b.Fatal(err)
	}
	slots := make(chan struct{}, 256)
	var failed error
	var once sync.Once
	b.ReportAllocs()
	for b.Loop() {
		slots <- struct{}{}
		db.Submit(time.Now().Add(5*time.Second), func(err error) {
			if err != nil {
				once.Do(func() { failed = err })
			}
			<-slots
		}, redis.NewIntCmd(ctx, "rpushx", "chat", entry), redis.NewBoolCmd(ctx, "pexpire", "chat", 120000))
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	if failed != nil {
		b.Fatal(failed)
	}
}

// BenchmarkDo is one caller on an idle store.
func BenchmarkDo(b *testing.B) {
	db := openReady(b, brokertest.StartRedisServer(b).URL())
	b.ReportAllocs()
	for b.Loop() {
		if err := db.Do(context.Background(), incr("n")); err != nil {
			b.Fatal(err)
		}
	}
}
