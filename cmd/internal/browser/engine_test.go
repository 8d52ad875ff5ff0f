package browser_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/testlock"
)

// requireBrowser is the environment variable that says what to do without a
// browser: 1 fails these tests. 0 leaves them out even where there is one.
const requireBrowser = "LIVESUPPORT_REQUIRE_BROWSER"

// An engine is a browser: one process for all tests, started by the first of them
// that needs it.
type engine struct {
	name     string
	programs []string // the names it may be installed by
	// start starts the browser and returns what opens tabs, and what ends it.
	start func(program string) (opener, func(), error)

	once  sync.Once
	open  opener
	close func()
	err   error
}

// An opener opens a tab for a window, sets w.tab and w.ctx, and tells the window
// what goes wrong in the page. The tab is of a person of their own if there is no
// tab beside it.
type opener func(w *window, as look, beside tab) error

// A tab is what the engines do in ways of their own. Coordinates are CSS pixels of
// the viewport.
type tab interface {
	navigate(ctx context.Context, url string) error // until all of the page is loaded
	reload(ctx context.Context) error
	// evaluate returns an expression's value, or what it promises, as JSON. It is
	// made without the page's help, which may have a JSON of its own.
	evaluate(ctx context.Context, expression string) (json.RawMessage, error)
	click(ctx context.Context, x, y float64) error
	insert(ctx context.Context, text string) error
	press(ctx context.Context, key rune, modifiers ...kb.Modifier) error
	offline(ctx context.Context, off bool) error
	picture(ctx context.Context) ([]byte, error) // PNG
	close()
}

var (
	chromium = &engine{name: "chromium", programs: []string{"chromium", "chromium-browser", "google-chrome"}, start: startChromium}
	firefox  = &engine{name: "firefox", programs: []string{"firefox-esr", "firefox"}, start: startFirefox}
)

func TestMain(m *testing.M) {
	if os.Getenv(requireBrowser) != "0" && (chromium.program() != "" || firefox.program() != "") {
		testlock.Hold()
	}
	// They wait more than they work, so more of them run at once than by default.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, e := range []*engine{chromium, firefox} {
		if e.close != nil {
			e.close()
		}
	}
	os.Exit(code)
}

// startEngine starts the test's browser, or skips the test. It is Firefox in
// TestFirefox and else Chromium.
func startEngine(t *testing.T) *engine {
	t.Helper()
	e := chromium
	if strings.HasPrefix(t.Name(), "TestFirefox/") {
		e = firefox
	}
	program := e.program()
	switch required := os.Getenv(requireBrowser); {
	case required == "0":
		t.Skipf("%s=0", requireBrowser)
	case program != "":
	case required == "1":
		t.Fatalf("%s=1, but there is no %s", requireBrowser, e.name)
	default:
		t.Skip("there is no " + e.name)
	}
	e.once.Do(func() { e.open, e.close, e.err = e.start(program) })
	if e.err != nil {
		t.Fatalf("start %s: %v", e.name, e.err)
	}
	return e
}

// program is the browser that is installed, or empty.
func (e *engine) program() string {
	for _, name := range e.programs {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}
