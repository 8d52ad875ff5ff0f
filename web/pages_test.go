package web

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
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

// TestPagesAreWhatBrowsersLoad: all of the folder is in the binary and served, but for
// its README.
func TestPagesAreWhatBrowsersLoad(t *testing.T) {
	served := map[string]bool{}
	for _, name := range pageFiles() {
		served[name] = true
		require.NotEmpty(t, newFile(path.Ext(name), nil).kind, "%s has no content type", name)
	}
	s := pagesOf(chatPage, Site{})
	require.NoError(t, fs.WalkDir(os.DirFS("pages"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			require.Equal(t, path.Ext(name) != ".md", served[name], name)
			status, _, _ := s.fetch(t, "/assets/1/"+name)
			require.Equal(t, served[name] && path.Ext(name) != ".html", status == 200, name)
		}
		return err
	}))
	require.FileExists(t, "pages/README.md") // or this shows nothing
}

// TestREADMEHasTheAttributes: those of the visitor's page, and the languages there are.
func TestREADMEHasTheAttributes(t *testing.T) {
	readme, err := os.ReadFile("pages/README.md")
	require.NoError(t, err)
	page, err := os.ReadFile("pages/visitor.html")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "| attribute | meaning |\n|---|---|\n")
	require.True(t, found)
	rows, _, _ := strings.Cut(rest, "\n\n")
	var listed, languages []string
	for row := range strings.Lines(rows) {
		name, meaning, _ := strings.Cut(row, " | ")
		for _, code := range regexp.MustCompile("`(data-[a-z-]+)`").FindAllStringSubmatch(name, -1) {
			listed = append(listed, code[1])
		}
		if strings.Contains(name, "data-language") {
			for _, code := range regexp.MustCompile("`([a-z]{2})`").FindAllStringSubmatch(meaning, -1) {
				languages = append(languages, code[1])
			}
		}
	}
	var shown, spoken []string
	for _, code := range regexp.MustCompile(`<code>(data-[a-z-]+)</code>`).FindAllStringSubmatch(string(page), -1) {
		shown = append(shown, code[1])
	}
	for _, name := range pageFiles() {
		if dir, file := path.Split(name); dir == "languages/" {
			spoken = append(spoken, strings.TrimSuffix(file, ".js"))
		}
	}
	require.NotEmpty(t, shown)
	require.Equal(t, shown, listed)
	require.Equal(t, spoken, languages)
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
	const begin = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: 'self' "
	const end = "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	for _, test := range []struct {
		host            string
		site            Site
		images, sockets string // beyond what both have
	}{
		{"localhost:9001", Site{}, "http://localhost:* https://localhost:*", " ws://localhost:* wss://localhost:*"},
		{"a.example", Site{ChatURL: "https://b.example/chat"}, "http://a.example:* https://a.example:*", " ws://a.example:* wss://a.example:* https://b.example wss://b.example"},
		{"[::1]:9001", Site{FilesOrigin: "https://f.example"}, "http: https:", " ws: wss:"},
		{"x; script-src *", Site{ChatURL: "http://c:9000", FilesOrigin: "https://f.example"}, "http: https:", " ws: wss: http://c:9000 ws://c:9000"},
	} {
		want := begin + test.images
		if u, err := url.Parse(test.site.ChatURL); err == nil && u.Host != "" {
			want += " " + u.Scheme + "://" + u.Host
		}
		if test.site.FilesOrigin != "" {
			want += " " + test.site.FilesOrigin
		}
		want += "; connect-src 'self' " + test.images + test.sockets + end
		require.Equal(t, want, policy(test.host, &test.site, "'none'"))
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
