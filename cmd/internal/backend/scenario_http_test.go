package backend_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// expectJSON wants a JSON body and returns it.
func (w *world) expectJSON(r reply, status int) obj {
	w.Helper()
	if r.status != status {
		w.Fatalf("status %d instead of %d: %s", r.status, status, r.body)
	}
	if kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type")); err != nil || kind != "application/json" {
		w.Fatalf("Content-Type %q", r.header.Get("Content-Type"))
	}
	object, err := parse(r.body)
	if err != nil {
		w.Fatal(err)
	}
	return object
}

// expectFailure wants the JSON form of an error.
func (w *world) expectFailure(r reply, status int, code any) {
	w.Helper()
	got := w.expectJSON(r, status)
	if wrong := mismatch("", obj{"error": obj{"code": code, "message": aSentence}}, got); wrong != "" {
		w.Fatalf("%s: %s", r.body, wrong)
	}
}

// upgrading are the headers of a WebSocket handshake.
var upgrading = []string{
	"Connection", "Upgrade", "Upgrade", "websocket",
	"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
}

func TestScenarioRegister(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"names are percent-decoded and trimmed": func(w *world) {
			for escaped, name := range map[string]string{
				"Nika":                              "Nika",
				"Ana%20Mar%C3%ADa":                  "Ana María",
				"Ana%20Mar%c3%ada":                  "Ana María",
				"a%2Fb":                             "a/b",
				"a%2fb%3Fc%23d%25e":                 "a/b?c#d%e",
				"a%252Fb":                           "a%2Fb", // decoded once
				"a+b":                               "a+b",
				"%20Nika%20":                        "Nika",
				"%C2%A0Nika%E2%80%83":               "Nika",
				"%2E%2E":                            "..",
				"a%2F..%2Fb":                        "a/../b",
				"a%2F%2Fb":                          "a//b",
				"%3Cb%3E%26%22":                     `<b>&"`,
				"%F0%9F%98%80":                      "😀",
				"ping":                              "ping",
				strings.Repeat("x", 64):             strings.Repeat("x", 64),
				strings.Repeat("%F0%9F%98%80", 64):  strings.Repeat("😀", 64),
				"%20" + strings.Repeat("x", 64):     strings.Repeat("x", 64),
				"Nika?x=1":                          "Nika",
				"%E2%80%AEakiN":                     "akiN",
				"Ni%E2%80%8Bka":                     "Nika",
				"%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB": "👩\u200d💻",
				"Nika" + strings.Repeat("%E2%80%83", 40) + "%E2%9C%93%20Verified": "Nika ✓ Verified",
			} {
				v := w.registerAt(w.nextChat(), escaped, name)
				w.user(v) // UserJoined has it again
			}
		},
		"raw UTF-8 in the path": func(w *world) {
			r := w.raw(w.nextChat(), "GET /user/join/Ana\u00a0Mar\u00eda HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			got := w.expectJSON(r, 200)
			if got["username"] != "Ana María" {
				w.Fatalf("got %v", got)
			}
		},
		"anything else is bad_username": func(w *world) {
			for _, escaped := range []string{
				"%20", "%09%0A", "%C2%A0", strings.Repeat("x", 65), strings.Repeat("%C3%A9", 65), strings.Repeat("x", 2000),
				"a%00b", "a%0Ab", "a%1Bb", "a%7Fb", "a%C2%85b", "%FF", "a%C3", "%ED%A0%80", "%E2%80%8B%E2%80%8B", "%E2%A0%80", "%E3%85%A4", "a%C0%AFb",
			} {
				w.expectFailure(w.get(w.nextChat(), "/user/join/"+escaped), 400, "bad_username")
			}
		},
		"HEAD registers nobody": func(w *world) {
			r, err := http.Head("http://" + w.nextChat() + "/user/join/Headless")
			if err != nil {
				w.Fatal(err)
			}
			_ = r.Body.Close()
			if r.StatusCode != 405 || r.Header.Get("Allow") != "GET, POST" {
				w.Errorf("status %d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
			}
			ctx, store := context.Background(), w.redis()
			for _, key := range store.Keys(ctx, "chat:*").Val() {
				if strings.Contains(store.LIndex(ctx, key, 0).Val(), "Headless") {
					w.Errorf("%s is a chat of theirs", key)
				}
			}
		},
		"a broken escape is bad_username": func(w *world) {
			for _, escaped := range []string{"%zz", "a%", "a%2"} {
				r := w.raw(w.nextChat(), "GET /user/join/"+escaped+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				w.expectFailure(r, 400, "bad_username")
			}
		},
		"two calls with one name give two users": func(w *world) {
			seen := map[string]bool{}
			for range 20 {
				v := w.register("Nika")
				if v.userID == v.chatID || seen[v.userID] || seen[v.chatID] {
					w.Fatalf("ids again: %v", v)
				}
				seen[v.userID], seen[v.chatID] = true, true
			}
		},
		"ids are random in all of their 128 bits": func(w *world) {
			// A version digit would be the same in all; a random one is so once in 16^29.
			var ids []string
			for range 15 {
				v := w.register("Nika")
				ids = append(ids, v.userID, v.chatID)
			}
			for i := range 32 {
				if !slices.ContainsFunc(ids, func(id string) bool { return id[i] != ids[0][i] }) {
					w.Fatalf("digit %d of every id is %c", i, ids[0][i])
				}
			}
		},
		"headers": func(w *world) {
			r := w.get(w.nextChat(), "/user/join/Nika", "Origin", "https://shop.example")
			w.expectJSON(r, 200)
			if got := r.header.Get("Cache-Control"); got != "no-store" {
				w.Fatalf("Cache-Control %q", got)
			}
			if got := r.header.Get("Access-Control-Allow-Origin"); got != "*" {
				w.Fatalf("Access-Control-Allow-Origin %q", got)
			}
			bad := w.get(w.nextChat(), "/user/join/%20", "Origin", "https://shop.example")
			w.expectFailure(bad, 400, "bad_username")
			if got := bad.header.Get("Access-Control-Allow-Origin"); got != "*" {
				w.Fatalf("a page cannot read the refusal: Access-Control-Allow-Origin %q", got)
			}
		},
	}))
}

func TestScenarioHTTP(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"a chatId that is none is 404 before the upgrade, and before the 426": func(w *world) {
			good := strings.Repeat("a", 32)
			for _, id := range []string{
				"x", strings.Repeat("a", 31), strings.Repeat("a", 33), strings.ToUpper(good), good[:31] + "g", good[:31] + "%20",
				"9d6d2db0-cdb8-4d8b-a671-05670d94d641", "%00" + good[:29],
			} {
				w.expectFailure(w.get(w.nextChat(), "/chat/"+id), 404, anything)
				w.expectFailure(w.get(w.nextChat(), "/chat/"+id, upgrading...), 404, anything)
			}
		},
		"a plain request to a WebSocket route is 426": func(w *world) {
			w.expectFailure(w.get(w.nextChat(), "/chat/"+w.register("Nika").chatID), 426, anything)
			w.expectFailure(w.get(w.nextChat(), "/chat/"+strings.Repeat("a", 32)), 426, anything)
			w.expectFailure(w.get(w.nextLobby(), "/users"), 426, anything)
		},
		"what is not there, and methods that are not": func(w *world) {
			for _, addr := range []string{w.nextChat(), w.nextLobby()} {
				for _, path := range []string{"/nothing", "/chat", "/user/join/a/b", "/healthz/x", "/users/x"} {
					w.expectFailure(w.get(addr, path), 404, anything)
				}
			}
			r := w.request(http.MethodPost, w.nextChat(), "/user/join/Nika")
			if r.status != 404 && r.status != 405 {
				w.Fatalf("POST: %d %s", r.status, r.body)
			}
			w.expectFailure(r, r.status, anything)
		},
		"headers over 8 KiB and bodies over 4 KiB are refused": func(w *world) {
			for _, addr := range []string{w.nextChat(), w.nextLobby()} {
				w.expectJSON(w.raw(addr, "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4096\r\nX: "+strings.Repeat("x", 8000)+"\r\n\r\n"+strings.Repeat("x", 4096)), 404)
				w.expectFailure(w.raw(addr, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: "+strings.Repeat("x", 8<<10)+"\r\n\r\n"), 431, anything)
				w.expectFailure(w.raw(addr, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n"+strings.Repeat("x", 5000)), 413, anything)
			}
		},
		"no answer is sniffed, or gives rise to a Referer": func(w *world) {
			v := w.register("Nika")
			for addr, paths := range map[string][]string{
				w.nextChat():  {"/", "/widget.js", "/client.js", "/user/join/Nika", "/user/join/%20", "/chat/" + v.chatID, "/chat/x", "/nothing", "/healthz", "/readyz", "/metrics"},
				w.nextLobby(): {"/", "/users", "/nothing", "/healthz", "/readyz", "/metrics"},
			} {
				for _, path := range paths {
					r := w.get(addr, path)
					if sniff, referrer := r.header.Get("X-Content-Type-Options"), r.header.Get("Referrer-Policy"); sniff != "nosniff" || referrer != "no-referrer" {
						w.Errorf("%s: %d, X-Content-Type-Options %q, Referrer-Policy %q", path, r.status, sniff, referrer)
					}
				}
			}
		},
		"every listener answers healthz, readyz and metrics": func(w *world) {
			for _, addr := range slices.Concat(w.chats, w.lobbies) {
				for _, path := range []string{"/healthz", "/readyz"} {
					if r := w.get(addr, path); r.status != 200 {
						w.Fatalf("%s: %d %s", path, r.status, r.body)
					}
				}
				r := w.get(addr, "/metrics")
				kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
				if r.status != 200 || err != nil || kind != "text/plain" || !strings.Contains(r.body, "# TYPE ") {
					w.Fatalf("metrics: %d %s %.200s", r.status, kind, r.body)
				}
			}
		},
	}), alone(func(c *backend.Config) { c.MaxHeaderBytes, c.MaxBodyBytes, c.MetricsAddr = 1024, 10, "127.0.0.1:0" }, scenarios{
		"other bounds of headers and bodies, and what is refused is counted": func(w *world) {
			for addr, server := range map[string]string{w.chats[0]: "chat", w.lobbies[0]: "lobby"} {
				request := func(headers, body int) reply {
					return w.raw(addr, fmt.Sprintf("GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\nX: %s\r\n\r\n%s",
						body, strings.Repeat("x", headers), strings.Repeat("x", body)))
				}
				w.expectFailure(request(900, 10), 404, anything)
				for range 2 {
					w.expectFailure(request(1024, 10), 431, "request_header_fields_too_large")
				}
				w.expectFailure(request(900, 11), 413, "request_entity_too_large")
				w.expectFigure(`livesupport_refused_total{reason="header_bytes",server="`+server+`"}`, 2)
				w.expectFigure(`livesupport_refused_total{reason="body_bytes",server="`+server+`"}`, 1)
			}
		},
	}), alone(nil, scenarios{
		"one counter of messages": func(w *world) {
			_, user, support := w.couple()
			before := w.messagesCounted()
			user.said("one", support)
			support.said("two", user)
			user.said("three", support)
			w.eventually("three messages counted", func() bool { return w.messagesCounted() == before+3 })
		},
	}))
}

// messagesCounted is the sum of the chat servers' counters of messages.
func (w *world) messagesCounted() float64 {
	w.Helper()
	counter := regexp.MustCompile(`(?m)^# TYPE (\S*message\S*) counter$`)
	var sum float64
	for _, addr := range w.chats {
		body := w.get(addr, "/metrics").body
		names := counter.FindAllStringSubmatch(body, -1)
		if len(names) != 1 {
			w.Fatalf("counters of messages: %q", names)
		}
		for _, line := range regexp.MustCompile(`(?m)^`+names[0][1]+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
			value, err := strconv.ParseFloat(line[1], 64)
			if err != nil {
				w.Fatal(err)
			}
			sum += value
		}
	}
	return sum
}

func TestScenarioOrigins(t *testing.T) {
	t.Parallel()
	const good, other = "https://shop.example", "https://evil.example"
	tune := func(c *backend.Config) {
		c.AllowedOrigins = []string{good, "https://second.example", "https://*.sub.example"}
	}
	inEveryPlace(t, shared(tune, scenarios{
		"CORS": func(w *world) {
			r := w.get(w.nextChat(), "/user/join/Nika", "Origin", good)
			if got := r.header.Get("Access-Control-Allow-Origin"); got != good {
				w.Fatalf("Access-Control-Allow-Origin %q", got)
			}
			r = w.get(w.nextChat(), "/user/join/Nika", "Origin", "https://a.b.sub.example")
			if got := r.header.Get("Access-Control-Allow-Origin"); r.status != 200 || got != "https://a.b.sub.example" {
				w.Fatalf("status %d, Access-Control-Allow-Origin %q", r.status, got)
			}
			for _, origin := range []string{other, "https://sub.example", "https://sub.example.evil.example"} {
				r = w.get(w.nextChat(), "/user/join/Nika", "Origin", origin)
				if got := r.header.Get("Access-Control-Allow-Origin"); got != "" {
					w.Fatalf("Access-Control-Allow-Origin %q", got)
				}
				w.expectFailure(r, 403, "forbidden")
			}
		},
		"every request of a page, and what its browser asks before": func(w *world) {
			for addr, paths := range map[string][]string{
				w.nextChat():  {"/user/join/Nika", "/chat/" + strings.Repeat("a", 32), "/", "/widget.js", "/client.js", "/healthz", "/metrics", "/nothing"},
				w.nextLobby(): {"/users", "/", "/healthz", "/metrics", "/nothing"},
			} {
				for _, path := range paths {
					for _, method := range []string{"GET", "OPTIONS"} {
						r := w.request(method, addr, path, "Origin", other, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
						if got := r.header.Get("Access-Control-Allow-Origin"); got != "" {
							w.Errorf("%s %s: Access-Control-Allow-Origin %q", method, path, got)
						}
						w.expectFailure(r, 403, "forbidden")
					}
					r := w.request("OPTIONS", addr, path, "Origin", good, "Access-Control-Request-Method", "GET")
					if got := r.header.Get("Access-Control-Allow-Origin"); r.status != 204 || got != good {
						w.Errorf("OPTIONS %s: %d, Access-Control-Allow-Origin %q", path, r.status, got)
					}
				}
			}
		},
		"WebSocket upgrades": func(w *world) {
			v := w.register("Nika")
			for _, route := range [][2]string{{w.nextChat(), "/chat/" + v.chatID}, {w.nextLobby(), "/users"}} {
				for _, origin := range []string{other, good + ".evil.example", "http://shop.example", "null", "https://sub.example", "http://a.sub.example"} {
					r := w.get(route[0], route[1], append([]string{"Origin", origin}, upgrading...)...)
					w.expectFailure(r, 403, "forbidden")
				}
				for _, origin := range []string{good, "https://second.example", "https://a.sub.example"} {
					head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n", route[1], route[0], origin)
					conn, response := w.handshake(route[0], head, "")
					if response.StatusCode != http.StatusSwitchingProtocols {
						w.Fatalf("%s from %s: status %d", route[1], origin, response.StatusCode)
					}
					_ = conn.Close()
				}
			}
		},
	}))
}

// raw sends a request as it stands and reads the reply.
func (w *world) raw(addr, request string) reply {
	w.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		w.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}
