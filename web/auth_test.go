package web

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

const testSecret = "0123456789abcdef0123456789abcdef"

func TestBearer(t *testing.T) {
	for _, test := range []struct {
		authorization, protocols string
		token                    string
		shown                    bool
	}{
		{"", "", "", false},
		{"Bearer a.b.c", "", "a.b.c", true},
		{"bearer  a.b.c ", "", "a.b.c", true},
		{"Bearer", "", "", true},
		{"BearerX a.b.c", "", "", false},
		{"Basic a.b.c", "", "", false},
		{"Basic a.b.c", "livesupport, bearer.a.b.c", "a.b.c", true},
		{"", "livesupport,bearer.a.b.c", "a.b.c", true},
		{"", "bearer.a.b.c, livesupport", "a.b.c", true},
		{"", "livesupport, bearer.", "", true},
		{"", "bearer.first, bearer.second", "first", true},
		{"", "livesupport, Bearer.a, token.b, bearer", "", false},
		{"Bearer one", "livesupport, bearer.two", "one", true},
	} {
		token, shown := bearer(test.authorization, test.protocols)
		require.Equal(t, test.token, token, "%+v", test)
		require.Equal(t, test.shown, shown, "%+v", test)
	}
}

// TestCheckToken: a page can ask whether a token is good without an answer that
// makes its browser forget the password of a proxy in front.
func TestCheckToken(t *testing.T) {
	good, err := Token{Subject: "vika", Name: "Vika"}.Sign(testSecret, time.Hour)
	require.NoError(t, err)
	old, err := Token{Subject: "vika", Name: "Vika"}.Sign(testSecret, -time.Hour)
	require.NoError(t, err)
	ask := func(agents *Verifier, token string) (status int, body string) {
		s := NewLobby(nil, Options{
			Agents: agents, AllowedOrigins: []string{"*"},
			PingInterval: time.Hour, IdleTimeout: time.Hour, MaxSockets: 1, HeaderBytes: 8192, BodyBytes: 4096,
			Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		})
		defer func() { require.NoError(t, s.Shutdown(context.Background())) }()
		r := httptest.NewRequest("GET", "http://chat.example:9001/token", nil)
		r.Header.Set("Authorization", "Basic dmlrYTpwYXNz")
		r.Header.Set("Livesupport-Token", token)
		response, err := s.app.Test(r)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		if response.StatusCode == fiber.StatusOK {
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
		}
		return response.StatusCode, string(text)
	}
	agents := NewSecretVerifier(testSecret, "", "")
	for token, want := range map[string]string{
		good: `{"good":true}`, old: `{"good":false}`, good + "x": `{"good":false}`, "Bearer " + good: `{"good":false}`, "": `{"good":false}`,
	} {
		status, body := ask(agents, token)
		require.Equal(t, fiber.StatusOK, status, token)
		require.Equal(t, want, body, token)
	}
	status, _ := ask(nil, good)
	require.Equal(t, fiber.StatusNotFound, status, "where agents need none")
}

func TestSignToken(t *testing.T) {
	token, err := Token{Subject: "vika", Name: "Vika", Audience: "aud", Issuer: "iss"}.Sign(testSecret, time.Hour)
	require.NoError(t, err)
	for _, v := range []*Verifier{NewSecretVerifier(testSecret, "", ""), NewSecretVerifier(testSecret, "aud", "iss")} {
		who, err := v.Verify(token)
		require.NoError(t, err)
		require.Equal(t, "vika", who.Subject)
		require.Equal(t, "Vika", who.Name)
		require.WithinDuration(t, time.Now().Add(time.Hour+clockSkew), who.Expires, 2*time.Second)
		require.NoError(t, v.Close())
	}
	_, err = NewSecretVerifier(testSecret, "other", "").Verify(token)
	require.ErrorIs(t, err, jwt.ErrTokenInvalidAudience)
	token, err = Token{Subject: "vika"}.Sign(testSecret, time.Hour)
	require.NoError(t, err)
	who, err := NewSecretVerifier(testSecret, "", "").Verify(token)
	require.NoError(t, err)
	require.Equal(t, "vika", who.Name)
}

// verifiers are one with a secret and one with public keys, and a good token for
// each: the same in every process, since fuzzing has more than one and keeps what it
// has found.
func verifiers(t testing.TB) (all []*Verifier, good []string) {
	t.Helper()
	const secret = "fuzzingfuzzingfuzzingfuzzing1234" // no token that fuzzing has kept of an older one
	private := ed25519.NewKeyFromSeed([]byte(secret))
	key, err := jwkset.NewJWKFromKey(private.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "ed"}})
	require.NoError(t, err)
	storage := jwkset.NewMemoryStorage()
	require.NoError(t, storage.KeyWrite(t.Context(), key))
	keys, err := keyfunc.New(keyfunc.Options{Ctx: t.Context(), Storage: storage})
	require.NoError(t, err)
	set := &keySet{again: time.Hour, keys: keys, last: time.Now()}
	all = []*Verifier{
		NewSecretVerifier(secret, "", ""),
		{parser: newParser([]string{"RS256", "ES256", "EdDSA"}, "", ""), key: set.key},
	}
	claims := jwt.MapClaims{"sub": "vika", "exp": time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).Unix()}
	for _, s := range []struct {
		method jwt.SigningMethod
		key    any
	}{{jwt.SigningMethodHS256, []byte(secret)}, {jwt.SigningMethodEdDSA, private}} {
		token := jwt.NewWithClaims(s.method, claims)
		token.Header["kid"] = "ed"
		signed, err := token.SignedString(s.key)
		require.NoError(t, err)
		good = append(good, signed)
	}
	for i, v := range all {
		who, err := v.Verify(good[i])
		require.NoError(t, err)
		require.Equal(t, "vika", who.Subject)
	}
	return all, good
}

// FuzzVerify: whatever is shown as a token, there is no panic, and nobody gets in
// but with the very text that was signed.
func FuzzVerify(f *testing.F) {
	all, good := verifiers(f)
	for i := range all {
		parts := strings.Split(good[i], ".")
		for _, seed := range []string{
			good[i], good[i] + ".", parts[0] + "." + parts[1] + ".", "..", "", "eyJhbGciOiJub25lIn0." + parts[1] + ".",
			"bnVsbA." + parts[1] + "." + parts[2], parts[0] + ".bnVsbA." + parts[2], "e30.e30.", parts[0] + ".W10." + parts[2],
		} {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, v := range all {
			token, shown := bearer("Bearer "+text, "")
			require.True(t, shown)
			if who, err := v.Verify(token); err == nil {
				require.Equal(t, good[i], token)
				require.Equal(t, "vika", who.Subject)
			}
			token, shown = bearer("", text)
			if who, err := v.Verify(token); err == nil {
				require.True(t, shown)
				require.Equal(t, good[i], token)
				require.Equal(t, "vika", who.Subject)
			}
		}
	})
}

// FuzzHandshake: whatever the headers of a handshake are, it is refused as JSON and
// tells nothing of them, unless it comes from an allowed origin with a good token.
func FuzzHandshake(f *testing.F) {
	all, good := verifiers(f)
	var servers []*Server
	for _, v := range all {
		s := NewLobby(nil, Options{
			Agents: v, AllowedOrigins: []string{"https://shop.example", "https://*.example.com"}, SocketsPerAddress: 1,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
			PingInterval:   time.Hour, IdleTimeout: time.Hour, MaxSockets: 1, HeaderBytes: 8192, BodyBytes: 4096,
			Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		})
		f.Cleanup(func() { require.NoError(f, s.Shutdown(context.Background())) })
		servers = append(servers, s)
	}
	for _, token := range append(good, "", "a.b.c") {
		f.Add("Bearer "+token, "", "https://shop.example", "203.0.113.7", "")
		f.Add("", "livesupport, bearer."+token, "https://a.example.com", "", "for=203.0.113.7")
		f.Add("Basic "+token, "bearer."+token+",bearer.x", "https://a.example.com.evil", "x", "for=x")
		f.Add("", token, "null", "::1", `for="[::1]:1"`)
	}
	below := regexp.MustCompile(`^https://([a-z0-9-]+\.)+example\.com$`)
	f.Fuzz(func(t *testing.T, authorization, protocols, origin, xForwardedFor, forwarded string) {
		for i, s := range servers {
			var c fasthttp.RequestCtx
			c.Init(&fasthttp.Request{}, nil, nil)
			c.Request.SetRequestURI("http://chat.example/users")
			for name, value := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
				"Authorization": authorization, "Sec-WebSocket-Protocol": protocols, "Origin": origin,
				"X-Forwarded-For": xForwardedFor, "Forwarded": forwarded,
			} {
				c.Request.Header.Set(name, value)
			}
			header := func(name string) string { return string(c.Request.Header.Peek(name)) }
			want := fiber.StatusUnauthorized
			if token, _ := bearer(header("Authorization"), header("Sec-WebSocket-Protocol")); token == good[i] {
				want = fiber.StatusSwitchingProtocols
			}
			origin := strings.ToLower(header("Origin"))
			if origin != "" && origin != "https://shop.example" && !below.MatchString(origin) {
				u, err := url.Parse(origin)
				if err != nil || u.Scheme == "https" && strings.HasSuffix(u.Host, ".example.com") {
					return // no browser sends that; see TestOriginAllowed
				}
				want = fiber.StatusForbidden
			}
			s.app.Handler()(&c)
			require.Equal(t, want, c.Response.StatusCode(), "%q %q %q", authorization, protocols, origin)
			if want == fiber.StatusSwitchingProtocols {
				continue
			}
			require.Regexp(t, `^\{"error":\{"code":"(unauthorized|forbidden)","message":"[^"]+"\}\}$`, string(c.Response.Body()))
			require.Empty(t, c.Response.Header.Peek("Sec-WebSocket-Protocol"))
		}
	})
}
