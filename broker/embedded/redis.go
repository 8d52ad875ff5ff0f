// Package embedded runs Redis and NATS servers inside the process, for livesupport and for tests. The
// other commands do not import it.
package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often times to live advance. A key may expire that much too early.
const tick = 50 * time.Millisecond

// RedisServer is an in-process Redis. It keeps its data only in memory, takes 0.2 ms for a script, and
// blocks while a pub/sub client does not read.
type RedisServer struct {
	server *miniredis.Miniredis
	url    string
	stop   chan struct{}
	wg     sync.WaitGroup
	once   sync.Once
}

// StartRedis starts a Redis on a free port of 127.0.0.1.
func StartRedis() (*RedisServer, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("embedded: start Redis: %w", err)
	}
	s := &RedisServer{server: server, url: "redis://" + server.Addr(), stop: make(chan struct{})}
	s.wg.Go(s.expire)
	return s, nil
}

// URL returns redis://127.0.0.1:port.
func (s *RedisServer) URL() string { return s.url }

// Close ends all connections and joins the goroutines. A second call does nothing.
func (s *RedisServer) Close() {
	s.once.Do(func() {
		close(s.stop)
		s.wg.Wait()
		s.server.Close()
	})
}

// expire advances times to live, which miniredis does not do itself.
func (s *RedisServer) expire() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			now := time.Now()
			s.server.FastForward(now.Sub(last))
			last = now
		}
	}
}
