package brokertest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSCluster has nats-servers in this process that share JetStream streams.
// Its methods are for the test's goroutine.
type NATSCluster struct {
	t       testing.TB
	options []*server.Options
	servers []*server.Server // nil: stopped
}

// StartNATSCluster starts n servers on free ports of 127.0.0.1, which end with the test.
// Clients know only the servers in their URL, so that none of them bypasses a proxy.
func StartNATSCluster(t testing.TB, n int) *NATSCluster {
	t.Helper()
	c := &NATSCluster{t: t, options: make([]*server.Options, n), servers: make([]*server.Server, n)}
	var routes []*url.URL
	for i := range n {
		route := FreeAddr(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: route})
		c.options[i] = &server.Options{
			ServerName:         fmt.Sprint("n", i),
			Host:               "127.0.0.1",
			Port:               port(t, FreeAddr(t)),
			Cluster:            server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port(t, route), NoAdvertise: true},
			JetStream:          true,
			StoreDir:           t.TempDir(),
			JetStreamMaxMemory: 256 << 20,
			JetStreamMaxStore:  512 << 20,
			NoSigs:             true,
			NoLog:              true,
		}
	}
	t.Cleanup(func() {
		for i := range c.servers {
			if c.servers[i] != nil {
				c.Stop(i)
			}
		}
	})
	for i := range n {
		c.options[i].Routes = routes
		c.start(i)
	}
	eventually(t, 30*time.Second, "the cluster has a leader", func() bool {
		for _, s := range c.servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == n {
				return true
			}
		}
		return false
	})
	return c
}

// URLs returns the URLs of all servers, comma-separated. Restart does not change them.
func (c *NATSCluster) URLs() string {
	var urls []string
	for _, o := range c.options {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(urls, ",")
}

// Leads reports whether server i leads the stream.
func (c *NATSCluster) Leads(i int, stream string) bool {
	return c.servers[i] != nil && c.servers[i].JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)
}

// Stop ends server i.
func (c *NATSCluster) Stop(i int) {
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
	c.servers[i] = nil
}

// Restart starts server i again after Stop, and waits until its copy of the stream
// is up to date.
func (c *NATSCluster) Restart(i int, stream string) {
	c.t.Helper()
	c.start(i)
	eventually(c.t, 30*time.Second, "the server has caught up", func() bool {
		return c.servers[i].JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, stream)
	})
}

func port(t testing.TB, addr string) int {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return tcp.Port
}

func (c *NATSCluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.servers[i] = s
	if !s.ReadyForConnections(10 * time.Second) {
		c.t.Fatal("a NATS server does not start")
	}
}
