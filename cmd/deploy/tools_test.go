package deploy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/embedded"
	"livesupport/cmd/internal/backend"
)

// tool is a program that a test needs. Without it the test is skipped, or fails
// where all programs must be there.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed")
	}
	return path
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("LIVESUPPORT_REQUIRE_DEPLOY_TOOLS") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// run runs a program to its end and returns what it has written.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// servers are two processes with both servers each, on one embedded Redis and one
// embedded NATS.
type servers struct {
	nats           *embedded.NATSServer
	backends       []*backend.Backend
	chats, lobbies []string // addresses
}

func startServers(t *testing.T, flags ...string) *servers {
	t.Helper()
	redis := brokertest.StartEmbeddedRedis(t)
	nats := brokertest.StartEmbeddedNATS(t)
	cfg, err := backend.Parse("livesupport", append(flags, "--broker=nats", "--nats-url="+nats.URL(),
		"--chat-addr=127.0.0.1:0", "--lobby-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0",
		"--log-level=error", "--redis-url="+redis.URL(), "--archive-url=sqlite:"+t.TempDir()+"/archive.db", "--files-url=file://"+t.TempDir(),
		"--webhook-url=http://127.0.0.1:1/", "--webhook-secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s := &servers{nats: nats}
	for range 2 {
		b, err := backend.Start(t.Context(), cfg, backend.Chat|backend.Lobby)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, b) })
		s.backends = append(s.backends, b)
		s.chats, s.lobbies = append(s.chats, b.ChatAddr()), append(s.lobbies, b.LobbyAddr())
		eventually(t, "the servers are ready", plain("http://"+b.ChatAddr(), "http://"+b.LobbyAddr()).ready)
		eventually(t, "nothing is missing", func() bool { return missingAt(t, b) == `{"ready":true}` })
	}
	return s
}

// missingAt is what a process tells its operator.
func missingAt(t *testing.T, b *backend.Backend) string {
	t.Helper()
	_, body := plain("", "").body(t, "http://"+b.MetricsAddr()+"/readyz")
	return strings.TrimSpace(body)
}

// expectServedWithoutNATS: servers that have lost NATS are not taken out of use.
func (s *site) expectServedWithoutNATS(t *testing.T, all *servers, left ...*backend.Backend) {
	t.Helper()
	all.nats.Close()
	for _, b := range left {
		eventually(t, "the operator is told of NATS", func() bool {
			return strings.HasPrefix(missingAt(t, b), `{"ready":true,"missing":{"broker":"`)
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // longer than the proxies' checks take
		v := s.register(t, "Nika")
		l, err := s.dial(ctx, s.chat, "/chat/"+v.ChatID)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.send(ctx, "Join", map[string]any{"userId": v.UserID, "from": "User"}); err != nil {
			t.Fatal(err)
		}
		l.await(t, "UserJoined")
		if err := l.send(ctx, "ChatMessage", map[string]any{"content": "hello", "from": "User"}); err != nil {
			t.Fatal(err)
		}
		l.await(t, "ChatMessage")
		l.close()
		for range l.frames { // to its end
		}
	}
}

// stop ends a process as SIGTERM does; a second time does nothing.
func stop(t *testing.T, b *backend.Backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, 20*time.Second, what, ok)
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// TestKubernetes builds the manifests and decodes them strictly. The program
// that does so is a module of its own, which must be there or be fetched.
func TestKubernetes(t *testing.T) {
	strict := filepath.Join(t.TempDir(), "strict")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", strict, ".")
	build.Dir = "testdata/strict"
	if os.Getenv("LIVESUPPORT_REQUIRE_DEPLOY_TOOLS") != "1" {
		build.Env = append(os.Environ(), "GOPROXY=off")
	}
	if out, err := build.CombinedOutput(); err != nil {
		missing(t, "the modules of testdata/strict are not there: "+string(out))
	}
	built := run(t, ".", strict, "kubernetes")
	for _, kind := range []string{"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"} {
		for _, name := range []string{"chatserver", "subscriber"} {
			if !strings.Contains(built, kind+" "+name+"\n") {
				t.Errorf("no %s %s in\n%s", kind, name, built)
			}
		}
	}
}

// certificate makes files of a certificate for a host, and a pool that trusts it.
func certificate(t *testing.T, host string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, cert)))
	return cert, key, pool
}

// freePort returns a port of 127.0.0.1 on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(brokertest.FreeAddr(t))
	return port
}

// startProxy runs a proxy until the end of the test.
func startProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // what does not end so is killed
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("%s:\n%s", name, out.String())
		}
	})
}

const host = "support.example.com"

// behind is the site behind a proxy with TLS at 127.0.0.1:port.
func behind(port string, pool *x509.CertPool) *site {
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	return &site{
		"https://" + host, "https://" + host + "/agents",
		&http.Client{Timeout: 10 * time.Second, Transport: transport},
	}
}

// expectSite tries what a proxy with TLS has to do.
func (s *site) expectSite(t *testing.T) {
	t.Helper()
	eventually(t, "the proxy passes requests on", func() bool { return s.answers("/") })
	for range 4 { // so that every pair of servers has its turn
		s.converse(t)
	}
	s.expectFiles(t)
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/agents/metrics", "/agents/readyz"} {
		if status, _ := s.body(t, s.chat+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if _, page := s.body(t, s.chat+"/agents"); !strings.Contains(strings.ToLower(page), "<!doctype html>") {
		t.Error("no console at /agents")
	}
}

func TestNginx(t *testing.T) {
	nginx := tool(t, "nginx")
	all := startServers(t)
	cert, key, pool := certificate(t, host)
	dir, port := t.TempDir(), freePort(t)
	text := read(t, "nginx.conf")
	for old, new := range map[string]string{
		"/etc/letsencrypt/live/support.example.com/fullchain.pem": cert,
		"/etc/letsencrypt/live/support.example.com/privkey.pem":   key,
		"\tlisten [::]:80;\n": "", "\tlisten [::]:443 ssl;\n": "",
		"listen 80;":             "listen 127.0.0.1:" + freePort(t) + ";",
		"listen 443 ssl;":        "listen 127.0.0.1:" + port + " ssl;",
		"server 127.0.0.1:9000;": "server " + strings.Join(all.chats, "; server ") + ";",
		"server 127.0.0.1:9001;": "server " + strings.Join(all.lobbies, "; server ") + ";",
	} {
		text = replace(t, text, old, new)
	}
	write(t, filepath.Join(dir, "site.conf"), text)
	temps := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temps += kind + "_temp_path " + filepath.Join(dir, kind) + ";\n"
	}
	conf := filepath.Join(dir, "nginx.conf")
	write(t, conf, "daemon off; master_process off; pid "+filepath.Join(dir, "pid")+"; error_log stderr;\n"+
		"events {}\nhttp {\naccess_log off;\n"+temps+"include "+filepath.Join(dir, "site.conf")+";\n}\n")
	run(t, dir, nginx, "-t", "-p", dir, "-c", conf)
	startProgram(t, nginx, "-p", dir, "-c", conf)
	s := behind(port, pool)
	s.expectSite(t)
	s.expectServedWithoutNATS(t, all, all.backends...)
}

// streamCloseDelay is a line that Caddy 2.6, which Debian 12 has, does not know.
const streamCloseDelay = "\t\t\tstream_close_delay 1h\n"

func TestCaddy(t *testing.T) {
	caddy := tool(t, "caddy")
	text := read(t, "Caddyfile")
	if strings.Count(text, streamCloseDelay) != 2 {
		t.Fatalf("not both servers have %q", streamCloseDelay)
	}
	if version := strings.TrimPrefix(run(t, ".", caddy, "version"), "v"); strings.HasPrefix(version, "2.6.") {
		text = strings.ReplaceAll(text, streamCloseDelay, "") // as the file says
	}
	whole := filepath.Join(t.TempDir(), "Caddyfile")
	write(t, whole, text)
	run(t, ".", caddy, "validate", "--adapter", "caddyfile", "--config", whole)
	all := startServers(t)
	cert, key, pool := certificate(t, host)
	port := freePort(t)
	for old, new := range map[string]string{
		"\n" + host + " {": "\n{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\nhttps://" + host + ":" + port + " {\n\ttls " + cert + " " + key,
		"127.0.0.1:9000":   strings.Join(all.chats, " "),
		"127.0.0.1:9001":   strings.Join(all.lobbies, " "),
	} {
		text = replace(t, text, old, new)
	}
	file := filepath.Join(t.TempDir(), "Caddyfile")
	write(t, file, text)
	startProgram(t, caddy, "run", "--adapter", "caddyfile", "--config", file)
	s := behind(port, pool)
	s.expectSite(t)
	s.expectServedWithoutNATS(t, all, all.backends...)
}

// TestHAProxy: the proxy of compose.scale.yml, with the servers' addresses
// instead of Docker's names.
func TestHAProxy(t *testing.T) {
	haproxy := tool(t, "haproxy")
	run(t, ".", haproxy, "-c", "-f", "haproxy.cfg")
	all := startServers(t, "--drain-delay=3s") // as compose.scale.yml has it
	chat, lobby := freePort(t), freePort(t)
	text := read(t, "haproxy.cfg")
	for old, new := range map[string]string{
		"fd-hard-limit 200000": "fd-hard-limit 2000",
		"bind :9000":           "bind 127.0.0.1:" + chat,
		"bind :9001":           "bind 127.0.0.1:" + lobby,
		"server-template chat 20 chatserver:9000":  "server a " + all.chats[0] + "\n  server b " + all.chats[1],
		"server-template lobby 10 subscriber:9001": "server a " + all.lobbies[0] + "\n  server b " + all.lobbies[1],
	} {
		text = replace(t, text, old, new)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	write(t, file, text)
	startProgram(t, haproxy, "-db", "-f", file)
	s := plain("http://127.0.0.1:"+chat, "http://127.0.0.1:"+lobby)
	eventually(t, "the proxy passes requests on", s.ready)
	for range 4 {
		s.converse(t)
	}
	s.expectFiles(t)
	talks := s.talks(t, 4)
	talks.flows("at first", 20*time.Second)
	stop(t, all.backends[0]) // while it drains, the proxy sees it and sends nobody there any more
	talks.flows("one server stopped", 20*time.Second)
	s.converse(t)
	talks.settle()
	s.expectServedWithoutNATS(t, all, all.backends[1])
	s.converse(t) // all of it on one server
}

// replace wants the text to be there.
func replace(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q", old)
	}
	return strings.Replace(text, old, new, 1)
}
