package web

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// A provider publishes keys, and changes them.
type provider struct {
	*testing.T
	url     string
	fetches atomic.Int32

	mu     sync.Mutex
	answer http.HandlerFunc
	key    ed25519.PrivateKey
	kid    string
}

func newProvider(t *testing.T) *provider {
	p := &provider{T: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *provider) answers(answer http.HandlerFunc) {
	p.mu.Lock()
	p.answer = answer
	p.mu.Unlock()
}

// rotate replaces the key by a new one.
func (p *provider) rotate(kid string) {
	p.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(p, err)
	jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
	require.NoError(p, err)
	body, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	require.NoError(p, err)
	p.key, p.kid = key, kid
	p.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

func (p *provider) token() string {
	p.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "vika", "aud": "a", "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"] = p.kid
	signed, err := token.SignedString(p.key)
	require.NoError(p, err)
	return signed
}

func (p *provider) verifier(again time.Duration) *Verifier {
	v := newKeySetVerifier(p.url, "a", "", again, slog.New(slog.DiscardHandler))
	p.Cleanup(func() { require.NoError(p, v.Close()) })
	return v
}

func TestKeysRotate(t *testing.T) {
	p := newProvider(t)
	p.rotate("first")
	v := p.verifier(20 * time.Millisecond)
	old := p.token()
	who, err := v.Verify(old) // waits for the first fetch
	require.NoError(t, err)
	require.Equal(t, "vika", who.Subject)
	for range 100 {
		_, err = v.Verify(old)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, p.fetches.Load())

	time.Sleep(25 * time.Millisecond) // a key is not asked for more often than that
	p.rotate("second")
	_, err = v.Verify(p.token())
	require.NoError(t, err)
	require.EqualValues(t, 2, p.fetches.Load())
	_, err = v.Verify(old)
	require.ErrorIs(t, err, jwt.ErrTokenUnverifiable, "a key that was withdrawn")
}

// TestUnknownKeysDoNotFetch: clients that make up names of keys cost the provider one fetch in a
// while, and wait for nothing.
func TestUnknownKeysDoNotFetch(t *testing.T) {
	p := newProvider(t)
	p.rotate("first")
	v := p.verifier(time.Hour)
	_, err := v.Verify(p.token())
	require.NoError(t, err)
	p.kid = "made-up"
	started := time.Now()
	for range 1000 {
		_, err = v.Verify(p.token())
		require.ErrorIs(t, err, jwt.ErrTokenUnverifiable)
	}
	require.EqualValues(t, 1, p.fetches.Load())
	require.Less(t, time.Since(started), keysTimeout)
}

// TestKeysCannotBeFetched: known keys go on counting. Without any key, nobody is told that their
// token is wrong.
func TestKeysCannotBeFetched(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no keys":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 2*keysBytes)))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"no response": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.rotate("first")
			token, works := p.token(), p.answer
			p.answers(answer)
			v := p.verifier(10 * time.Millisecond)
			_, err := v.Verify(token)
			require.ErrorIs(t, err, errNoKeys)
			p.answers(works)
			require.Eventually(t, func() bool {
				_, err = v.Verify(token)
				return err == nil
			}, 5*time.Second, 10*time.Millisecond)
			p.answers(answer)
			before := p.fetches.Load()
			p.kid = "unknown"
			require.Eventually(t, func() bool {
				_, err := v.Verify(p.token())
				require.Error(t, err)
				return p.fetches.Load() > before
			}, 5*time.Second, 10*time.Millisecond)
			_, err = v.Verify(token)
			require.NoError(t, err)
		})
	}
}

func TestKeysEndWithTheVerifier(t *testing.T) {
	before := goleak.IgnoreCurrent()
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	v := NewKeySetVerifier(server.URL, "a", "", slog.New(slog.DiscardHandler))
	waiting := make(chan error, 1)
	go func() {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "vika"})
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err == nil {
			var signed string
			signed, err = token.SignedString(key)
			if err == nil {
				_, err = v.Verify(signed)
			}
		}
		waiting <- err
	}()
	require.NoError(t, v.Close())
	require.ErrorIs(t, <-waiting, errNoKeys)
	close(hold)
	server.Close()
	goleak.VerifyNone(t, before)
}
