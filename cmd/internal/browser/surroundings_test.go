package browser_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
	"livesupport/web"
)

// blankPage is a page without anything that every site has.
const blankPage = "/blank"

// pages serves a site whose pages are given by their path. {{chat}} stands for the
// chat server, {{line}} for the line to paste.
func (s *site) pages(pages map[string]string) string {
	s.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.Path]
		if !ok && r.URL.Path != blankPage {
			http.NotFound(w, r)
			return
		}
		if policy, rest, ok := strings.Cut(body, "\n"); ok && strings.HasPrefix(policy, "policy: ") {
			body = rest
			w.Header().Set("Content-Security-Policy", strings.ReplaceAll(strings.TrimPrefix(policy, "policy: "), "{{chat}}", strings.TrimSuffix(s.chat, "/")))
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		} else {
			body = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Shop</title><link rel="icon" href="data:,">` + body
		}
		fmt.Fprint(w, strings.NewReplacer("{{line}}", s.line(""), "{{chat}}", s.chat).Replace(body))
	}))
	s.Cleanup(server.Close)
	return server.URL
}

// noting is a look that keeps what a page says in its console.
func noting() look {
	as := desktop
	as.script = `window.warnings = [];
		for (const kind of ["warn", "error"]) console[kind] = (...said) => { window.warnings.push(said.join(" ")); };`
	return as
}

func (w *window) warnings() []string {
	w.Helper()
	return get[[]string](w, `warnings`)
}

// begins visits a page of a site as somebody who has never been there: a window is
// dearer than a page.
func (w *window) begins(site, page string) {
	w.Helper()
	w.visit(site + blankPage)
	get[any](w, `(localStorage.clear(), sessionStorage.clear())`)
	w.visit(site + page)
}

func (w *window) onlyOne() {
	w.Helper()
	w.until("there is one chat button", `document.querySelectorAll("livesupport-chat").length === 1 && shown($(".launcher"))`)
}

// TestReplacedBuiltIns are pages whose scripts have put something else in the place
// of what the browser has: monitoring, polyfills, libraries of long ago.
func TestReplacedBuiltIns(t *testing.T) {
	t.Parallel()
	const secret = "the visitors' secret has 33 bytes"
	s := startSite(t, func(cfg *backend.Config) { cfg.VisitorSecret = secret })
	token, err := web.Token{Subject: "4711", Name: "Ana"}.Sign(secret, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{
		"WebSocket without constants": `const Native = WebSocket; WebSocket = function (url, protocols) { return new Native(url, protocols); };`,
		"WebSocket that goes nowhere": `WebSocket = class extends EventTarget { send() {} close() {} };`,
		"WebSocket that is bound":     `WebSocket = WebSocket.bind(null);`,
		"a socket's send":             `WebSocket.prototype.send = () => {};`,
		"fetch without options":       `const native = fetch; fetch = (address) => native(address);`,
		"fetch that fails":            `fetch = () => Promise.reject(new Error("no"));`,
		"toJSON":                      `Array.prototype.toJSON = function () { return "an array"; }; Object.prototype.toJSON = function () { return "an object"; }; String.prototype.toJSON = () => "a string";`,
		"JSON":                        `JSON = { encode() {}, decode() {} };`,
		"events":                      `Event = { KEY_RETURN: 13 }; CustomEvent = undefined;`,
		"timers":                      `setTimeout = setInterval = () => ({}); clearTimeout = clearInterval = () => { throw new Error("no"); };`,
		"Promise":                     `Promise = class { constructor() { throw new Error("no"); } };`,
		"crypto":                      `Object.defineProperty(window, "crypto", { value: {} });`,
		"AbortController":             `AbortController = class { signal = {}; abort() {} }; AbortSignal = class {};`,
		"Array.from":                  `Array.from = (values) => [].slice.call(values);`,
		"customElements":              `Object.defineProperty(window, "customElements", { value: undefined });`,
		"frames":                      `new MutationObserver(() => document.querySelectorAll("iframe, html > div").forEach((one) => one.remove())).observe(document, { childList: true, subtree: true }); fetch = setTimeout = undefined;`,
	}
	var all strings.Builder
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(scripts))) { // what stands on WebSocket comes before what replaces it
		if name != "frames" {
			fmt.Fprintf(&all, "{ %s }\n", scripts[name])
		}
	}
	scripts["all of them"] = all.String()
	pages := make(map[string]string)
	for name, script := range scripts {
		pages["/"+strings.ReplaceAll(name, " ", "-")] = "<script>" + script + "</script>" + s.line(fmt.Sprintf("data-token=%q", token))
	}
	shop := s.pages(pages)
	w := newWindow(t, noting())
	for name := range scripts {
		w.begins(shop, "/"+strings.ReplaceAll(name, " ", "-"))
		w.click(".launcher")
		w.fill("#first", name)
		w.click(".start .primary")
		w.shows(".bubble", name)
		w.until(name+": joined", `$(".livesupport").dataset.state === "waiting"`)
		w.says("more")
		w.conversation(name, "more")
		if said := w.warnings(); name == "frames" && (len(said) > 1 || len(said) == 1 && !strings.Contains(said[0], "removes the blank frame")) || name != "frames" && len(said) > 0 {
			t.Errorf("%s: the console says %q", name, said)
		}
		w.reload()
		w.conversation(name, "more")
	}
}

// TestWaysToLoadTheScript are the ways in which site builders, tag managers and
// bundlers treat the line.
func TestWaysToLoadTheScript(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	response, err := http.Get(s.chat + "widget.js")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var script strings.Builder
	if _, err := fmt.Fprint(&script, `"the site's own";`, "\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&script, response.Body); err != nil {
		t.Fatal(err)
	}
	otherName := strings.Replace(s.chat, "127.0.0.1", "localhost", 1)
	attributes := `data-title="The first"`
	pages := map[string]string{
		"/all.js":          script.String(),
		"/async":           s.line(attributes),
		"/in-the-head":     fmt.Sprintf(`<head><script src="{{chat}}widget.js" %s></script></head><body>`, attributes),
		"/deferred":        fmt.Sprintf(`<script src="{{chat}}widget.js" defer %s></script>`, attributes),
		"/with-a-query":    fmt.Sprintf(`<script src="{{chat}}widget.js?ver=6.4" %s></script>`, attributes),
		"/module":          fmt.Sprintf(`<script type="module" src="{{chat}}widget.js" %s></script>`, attributes),
		"/imported":        `<script type="module">import("{{chat}}widget.js")</script>`,
		"/bundled":         `<script src="all.js"></script>`,
		"/bundled-module":  `<script type="module" src="all.js"></script>`,
		"/inline":          "<script>" + script.String() + "</script>",
		"/tag-manager":     `<script>addEventListener("load", () => setTimeout(() => { const script = document.createElement("script"); script.src = "{{chat}}widget.js"; script.dataset.title = "The first"; document.head.append(script); }, 100))</script>`,
		"/removed-at-once": `<script>const script = document.createElement("script"); script.src = "{{chat}}widget.js"; script.dataset.title = "The first"; document.head.append(script); script.remove();</script>`,
		"/base":            `<base href="https://elsewhere.invalid/x/" target="_top">` + s.line(attributes),
		"/twice":           s.line(attributes) + s.line(`data-title="The second" data-colour="red"`),
		"/twice-and-late":  s.line(attributes) + `<script>addEventListener("load", () => setTimeout(() => { const script = document.createElement("script"); script.src = "{{chat}}widget.js"; script.dataset.title = "The second"; document.head.append(script); }, 300))</script>`,
		"/two-spellings":   fmt.Sprintf(`<script src="{{chat}}widget.js" %s></script><script src="%swidget.js" data-title="The second"></script>`, attributes, otherName),
		"/two-ways":        fmt.Sprintf(`<script src="{{chat}}widget.js" %s></script><script type="module" src="{{chat}}widget.js" data-title="The second"></script><script src="all.js"></script>`, attributes),
		"/nonce":           "policy: script-src 'nonce-abc' 'strict-dynamic'; connect-src {{chat}} ws:; style-src 'none'; default-src 'none'; img-src data:\n" + fmt.Sprintf(`<script src="{{chat}}widget.js" nonce="abc" %s></script>`, attributes),
	}
	shop := s.pages(pages)
	w := newWindow(t, noting())
	for path, page := range pages {
		if path == "/all.js" {
			continue
		}
		w.begins(shop, path)
		w.onlyOne()
		if strings.Contains(page, "The first") {
			w.until(path+": with the attributes of the first line", `$(".panel h2").textContent === "The first"`)
		}
		w.asks("Nika", "one")
		w.until(path+": joined", `$(".livesupport").dataset.state === "waiting"`)
		w.onlyOne()
		if said := w.warnings(); len(said) > 0 {
			t.Errorf("%s: the console says %q", path, said)
		}
	}
}
