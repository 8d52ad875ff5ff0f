package faults_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"livesupport/broker/brokertest"
)

// natsCluster is three nats-servers that share a stream. Each reaches each other one
// through a link of its own, which can be cut.
type natsCluster struct {
	t       *testing.T
	servers []*natsServer
	links   map[[2]int]*brokertest.Proxy // from a server to another one
}

func startNATSCluster(t *testing.T) *natsCluster {
	t.Helper()
	c := &natsCluster{t: t, links: map[[2]int]*brokertest.Proxy{}}
	var routes []string
	for range 3 {
		c.servers = append(c.servers, &natsServer{t: t, dir: t.TempDir(), addr: brokertest.FreeAddr(t), monitor: brokertest.FreeAddr(t)})
		routes = append(routes, brokertest.FreeAddr(t))
	}
	for i, s := range c.servers {
		var others []string
		for j := range c.servers {
			if j != i {
				c.links[[2]int{i, j}] = brokertest.StartProxy(t, routes[j])
				others = append(others, "nats://"+c.links[[2]int{i, j}].Addr())
			}
		}
		// What a server says of where it is leads nowhere, so that no link is gone round.
		config := fmt.Sprintf("server_name: n%d\nlisten: %q\nhttp: %q\njetstream { store_dir: %q }\n"+
			"cluster { name: test, listen: %q, advertise: \"127.0.0.1:1\", no_advertise: true, routes: [%s] }\n",
			i, s.addr, s.monitor, s.dir, routes[i], strings.Join(others, ", "))
		s.config = filepath.Join(s.dir, "nats.conf")
		if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.end(os.Kill) })
	}
	for _, s := range c.servers {
		s.run("-c", s.config)
	}
	for _, s := range c.servers {
		s.healthy(30 * time.Second)
	}
	return c
}

func (c *natsCluster) urls() string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.url())
	}
	return strings.Join(urls, ",")
}

// leader is the index of the server that leads the stream.
func (c *natsCluster) leader() int {
	c.t.Helper()
	leader := -1
	eventually(c.t, 20*time.Second, "the stream has a leader", func() bool {
		for _, s := range c.servers {
			_, body, err := getBy(foreignHTTP, s.monitor, "/jsz?streams=1")
			var told struct {
				Accounts []struct {
					Streams []struct {
						Name    string                  `json:"name"`
						Cluster struct{ Leader string } `json:"cluster"`
					} `json:"stream_detail"`
				} `json:"account_details"`
			}
			if err != nil || json.Unmarshal(body, &told) != nil {
				continue
			}
			for _, a := range told.Accounts {
				for _, stream := range a.Streams {
					if stream.Name == "LIVESUPPORT" && stream.Cluster.Leader != "" {
						_, err := fmt.Sscanf(stream.Cluster.Leader, "n%d", &leader)
						return err == nil
					}
				}
			}
		}
		return false
	})
	return leader
}

// link does something to both directions between two servers.
func (c *natsCluster) link(i, j int, do func(*brokertest.Proxy)) {
	do(c.links[[2]int{i, j}])
	do(c.links[[2]int{j, i}])
}

// Each server of a NATS cluster dies in turn, that which leads the stream first; then all
// three die at once and come back; then the link between the leader and another one is
// cut, and the link between the two others. Nothing is refused, since the store is there.
func TestNATSClusterFaults(t *testing.T) {
	s := begin(t)
	t.Parallel()
	w := newWorld(t, "redis")
	w.broker = "nats"
	cluster := startNATSCluster(t)
	w.urls = append(w.urls, "NATS_URL="+cluster.urls(), "NATS_REPLICAS=3")
	f := w.staff(s)

	first := cluster.leader()
	for _, i := range []int{first, (first + 1) % 3, (first + 2) % 3}[:s.natsKills] {
		f.Logf("server %d is killed; %d leads", i, cluster.leader())
		began := time.Now()
		cluster.servers[i].end(syscall.SIGKILL)
		f.recovers(fmt.Sprintf("the death of server %d", i), began, natsWithin)
		cluster.servers[i].run("-c", cluster.servers[i].config)
		cluster.servers[i].healthy(30 * time.Second)
	}
	for _, server := range cluster.servers {
		server.end(syscall.SIGKILL)
	}
	wait(w.Context(), 2*time.Second)
	for _, server := range cluster.servers {
		server.run("-c", server.config)
	}
	for _, server := range cluster.servers {
		server.healthy(30 * time.Second)
	}
	cluster.leader()
	f.recovers("all three were dead", time.Now(), natsWithin)
	leader := cluster.leader()
	for _, pair := range [][2]int{{leader, (leader + 1) % 3}, {(leader + 1) % 3, (leader + 2) % 3}}[:s.natsCuts] {
		f.Logf("the link between %d and %d is cut; %d leads", pair[0], pair[1], cluster.leader())
		began := time.Now()
		cluster.link(pair[0], pair[1], (*brokertest.Proxy).Cut)
		f.recovers("the link was cut", began, natsWithin)
		wait(w.Context(), s.fault-time.Since(began))
		began = time.Now()
		cluster.link(pair[0], pair[1], (*brokertest.Proxy).Heal)
		f.recovers("the link was mended", began, natsWithin)
	}
	if total := f.settles(); total.refusals > 0 {
		w.Errorf("%d messages were refused, though the store was there", total.refusals)
	}
}

// natsWithin is how soon messages come across again in a NATS cluster.
const natsWithin = 15 * time.Second
