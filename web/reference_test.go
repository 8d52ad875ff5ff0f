package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"livesupport/chat/files"
	"livesupport/web/api"
)

// openAPI is what the tests here look at of the document.
type openAPI struct {
	Servers []struct{ URL string }
	Paths   map[string]struct {
		Servers                 []struct{ URL string }
		Get, Head, Post, Delete *struct{}
		Parameters              []struct {
			Name   string
			Schema struct{ Enum []string }
		}
	}
}

// documented are the operations that the contract has for a port, as "GET /path".
func documented(t *testing.T, port string) (operations []string) {
	t.Helper()
	var d openAPI
	require.NoError(t, json.Unmarshal(api.OpenAPI(), &d))
	for path, item := range d.Paths {
		servers := item.Servers
		if servers == nil {
			servers = d.Servers
		}
		if !slices.ContainsFunc(servers, func(s struct{ URL string }) bool { return strings.HasSuffix(s.URL, ":"+port) }) {
			continue
		}
		for method, operation := range map[string]*struct{}{"GET": item.Get, "POST": item.Post, "DELETE": item.Delete} {
			switch {
			case operation == nil:
			case strings.Contains(path, "{module}"):
				require.Equal(t, "module", item.Parameters[0].Name)
				for _, module := range item.Parameters[0].Schema.Enum {
					operations = append(operations, method+" "+strings.ReplaceAll(path, "{module}", module))
				}
			default:
				operations = append(operations, method+" "+path)
			}
		}
	}
	slices.Sort(operations)
	return operations
}

var routeParameter = regexp.MustCompile(`:(\w+)`)

// routed are the operations of a server, likewise. To GET belongs HEAD.
func (s *Server) routed() (operations []string) {
	for _, route := range s.app.GetRoutes(true) {
		if route.Method == "HEAD" {
			continue
		}
		paths := []string{routeParameter.ReplaceAllString(route.Path, "{$1}")}
		switch route.Path {
		case "/user/join/*":
			paths = []string{"/user/join/", "/user/join/{userName}"}
		case "/assets/:version/*":
			paths = []string{"/assets/{version}/{file}"}
		}
		for _, path := range paths {
			operations = append(operations, route.Method+" "+path)
		}
	}
	slices.Sort(operations)
	return slices.Compact(operations)
}

// TestEveryRouteIsNamed: the contract has all routes of both ports, and no others.
func TestEveryRouteIsNamed(t *testing.T) {
	options := Options{
		Uploads: &files.Service{}, PingInterval: time.Second, IdleTimeout: time.Minute,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
	for port, s := range map[string]*Server{"9000": NewChat(nil, options), "9001": NewLobby(nil, options)} {
		require.Equal(t, documented(t, port), s.routed(), port)
		require.NoError(t, s.Shutdown(context.Background()))
	}
}

func TestReference(t *testing.T) {
	for _, page := range []string{chatPage, lobbyPage} {
		s := pagesOf(page, Site{})
		status, header, body := s.fetch(t, "/api")
		require.Equal(t, 200, status)
		require.Equal(t, referencePolicy, header("Content-Security-Policy"))
		require.Equal(t, "DENY", header("X-Frame-Options"))
		require.NotRegexp(t, unfilled, body)
		require.NotContains(t, body, `"/`, "a path that a proxy cannot move")
		require.NotRegexp(t, `(?i)<script(?:[^>]*[^>\s])?>\s*[^<\s]|\son\w+=|javascript:|<style|\sstyle=`, body)
		for _, address := range regexp.MustCompile(`(?:href|src)="([^"#:]+)"`).FindAllStringSubmatch(body, -1) {
			status, _, _ := s.fetch(t, "/"+address[1])
			require.Equal(t, 200, status, address[1])
		}
		for path, kind := range map[string]string{
			"/asyncapi.json": "application/json", "/openapi.json": "application/json", "/settings.schema.json": "application/schema+json",
		} {
			status, header, body := s.fetch(t, path)
			require.Equal(t, 200, status)
			require.Equal(t, kind, header("Content-Type"))
			require.True(t, json.Valid([]byte(body)), path)
			status, _, _ = s.fetch(t, path, "If-None-Match", header("ETag"))
			require.Equal(t, 304, status)
		}
	}
}
