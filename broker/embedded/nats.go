package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Limits of JetStream: room for little more than the stream of package broker.
const (
	natsMemory = 160 << 20
	natsFiles  = 512 << 20
	// natsPatience is how long a start may take.
	natsPatience = 10 * time.Second
)

// NATSServer is an in-process nats-server with JetStream. Its data survive a restart in the same
// folder.
type NATSServer struct {
	server *server.Server
	lock   *os.File
	once   sync.Once
}

// StartNATS starts a nats-server on a free port of 127.0.0.1 with its JetStream files in dir, which it
// creates if necessary. Only one server at a time can use a folder.
func StartNATS(dir string) (*NATSServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: start NATS: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("embedded: start NATS: %s: %w", dir, err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName:         "livesupport",
		Host:               "127.0.0.1",
		Port:               server.RANDOM_PORT,
		JetStream:          true,
		StoreDir:           dir,
		JetStreamMaxMemory: natsMemory,
		JetStreamMaxStore:  natsFiles,
		NoSigs:             true,
		NoLog:              true,
	})
	if err == nil {
		s.Start()
		if !s.ReadyForConnections(natsPatience) || !s.JetStreamEnabled() {
			s.Shutdown()
			s.WaitForShutdown()
			err = errors.New("JetStream did not start")
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: start NATS in %s: %w", dir, err), lock.Close())
	}
	return &NATSServer{server: s, lock: lock}, nil
}

// URL returns nats://127.0.0.1:port.
func (s *NATSServer) URL() string { return s.server.ClientURL() }

// Close ends all connections, flushes the files, and joins the server's goroutines. A second call does
// nothing.
func (s *NATSServer) Close() {
	s.once.Do(func() {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		_ = s.lock.Close() // unlocks it
	})
}
