package backend_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

const (
	agentSecret   = "the agents' secret has 32 bytes!"
	agentAudience = "livesupport"
	agentIssuer   = "https://login.example"
)

// A signer makes tokens of one kind, as their issuer or somebody else would.
type signer struct {
	method jwt.SigningMethod
	key    any
	kid    string
}

func (s signer) sign(claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(s.method, claims)
	if s.kid != "" {
		token.Header["kid"] = s.kid
	}
	signed, err := token.SignedString(s.key)
	if err != nil {
		panic(err) // the test has mixed up its keys
	}
	return signed
}

// claimsOf is a token's content with nothing wrong.
func claimsOf(sub, name string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"sub": sub, "name": name, "aud": []string{"another", agentAudience}, "iss": agentIssuer,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// badTokens are tokens of somebody called Vika that must open nothing.
func badTokens(good signer, more map[string]string) map[string]string {
	change := func(change func(jwt.MapClaims)) string {
		claims := claimsOf("vika", "Vika")
		change(claims)
		return good.sign(claims)
	}
	set := func(key string, value any) string {
		return change(func(c jwt.MapClaims) { c[key] = value })
	}
	whole := good.sign(claimsOf("vika", "Vika"))
	parts := strings.Split(whole, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	other, err := json.Marshal(claimsOf("boss", "Boss"))
	if err != nil {
		panic(err)
	}
	bad := map[string]string{
		"empty":               "",
		"no token at all":     "vika",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          whole + ".x",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"other content":       parts[0] + "." + b64(other) + "." + parts[2],
		"alg none":            signer{jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, ""}.sign(claimsOf("vika", "Vika")),
		"alg None":            b64([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".",
		"alg is no string":    b64([]byte(`{"alg":["none"]}`)) + "." + parts[1] + ".",
		"expired":             set("exp", time.Now().Add(-time.Hour).Unix()),
		"never expires":       change(func(c jwt.MapClaims) { delete(c, "exp") }),
		"exp is a word":       set("exp", "tomorrow"),
		"not yet valid":       set("nbf", time.Now().Add(time.Hour).Unix()),
		"wrong audience":      set("aud", "another"),
		"no audience":         change(func(c jwt.MapClaims) { delete(c, "aud") }),
		"wrong issuer":        set("iss", "https://evil.example"),
		"no issuer":           change(func(c jwt.MapClaims) { delete(c, "iss") }),
		"nobody":              set("sub", ""),
		"sub is a number":     set("sub", 1),
		"sub without end":     set("sub", strings.Repeat("x", 257)),
		"name without end":    set("name", strings.Repeat("x", 65)),
		"name with controls":  set("name", "Vi\nka"),
		"name not to be seen": set("name", "\u200b\u3164"),
	}
	maps.Copy(bad, more)
	return bad
}

// shown are the ways to show a token.
var shown = map[string]func(token string) websocket.DialOptions{
	"Authorization": func(token string) websocket.DialOptions {
		return websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}}
	},
	"subprotocol": func(token string) websocket.DialOptions {
		return websocket.DialOptions{Subprotocols: []string{"livesupport", "bearer." + token}}
	},
}

// An agent is somebody with a token.
type agent struct {
	*world
	token string
}

func (a agent) lobby() *client {
	a.Helper()
	return a.dialWith(a.nextLobby(), "/users", "pong:support", shown["subprotocol"](a.token))
}

func (a agent) chat(v *visitor) *client {
	a.Helper()
	c := a.dialWith(a.nextChat(), "/chat/"+v.chatID, "pong:support", shown["Authorization"](a.token))
	c.v = v
	return c
}

// closedTo are the scenarios of servers that want tokens of a signer.
func closedTo(good signer, bad map[string]string) scenarios {
	is := func(w *world, sub, name string) agent { return agent{w, good.sign(claimsOf(sub, name))} }
	return scenarios{
		"every route and message with every kind of token": tokenTable(good, bad),
		"a bad token opens nothing, however it is shown": func(w *world) {
			v := w.register("Nika")
			for _, what := range slices.Sorted(maps.Keys(bad)) {
				for how, header := range map[string][]string{
					"Authorization": {"Authorization", "Bearer " + bad[what]},
					"subprotocol":   {"Sec-WebSocket-Protocol", "livesupport, bearer." + bad[what]},
				} {
					for _, route := range [][2]string{{w.nextLobby(), "/users"}, {w.nextChat(), "/chat/" + v.chatID}} {
						r := w.get(route[0], route[1], append(header, upgrading...)...)
						if r.status != 401 || r.header.Get("WWW-Authenticate") != "Bearer" {
							w.Errorf("%s, by %s, %s: status %d", what, how, route[1], r.status)
						}
						w.expectFailure(r, 401, "unauthorized")
						if r.header.Get("Sec-WebSocket-Protocol") != "" {
							w.Errorf("%s, by %s: a subprotocol was selected", what, how)
						}
					}
				}
				// Without an upgrade: that is how browsers find out.
				w.expectFailure(w.get(w.nextLobby(), "/users", "Authorization", "Bearer "+bad[what]), 401, "unauthorized")
			}
		},
		"without a token there is no lobby": func(w *world) {
			token := good.sign(claimsOf("vika", "Vika"))
			for _, path := range []string{"/users", "/users?token=" + token, "/users?access_token=" + token, "/users?bearer=" + token} {
				w.expectFailure(w.get(w.nextLobby(), path), 401, "unauthorized")
				w.expectFailure(w.get(w.nextLobby(), path, upgrading...), 401, "unauthorized")
				w.expectFailure(w.get(w.nextLobby(), path, append([]string{"Cookie", "token=" + token}, upgrading...)...), 401, "unauthorized")
				w.expectFailure(w.get(w.nextLobby(), path, append([]string{"Authorization", "Basic " + token}, upgrading...)...), 401, "unauthorized")
				w.expectFailure(w.get(w.nextLobby(), path, append([]string{"Sec-WebSocket-Protocol", "livesupport, " + token}, upgrading...)...), 401, "unauthorized")
			}
		},
		"without a token nobody is a support": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			vika := is(w, "vika", "Vika").chat(v)
			vika.joinsAsSupport("Vika")
			user.expectSupportJoined()
			for _, args := range []obj{
				v.asSupport("Vika"),
				without(v.asSupport("Vika"), "supportUserName"),
				with(v.asSupport("Vika"), "supportId", v.supportID),
				with(v.asSupport("Vika"), "userId", strings.Repeat("0", 32)),
				with(v.asSupport("Vika"), "token", good.sign(claimsOf("vika", "Vika"))),
			} {
				c := w.chat(v)
				c.send("ChatMessage", obj{"userId": v.userID, "supportId": v.supportID, "content": "hey", "from": "Support"})
				c.expectError("not_joined")
				c.send("Join", args)
				c.expectError("unauthorized")
				c.expectClose(1008)
			}
			gone := &visitor{userID: v.userID, username: "Nika", chatID: strings.Repeat("0", 32)}
			c := w.chat(gone) // whether a chat lives is not told either
			c.send("Join", gone.asSupport("Vika"))
			c.expectError("unauthorized")
			c.expectClose(1008)
			user.said("one", vika)
			vika.said("two", user)
		},
		"a good token makes an agent, and its name is theirs": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			ana := is(w, "ana", "Ana María")
			for how, options := range shown {
				c := w.dialWith(w.nextLobby(), "/users", "pong:support", options(ana.token))
				c.ignoreRest()
				if want := map[string]string{"subprotocol": "livesupport"}[how]; c.conn.Subprotocol() != want {
					w.Errorf("%s: subprotocol %q", how, c.conn.Subprotocol())
				}
				c.expectAnswersOnly()
			}
			w.expectFailure(w.get(w.nextLobby(), "/users", "Authorization", "Bearer "+ana.token), 426, anything)
			other := ana.chat(v)
			other.send("Join", v.asSupport("Vika"))
			other.expectError("forbidden")
			other.expectClose(1008)
			c := ana.chat(v)
			c.role = "Support"
			c.send("Join", without(v.asSupport(""), "supportUserName"))
			v.supportName = "Ana María"
			v.supportID = c.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			user.expectSupportJoined()
			c.said("hey", user)
			again := ana.chat(v)
			again.rejoins("Support")
			again.expectHistory(v.message("Support", "hey"))
		},
		"who has only a sub is called that": func(w *world) {
			claims := claimsOf("ada", "")
			delete(claims, "name")
			v := w.register("Nika")
			agent{w, good.sign(claims)}.chat(v).joinsAsSupport("ada")
		},
		"who claims a user joins them, and nobody else": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			vika, ada := is(w, "vika", "Vika"), is(w, "ada", "Ada")
			desk, second, rival := vika.lobby(), vika.lobby(), ada.lobby()
			desk.send("JoinUser", v.claim())
			desk.expectRemoved(v)
			second.send("JoinUser", v.claim()) // the same person
			second.expectRemoved(v)
			rival.send("JoinUser", v.claim())
			rival.expectRemoved(v)
			rival.expectError("already_taken")
			c := ada.chat(v)
			c.send("Join", v.asSupport("Ada"))
			c.expectError("already_taken")
			c.expectClose(1008)
			c = vika.chat(v)
			c.joinsAsSupport("Vika")
			user.expectSupportJoined()
			for _, stolen := range []struct {
				args obj
				code string
			}{
				{v.asSupport("Ada"), "already_taken"},
				{with(v.asSupport("Ada"), "supportId", v.supportID), "forbidden"},
				{with(v.asSupport("Vika"), "supportId", v.supportID), "forbidden"},
			} {
				thief := ada.chat(v)
				thief.send("Join", stolen.args)
				thief.expectError(stolen.code)
				thief.expectClose(1008)
			}
			c.said("hey", user)
		},
		"an agent is their chat's support again on another machine": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			vika := is(w, "vika", "Vika")
			first := vika.chat(v)
			first.joinsAsSupport("Vika")
			user.expectSupportJoined()
			one := user.said("one", first)
			for range w.chats {
				second := vika.chat(v)
				second.role = "Support"
				second.send("Join", v.asSupport("Vika")) // knows no supportId
				second.expectSupportJoined()
				second.expectHistory(one)
				second.expectNothing()
			}
			each([]*client{user, first}, (*client).expectNothing) // nobody else notices
			thief := is(w, "ada", "Ada").chat(v)
			thief.send("Join", v.asSupport("Ada"))
			thief.expectError("already_taken")
			thief.expectClose(1008)
		},
		"who gives a chat on to themselves, or to nobody, keeps it": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			vika := is(w, "vika", "Vika").chat(v)
			vika.joinsAsSupport("Vika")
			user.expectSupportJoined()
			for to, code := range map[string]string{"vika": "bad_request", "ada": "not_found", "Vika": "not_found"} {
				vika.send("Transfer", obj{"to": "agent", "agent": to})
				vika.expectError(code)
			}
			vika.said("still mine", user)
		},
		"only a supervisor may look on": func(w *world) {
			v := w.register("Nika")
			w.user(v).ignoreRest()
			observe := with(without(v.asSupport(""), "supportUserName"), "from", "Observer")
			for _, role := range []any{nil, "", "agent", "Supervisor", []string{"supervisor"}, true} {
				claims := claimsOf("ada", "Ada")
				claims["role"] = role
				c := agent{w, good.sign(claims)}.chat(v)
				c.send("Join", observe)
				c.expectError("forbidden")
				c.expectClose(1008)
			}
			claims := claimsOf("boss", "Boss")
			claims["role"] = "supervisor"
			boss := agent{w, good.sign(claims)}.chat(v)
			boss.send("Join", observe)
			boss.expectHistory()
			boss.send("CloseChat", nil)
			boss.expectExpired(v)
		},
		"a socket ends with its token": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			// Servers allow clocks to be 5 s off.
			claims := claimsOf("vika", "Vika")
			claims["exp"] = time.Now().Add((2+2*slowness)*time.Second - 5*time.Second).Unix()
			short := agent{w, good.sign(claims)}
			c, desk, long := short.chat(v), short.lobby(), is(w, "ada", "Ada").lobby()
			c.joinsAsSupport("Vika")
			user.expectSupportJoined()
			for _, socket := range []*client{c, desk} {
				last, err := socket.next(4 * patience)
				if err != nil {
					w.Fatal(err)
				}
				socket.unread(last)
				socket.expectError("unauthorized")
				socket.expectClose(1008)
			}
			w.expectFailure(w.get(w.nextLobby(), "/users", "Authorization", "Bearer "+short.token), 401, "unauthorized")
			long.expectAnswersOnly()
			renewed := is(w, "vika", "Vika").chat(v)
			renewed.rejoins("Support")
			renewed.expectHistory()
			renewed.said("back", user)
		},
		"refusals are counted": func(w *world) {
			w.expectFailure(w.get(w.lobbies[0], "/users"), 401, "unauthorized")
			if body := w.get(w.lobbies[0], "/metrics").body; !strings.Contains(body, `livesupport_refused_total{reason="unauthorized",server="lobby"}`) {
				w.Fatalf("metrics: %.500s", body)
			}
		},
	}
}

func TestScenarioAgentSecret(t *testing.T) {
	t.Parallel()
	good := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
	bad := badTokens(good, map[string]string{
		"wrong signature": signer{jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), ""}.sign(claimsOf("vika", "Vika")),
		"wrong alg":       signer{jwt.SigningMethodHS512, []byte(agentSecret), ""}.sign(claimsOf("vika", "Vika")),
		"empty secret":    signer{jwt.SigningMethodHS256, []byte{}, ""}.sign(claimsOf("vika", "Vika")),
		"HS384":           signer{jwt.SigningMethodHS384, []byte(agentSecret), ""}.sign(claimsOf("vika", "Vika")),
		"EdDSA":           signer{jwt.SigningMethodEdDSA, newEd25519(t), ""}.sign(claimsOf("vika", "Vika")),
	})
	tune := func(c *backend.Config) {
		c.AgentSecret, c.AgentAudience, c.AgentIssuer = agentSecret, agentAudience, agentIssuer
		archiveIn(t, c)
	}
	inEveryPlace(t, shared(tune, closedTo(good, bad)))
}

func TestScenarioAgentKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edKey := newEd25519(t)
	keys := publish(t, map[string]crypto.Signer{"rsa": rsaKey, "ec": ecKey, "ed": edKey})
	modulus := rsaKey.N.Bytes()
	good := signer{jwt.SigningMethodRS256, rsaKey, "rsa"}
	more := func() map[string]string {
		return map[string]string{
			"wrong signature":       signer{jwt.SigningMethodEdDSA, newEd25519(t), "ed"}.sign(claimsOf("vika", "Vika")),
			"another's, no kid":     signer{jwt.SigningMethodEdDSA, newEd25519(t), ""}.sign(claimsOf("vika", "Vika")),
			"unknown key":           signer{jwt.SigningMethodEdDSA, newEd25519(t), "new"}.sign(claimsOf("vika", "Vika")),
			"wrong alg":             signer{jwt.SigningMethodHS256, modulus, "rsa"}.sign(claimsOf("vika", "Vika")), // the public key as a secret
			"RS512":                 signer{jwt.SigningMethodRS512, rsaKey, "rsa"}.sign(claimsOf("vika", "Vika")),
			"PS256":                 signer{jwt.SigningMethodPS256, rsaKey, "rsa"}.sign(claimsOf("vika", "Vika")),
			"the key of another id": signer{jwt.SigningMethodES256, ecKey, "rsa"}.sign(claimsOf("vika", "Vika")),
		}
	}
	tune := func(c *backend.Config) {
		c.AgentJWKSURL, c.AgentAudience, c.AgentIssuer = keys, agentAudience, agentIssuer
		archiveIn(t, c)
	}
	all := closedTo(good, badTokens(good, more()))
	all["every algorithm, with a key's id and without"] = func(w *world) {
		for _, s := range []signer{
			good, {jwt.SigningMethodRS256, rsaKey, ""},
			{jwt.SigningMethodES256, ecKey, "ec"}, {jwt.SigningMethodES256, ecKey, ""},
			{jwt.SigningMethodEdDSA, edKey, "ed"}, {jwt.SigningMethodEdDSA, edKey, ""},
		} {
			c := agent{w, s.sign(claimsOf("vika", "Vika"))}.lobby()
			c.ignoreRest()
			c.expectAnswersOnly()
		}
	}
	inEveryPlace(t, shared(tune, all))
}

// TestScenarioOpen: without a secret, tokens and their absence change nothing.
func TestScenarioOpen(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"a token is not looked at": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			for _, options := range shown {
				c := w.dialWith(w.nextLobby(), "/users", "pong:support", options("rubbish"))
				c.ignoreRest()
				c.expectAnswersOnly()
			}
			c := agent{w, "rubbish"}.chat(v)
			c.joinsAsSupport("Vika")
			user.expectSupportJoined()
			c.said("hey", user)
		},
	}))
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publish serves the public halves of keys as an OpenID Connect provider does,
// among keys that are not for signatures, and returns the URL.
func publish(t *testing.T, keys map[string]crypto.Signer) string {
	t.Helper()
	type set struct {
		Keys []any `json:"keys"`
	}
	all := set{Keys: []any{
		map[string]string{"kty": "new", "kid": "strange"},
		map[string]string{"kty": "oct", "kid": "symmetric", "k": base64.RawURLEncoding.EncodeToString([]byte(agentSecret))},
	}}
	for kid, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, USE: jwkset.UseSig}})
		if err != nil {
			t.Fatal(err)
		}
		all.Keys = append(all.Keys, jwk.Marshal())
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	t.Cleanup(server.Close)
	return server.URL
}
