package web

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"path"
	"regexp"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

func pagesOf(page string, site Site) *Server {
	s := &Server{app: fiber.New(), options: Options{Site: site}}
	s.servePages(page)
	s.app.Use(notFound)
	return s
}

// fetch gets a path with header lines in pairs, and returns the body unzipped.
func (s *Server) fetch(t *testing.T, path string, headers ...string) (status int, header func(string) string, body string) {
	t.Helper()
	r := httptest.NewRequest("GET", "http://chat.example:9000"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.app.Test(r)
	require.NoError(t, err)
	defer response.Body.Close()
	content := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		content, err = gzip.NewReader(response.Body)
		require.NoError(t, err)
	}
	text, err := io.ReadAll(content)
	require.NoError(t, err)
	return response.StatusCode, response.Header.Get, string(text)
}

var module = regexp.MustCompile(`(?:from|import) "(\./[^"]+)"`)
var unfilled = regexp.MustCompile(`\{\{\w+\}\}`)

func TestPagesHaveWhatTheyLoad(t *testing.T) {
	site := Site{ChatURL: "https://example.com/chat", ChatPort: "9000", LobbyPort: "9001", ChatTTL: 2 * time.Minute}
	for _, page := range []string{chatPage, lobbyPage} {
		s := pagesOf(page, site)
		status, header, body := s.fetch(t, "/")
		require.Equal(t, 200, status)
		require.Equal(t, "text/html; charset=utf-8", header("Content-Type"))
		require.Equal(t, "no-cache", header("Cache-Control"))
		require.NotRegexp(t, unfilled, body)
		require.Contains(t, body, `data-chat-url="https://example.com/chat"`)
		require.NotContains(t, body, `"/`, "a path that a proxy cannot move")

		names := regexp.MustCompile(`"(assets/[^"]+)"`).FindAllStringSubmatch(body, -1)
		require.NotEmpty(t, names)
		seen := make(map[string]bool)
		var load func(address string)
		load = func(address string) {
			if seen[address] {
				return
			}
			seen[address] = true
			status, header, body := s.fetch(t, address, "Accept-Encoding", "gzip")
			require.Equal(t, 200, status, address)
			require.Equal(t, "gzip", header("Content-Encoding"), address)
			_, header, plain := s.fetch(t, address)
			require.Empty(t, header("Content-Encoding"), address)
			require.Equal(t, body, plain, address)
			require.Equal(t, forever, header("Cache-Control"), address)
			require.Equal(t, "nosniff", header("X-Content-Type-Options"), address)
			require.NotRegexp(t, unfilled, body, address)
			for _, found := range module.FindAllStringSubmatch(body, -1) {
				load(path.Join(path.Dir(address), found[1]))
			}
		}
		for _, name := range names {
			load("/" + name[1])
		}
		folder := "/" + path.Dir(names[0][1]) + "/"
		if page == chatPage { // by way of widget.js
			_, _, body := s.fetch(t, "/widget.js")
			require.Contains(t, body, path.Base(path.Dir(folder+"x"))+"/shell.js")
			load(folder + "shell.js")
			load(folder + "visitor.css")
		}
		require.Contains(t, seen, folder+"client.js", "the one that speaks the protocol")
	}
}

func TestPagesCaching(t *testing.T) {
	s := pagesOf(chatPage, Site{ChatTTL: 2 * time.Minute})
	status, header, body := s.fetch(t, "/widget.js")
	require.Equal(t, 200, status)
	require.Equal(t, brief, header("Cache-Control"))
	require.Equal(t, "cross-origin", header("Cross-Origin-Resource-Policy"))
	require.Contains(t, body, `Number("120000")`)
	etag := header("ETag")
	require.NotEmpty(t, etag)
	status, _, body = s.fetch(t, "/widget.js", "If-None-Match", etag)
	require.Equal(t, 304, status)
	require.Empty(t, body)
	status, _, _ = s.fetch(t, "/widget.js", "If-None-Match", `"other"`)
	require.Equal(t, 200, status)

	// A server of another version answers too, but not for ever.
	status, header, _ = s.fetch(t, "/assets/0123456789abcdef/client.js")
	require.Equal(t, 200, status)
	require.Equal(t, revisit, header("Cache-Control"))
	// Anybody may import it from its short address, so what it imports is there too.
	seen := make(map[string]bool)
	var load func(address string)
	load = func(address string) {
		if seen[address] {
			return
		}
		seen[address] = true
		status, header, body := s.fetch(t, address)
		require.Equal(t, 200, status, address)
		require.Equal(t, revisit, header("Cache-Control"), address)
		for _, found := range module.FindAllStringSubmatch(body, -1) {
			load(path.Join(path.Dir(address), found[1]))
		}
	}
	load("/client.js")
	require.Greater(t, len(seen), 1)
	for _, path := range []string{"/assets/x/visitor.html", "/assets/x/nothing.js", "/assets/x/..%2Fserver.go", "/assets/client.js", "/visitor.js"} {
		status, _, _ = s.fetch(t, path)
		require.Equal(t, 404, status, path)
	}
	status, _, _ = pagesOf(lobbyPage, Site{}).fetch(t, "/widget.js")
	require.Equal(t, 404, status, "the widget is the chat server's")
}

func TestPolicy(t *testing.T) {
	const begin = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' "
	const end = "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	for _, test := range [][3]string{
		{"localhost:9001", "", "http://localhost:* https://localhost:* ws://localhost:* wss://localhost:*"},
		{"a.example", "https://b.example/chat", "http://a.example:* https://a.example:* ws://a.example:* wss://a.example:* https://b.example wss://b.example"},
		{"[::1]:9001", "", "http: https: ws: wss:"},
		{"x; script-src *", "http://c:9000", "http: https: ws: wss: http://c:9000 ws://c:9000"},
	} {
		require.Equal(t, begin+test[2]+end, policy(test[0], test[1], "'none'"))
	}
	_, header, _ := pagesOf(chatPage, Site{}).fetch(t, "/")
	require.Contains(t, header("Content-Security-Policy"), "ws://chat.example:*")
	require.Contains(t, header("Content-Security-Policy"), "; frame-ancestors *;")
	require.Empty(t, header("X-Frame-Options"))
	_, header, _ = pagesOf(lobbyPage, Site{}).fetch(t, "/")
	require.Contains(t, header("Content-Security-Policy"), "; frame-ancestors 'none';")
	require.Equal(t, "DENY", header("X-Frame-Options"))
}

// TestPagesHoldNoScripts: with the policy of TestPolicy nothing inline runs.
func TestPagesHoldNoScripts(t *testing.T) {
	for _, page := range []string{chatPage, lobbyPage} {
		_, _, body := pagesOf(page, Site{}).fetch(t, "/")
		require.NotRegexp(t, `(?i)<script(?:[^>]*[^>\s])?>\s*[^<\s]|\son\w+=|javascript:|<style|\sstyle=`, body)
	}
}
