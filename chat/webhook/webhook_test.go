package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"livesupport/chat/follow"
	"livesupport/chat/webhook"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	older  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// server answers as it is told.
func server(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL + "/hook?key=s3cret"
}

func receiver(t *testing.T, cfg webhook.Config) *webhook.Receiver {
	t.Helper()
	if cfg.Secrets == nil {
		cfg.Secrets = []string{secret}
	}
	r, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func send(t *testing.T, r *webhook.Receiver) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return r.Send(ctx, follow.Event{ID: "chat-7", Body: []byte(`{"test": 2432232314}`)})
}

// Both secrets verify while they are changed, with the standard's own library.
func TestSignature(t *testing.T) {
	var header http.Header
	var body []byte
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.RawQuery != "key=s3cret" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	r := receiver(t, webhook.Config{URL: url, Secrets: []string{secret, older}, AllowPrivate: true, Agent: "livesupport/test"})
	if err := send(t, r); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, older} {
		verifier, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(body, header); err != nil {
			t.Error(err)
		}
	}
	other, _ := standardwebhooks.NewWebhook("whsec_" + strings.Repeat("A", 32))
	if other.Verify(body, header) == nil {
		t.Error("any secret verifies")
	}
	if header.Get("Webhook-Id") != "chat-7" || header.Get("Content-Type") != "application/json" || header.Get("User-Agent") != "livesupport/test" {
		t.Error(header)
	}
}

// TestSignatureOfTheStandard takes the figures of the standard's own example.
func TestSignatureOfTheStandard(t *testing.T) {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	got, err := signer.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
}

func TestAnswers(t *testing.T) {
	elsewhere := 0
	other := server(t, func(http.ResponseWriter, *http.Request) { elsewhere++ })
	for name, test := range map[string]struct {
		status  int
		header  [2]string
		taken   bool
		stopped bool
		after   time.Duration
	}{
		"200":                         {status: 200, taken: true},
		"202":                         {status: 202, taken: true},
		"204":                         {status: 204, taken: true},
		"a redirect is not followed":  {status: 307, header: [2]string{"Location", other}},
		"another one":                 {status: 301, header: [2]string{"Location", other}},
		"400":                         {status: 400},
		"404":                         {status: 404},
		"410":                         {status: 410, stopped: true},
		"429":                         {status: 429},
		"429 for a while":             {status: 429, header: [2]string{"Retry-After", "7"}, after: 7 * time.Second},
		"429 until a date":            {status: 429, header: [2]string{"Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, after: time.Hour},
		"429 until a date that is by": {status: 429, header: [2]string{"Retry-After", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}},
		"429 with nonsense":           {status: 429, header: [2]string{"Retry-After", "soon"}},
		"429 with less than nothing":  {status: 429, header: [2]string{"Retry-After", "-5"}},
		"503 for a while":             {status: 503, header: [2]string{"Retry-After", "7"}, after: 7 * time.Second},
		"500":                         {status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			r := receiver(t, webhook.Config{AllowPrivate: true, URL: server(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.header[0] != "" {
					w.Header().Set(test.header[0], test.header[1])
				}
				w.WriteHeader(test.status)
			})})
			err := send(t, r)
			if err == nil != test.taken || errors.Is(err, follow.ErrStopped) != test.stopped || errors.Is(err, follow.ErrAway) {
				t.Error(err)
			}
			after := time.Duration(0)
			if busy := (*follow.BusyError)(nil); errors.As(err, &busy) {
				after = busy.After
			}
			if after < test.after-3*time.Second || after > test.after {
				t.Errorf("after %v, want %v", after, test.after)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a secret in %q", err)
			}
		})
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
}

func TestNoAnswer(t *testing.T) {
	hold := make(chan struct{})
	url := server(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	defer close(hold)
	r := receiver(t, webhook.Config{URL: url, AllowPrivate: true})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.Send(ctx, follow.Event{ID: "1", Body: []byte("{}")}); !errors.Is(err, follow.ErrAway) || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

func TestPrivateAddresses(t *testing.T) {
	reached := false
	url := server(t, func(http.ResponseWriter, *http.Request) { reached = true })
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	for _, host := range []string{"127.0.0.1:", "localhost:", "0.0.0.0:", "[::ffff:127.0.0.1]:"} {
		err := send(t, receiver(t, webhook.Config{URL: "http://" + host + port}))
		if err == nil || !strings.Contains(err.Error(), "WEBHOOK_ALLOW_PRIVATE") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if reached {
		t.Error("it was reached")
	}
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "::ffff:8.8.8.8": true, "172.32.0.1": true, "100.128.0.1": true,
		"10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false, "127.0.0.1": false,
		"0.0.0.0": false, "100.64.0.1": false, "198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1%eth0": false, "fd00::1": false, "ff02::1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "2001:db8::1": false,
	} {
		if got := webhook.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestNames(t *testing.T) {
	one, same, other := receiver(t, webhook.Config{URL: "https://a.example/x"}), receiver(t, webhook.Config{URL: "https://a.example/x"}), receiver(t, webhook.Config{URL: "https://a.example/y"})
	if one.Name() != same.Name() || one.Name() == other.Name() || strings.Contains(one.Name(), "example") {
		t.Error(one.Name(), same.Name(), other.Name())
	}
}
