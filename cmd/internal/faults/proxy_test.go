package faults_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxy stands between one server and its store or broker.
type proxy struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func startProxy(t *testing.T, addr string) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{t: t, proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", addr)}
	if err := p.proxy.Start(); err != nil {
		t.Fatalf("start proxy: %v", err)
	}
	t.Cleanup(p.proxy.Stop)
	return p
}

// cut ends the connections and refuses new ones.
func (p *proxy) cut() { p.proxy.Stop() }

// stall drops everything that either side sends.
func (p *proxy) stall() {
	p.toxic("timeout", "upstream", `"timeout":0`)
	p.toxic("timeout", "downstream", `"timeout":0`)
}

// deafen drops only the answers.
func (p *proxy) deafen() { p.toxic("timeout", "downstream", `"timeout":0`) }

// slow delays each answer by a second.
func (p *proxy) slow() { p.delay(time.Second) }

func (p *proxy) delay(by time.Duration) {
	p.toxic("latency", "downstream", fmt.Sprintf(`"latency":%d`, by.Milliseconds()))
}

// narrow passes 10 KB a second in either direction.
func (p *proxy) narrow() {
	p.toxic("bandwidth", "upstream", `"rate":10`)
	p.toxic("bandwidth", "downstream", `"rate":10`)
}

func (p *proxy) toxic(kind, stream, attributes string) {
	p.t.Helper()
	toxic := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%s}}`, kind, stream, attributes)
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		p.t.Errorf("%s: %v", kind, err)
	}
}

// heal ends every fault. Connections that have stalled end, too.
func (p *proxy) heal() {
	p.t.Helper()
	p.proxy.Toxics.ResetToxics(context.Background())
	if err := p.proxy.Start(); err != nil && err != toxiproxy.ErrProxyAlreadyStarted {
		p.t.Errorf("start proxy again: %v", err)
	}
}

// through returns the variable that makes a server reach its store through the proxy.
func (p *proxy) through(variable, direct string) string {
	p.t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		p.t.Fatal(err)
	}
	u.Host = p.proxy.Listen
	return variable + "=" + u.String()
}
