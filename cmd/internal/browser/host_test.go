package browser_test

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"livesupport/cmd/internal/backend"
)

// hostile is the CSS of a page that leaves nothing alone.
const hostile = `
* { all: unset !important; }
*, *::before { display: none !important; --rem: 90px !important; --accent: red !important; }
html, head, body, main, h1, p { display: block !important; }
html { font-size: 3px !important; direction: rtl !important; }
button, section, div, livesupport-chat { display: none !important; visibility: hidden !important; opacity: 0 !important;
  position: static !important; transform: scale(9) !important; z-index: -1 !important; }
`

// host serves the page of somebody's site, which has the line with its attributes
// in it, under a content security policy that allows what web/pages/README.md says.
func (s *site) host(css, line string) string {
	s.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/page.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, css)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		chat := strings.TrimSuffix(s.chat, "/")
		w.Header().Set("Content-Security-Policy", fmt.Sprintf(
			"default-src 'none'; img-src data:; style-src 'self'; script-src %s; connect-src %s %s; require-trusted-types-for 'script'; trusted-types 'none'",
			chat, chat, strings.Replace(chat, "http", "ws", 1)))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		script := line
		if r.URL.Path == "/without" {
			script = ""
		}
		fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,">
			<link rel="stylesheet" href="page.css">%s</head><body><main><h1>Shop</h1><p>Text of the page.</p><button id="buy">Buy</button></main></body></html>`, script)
	})
	server := httptest.NewServer(mux)
	s.Cleanup(server.Close)
	return server.URL + "/"
}

func (s *site) line(attributes string) string {
	return fmt.Sprintf(`<script src="%swidget.js" async %s></script>`, s.chat, attributes)
}

// TestFrames: the visitor's page may stand in a frame of any site, the console may
// not: a click in it would be the site's.
func TestFrames(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,"><iframe src=%q></iframe><iframe src=%q></iframe>`, s.chat, s.lobby)
	}))
	t.Cleanup(shop.Close)
	w := newWindow(t, desktop)
	w.visit(shop.URL) // and waits for the frames
	frames := call(w, page.GetFrameTree, cdp.Empty{}).FrameTree.ChildFrames
	if len(frames) != 2 {
		t.Fatalf("%d frames", len(frames))
	}
	if visitor := frames[0].Frame; visitor.URL != s.chat || visitor.UnreachableURL != "" {
		t.Errorf("the visitor's page: %s, refused %s", visitor.URL, visitor.UnreachableURL)
	}
	if console := frames[1].Frame; console.UnreachableURL != s.lobby {
		t.Errorf("the console: %s, refused %q", console.URL, console.UnreachableURL)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = slices.DeleteFunc(w.problems, func(problem string) bool { return strings.Contains(problem, "frame-ancestors") })
}

func TestHostilePage(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	url := s.host(hostile, s.line(`data-title="Ask the shop" data-colour="gold" data-greeting="What are you looking for? &lt;b&gt;" data-name="Nika" data-position="left"`))
	agent := s.agent(desktop, "Vika")
	w := newWindow(t, desktop)
	names := `Object.getOwnPropertyNames(window).sort()`
	w.visit(url + "without")
	before := get[[]string](w, names)
	w.visit(url)
	w.until("the chat button is there", `$(".launcher")?.getBoundingClientRect().width === 56`)
	if after := get[[]string](w, names); !slices.Equal(before, after) {
		t.Errorf("global names: %v before, %v after", before, after)
	}
	shift := `new Promise((resolve) => {
		new PerformanceObserver((list) => resolve(list.getEntries().reduce((sum, { value }) => sum + value, 0)))
			.observe({ type: "layout-shift", buffered: true });
		requestAnimationFrame(() => requestAnimationFrame(() => resolve(0)));
	})`
	if moved := get[float64](w, shift); moved != 0 {
		t.Errorf("the page's layout shifts by %v", moved)
	}
	w.until("the button is in the left corner", `(({ left, bottom }) => left === 16 && bottom === innerHeight - 16)($(".launcher").getBoundingClientRect())`)
	w.until("gold, and black on it", `(({ backgroundColor, color }) => backgroundColor === "rgb(255, 215, 0)" && color === "rgb(0, 0, 0)")(getComputedStyle($(".launcher")))`)
	w.click(".launcher")
	w.shows(".panel h2", "Ask the shop")
	w.shows(".greeting", "What are you looking for? <b>")
	w.until("the name is filled in, and the message has the focus", `$("#name").value === "Nika" && root.activeElement === $("#first")`)
	w.until("the size is the browser's own", `getComputedStyle($(".greeting")).fontSize === "18px" && getComputedStyle($(".greeting")).direction === "ltr"`)
	w.write("Trousers")
	w.shot("hostile-page")
	w.click(".start .primary")
	agent.takes("Nika")
	agent.says("All of them")
	w.conversation("Trousers", "All of them")

	// On its next page the chat is open again; closed, it counts what comes.
	w.reload()
	w.conversation("Trousers", "All of them")
	w.click("header [aria-label='Minimize chat']")
	agent.says("are blue.")
	agent.says("Well?")
	w.until("two unread", `$(".launcher").getAttribute("aria-label") === "Open chat, 2 unread" && $(".badge").textContent === "2"`)
	w.reload()
	w.until("two unread after a reload", `$(".badge")?.textContent === "2"`)
	w.click(".launcher")
	w.conversation("Trousers", "All of them", "are blue.", "Well?")
	w.until("none unread", `!$(".badge")`)
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	url := s.host("", s.line(""))
	s.stop()
	defer s.start() // for the end of the test
	w := newWindow(t, desktop)
	w.visit(url)
	w.until("the page is loaded", `document.readyState === "complete"`)
	if get[bool](w, `Boolean(document.querySelector("livesupport-chat"))`) {
		t.Error("there is a chat button without a server")
	}
}

func TestArabic(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := newWindow(t, desktop)
	w.visit(s.host("", s.line(`data-language="ar" data-position="left"`)))
	w.click(".launcher")
	w.shows(".start .primary", "بدء المحادثة")
	w.until("right to left", `getComputedStyle($(".panel")).direction === "rtl"`)
	w.fill("#name", "ليلى")
	w.fill("#first", "متى يصل طلبي؟ see https://shop.example/orders?id=1042&x=(1).")
	w.click(".start .primary")
	w.until("the link ends where the address ends", `$(".bubble a")?.href === "https://shop.example/orders?id=1042&x=(1)" && $(".bubble a").rel.includes("noopener")`)
	agent := newWindow(t, desktop)
	agent.visit(s.lobby + "?lang=ar")
	agent.signsIn("فيكا")
	agent.shows(".since", "في الانتظار منذ")
	agent.click(".queue button")
	agent.connected()
	agent.says("غدًا")
	w.until("the answer is there", `$$(".bubble").at(-1).textContent === "غدًا"`)
	w.shot("visitor-arabic")
	agent.shot("agent-arabic")
	for _, one := range []*window{w, agent} {
		one.accessible("in Arabic")
	}
}

// TestProxy has both servers on one host with TLS, under paths.
func TestProxy(t *testing.T) {
	t.Parallel()
	startEngine(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "https://" + listener.Addr().String()
	s := startSite(t, func(cfg *backend.Config) { cfg.ChatPublicURL = address + "/support/chat" })
	to := func(target string) http.Handler {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }} // the Host is the backend's
	}
	mux := http.NewServeMux()
	mux.Handle("/support/chat/", http.StripPrefix("/support/chat", to(s.chat)))
	mux.Handle("/support/agents/", http.StripPrefix("/support/agents", to(s.lobby)))
	proxy := &httptest.Server{Listener: listener, Config: &http.Server{Handler: mux}}
	proxy.StartTLS()
	t.Cleanup(proxy.Close)

	visitor, agent := newWindow(t, desktop), newWindow(t, desktop)
	visitor.visit(address + "/support/chat/")
	if line, want := get[string](visitor, `document.querySelector("#line").textContent`), fmt.Sprintf(`<script src="%s/support/chat/widget.js" async></script>`, address); line != want {
		t.Errorf("the line to paste is %s, want %s", html.EscapeString(line), html.EscapeString(want))
	}
	visitor.asks("Nika", "one")
	agent.visit(address + "/support/agents/")
	agent.signsIn("Vika")
	agent.takes("Nika")
	agent.says("two")
	visitor.conversation("one", "two")
}
