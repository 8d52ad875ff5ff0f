package brokertest

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
)

// ClusterProxy is a Fault between a client and a Redis Cluster, with a proxy for each node. What the
// nodes say of each other's ports names the proxies.
type ClusterProxy []*Proxy

// StartClusterProxy starts a proxy to the Cluster; it ends with the test.
func StartClusterProxy(t testing.TB, c *RedisCluster) ClusterProxy {
	t.Helper()
	var proxies ClusterProxy
	ports := make(map[string]string)
	for _, node := range c.nodes {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		p := &Proxy{listener: listener, upstream: node.addr, conns: make(map[*net.TCPConn]bool), ports: ports}
		_, from, _ := strings.Cut(node.addr, ":")
		_, to, _ := strings.Cut(p.Addr(), ":")
		ports[from] = to
		proxies = append(proxies, p)
	}
	for _, p := range proxies {
		p.start(t)
	}
	return proxies
}

// URL names the proxies.
func (c ClusterProxy) URL() string {
	var addrs url.Values = map[string][]string{}
	for _, p := range c[1:] {
		addrs.Add("addr", p.Addr())
	}
	return "redis://" + c[0].Addr() + "?" + addrs.Encode()
}

// Cut implements Fault.
func (c ClusterProxy) Cut() { c.each((*Proxy).Cut) }

// Stall implements Fault.
func (c ClusterProxy) Stall() { c.each((*Proxy).Stall) }

// Reset implements Fault.
func (c ClusterProxy) Reset() { c.each((*Proxy).Reset) }

// Heal implements Fault.
func (c ClusterProxy) Heal() { c.each((*Proxy).Heal) }

func (c ClusterProxy) each(f func(*Proxy)) {
	for _, p := range c {
		f(p)
	}
}

// announcer puts ports in the place of others, where they stand as numbers of CLUSTER SLOTS or at the end
// of MOVED: ":1234\r\n".
type announcer struct {
	to    io.Writer
	ports map[string]string
	kept  []byte // what may be the beginning of such a port
}

func (a *announcer) Write(b []byte) (int, error) {
	text := append(a.kept, b...)
	a.kept = nil
	for from, to := range a.ports {
		text = bytes.ReplaceAll(text, []byte(":"+from+"\r\n"), []byte(":"+to+"\r\n"))
	}
	const longest = len(":65535\r\n")
	tail := max(0, len(text)-longest+1)
	if i := bytes.LastIndexByte(text[tail:], ':'); i >= 0 && !bytes.HasSuffix(text, []byte("\n")) {
		a.kept = bytes.Clone(text[tail+i:])
		text = text[:tail+i]
	}
	if _, err := a.to.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}
