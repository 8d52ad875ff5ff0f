package browser_test

import (
	"strings"
	"testing"
)

// TestPolicyThatForbids: what a page's policy does not allow is said once, by name.
func TestPolicyThatForbids(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	origin := strings.TrimSuffix(s.chat, "/")
	socket := strings.Replace(origin, "http", "ws", 1)
	for name, test := range map[string]struct{ policy, want string }{
		"nothing from there": {"script-src {{chat}}/widget.js; connect-src {{chat}}", "Add " + origin + " to its script-src"},
		"no connections":     {"script-src {{chat}}; connect-src 'self'", "Add " + origin + " to its connect-src"},
		"no sockets":         {"script-src {{chat}}; connect-src {{chat}}", "Add " + socket + " to its connect-src"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWindow(t, noting())
			w.visit(s.pages(map[string]string{"/": "policy: " + test.policy + "\n" + `<h1>Shop</h1><script src="{{chat}}widget.js" nonce="abc" async></script>`}))
			if name == "no sockets" {
				w.asks("Nika", "one")
			}
			w.until("it says so", `warnings.some((one) => one.includes("Content-Security-Policy"))`)
			said := strings.Join(w.warnings(), "\n")
			if !strings.Contains(said, test.want) || strings.Count(said, "Content-Security-Policy") != 1 {
				t.Errorf("the console says %s, want %q", said, test.want)
			}
			w.mu.Lock()
			w.problems = nil // the browser says it too
			w.mu.Unlock()
		})
	}
}
