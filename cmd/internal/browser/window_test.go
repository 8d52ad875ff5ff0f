package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"livesupport/cmd/internal/testlock"
)

// requireBrowser is the environment variable that says what to do without a
// browser: 1 fails these tests. 0 leaves them out even where there is one.
const requireBrowser = "LIVESUPPORT_REQUIRE_BROWSER"

// patience bounds every wait for something that must come.
const patience = 30 * time.Second

// chromium is one browser process for all tests, started by the first of them.
var chromium struct {
	once sync.Once
	ctx  context.Context
	end  []context.CancelFunc
	err  error
}

func TestMain(m *testing.M) {
	if os.Getenv(requireBrowser) != "0" && program() != "" {
		testlock.Hold()
	}
	// They wait more than they work, so more of them run at once than by default.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	for i := len(chromium.end) - 1; i >= 0; i-- {
		chromium.end[i]()
	}
	os.Exit(code)
}

// program is the browser that is installed, or empty.
func program() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

func startChromium(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv(requireBrowser) == "0" {
		t.Skipf("%s=0", requireBrowser)
	}
	program := program()
	switch {
	case program != "":
	case os.Getenv(requireBrowser) == "1":
		t.Fatalf("%s=1, but there is no chromium", requireBrowser)
	default:
		t.Skip("there is no chromium")
	}
	chromium.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(program),
			chromedp.IgnoreCertErrors,
			chromedp.WSURLReadTimeout(2*patience),
			chromedp.Flag("lang", "en"),
			chromedp.Flag("hide-scrollbars", false), // they take room on a desktop
		)
		allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, end := chromedp.NewContext(allocator)
		chromium.ctx, chromium.end = ctx, []context.CancelFunc{endAllocator, end}
		chromium.err = chromedp.Do(ctx)
	})
	if chromium.err != nil {
		t.Fatalf("start chromium: %v", chromium.err)
	}
	return chromium.ctx
}

// A window is a tab of its own.
type window struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the browser says about the page's code and policy
	dropped  bool     // a part of the page: see evaluate
}

// A look is how a window presents itself to a page.
type look struct {
	width, height int64
	phone, dark   bool
	language      string // of the browser; English if empty
	script        string // runs in every page before its own
}

var desktop = look{width: 1200, height: 760}
var phone = look{width: 360, height: 720, phone: true}

// newWindow opens a window of a person of their own: no storage is shared with
// others. It closes with the test.
func newWindow(t *testing.T, as look) *window {
	t.Helper()
	return openWindow(t, as, startChromium(t), chromedp.WithNewBrowserContext())
}

// another opens a further window of the same person.
func (w *window) another(as look) *window {
	w.Helper()
	id := chromedp.FromContext(w.ctx).BrowserContextID
	return openWindow(w.T, as, startChromium(w.T), chromedp.WithExistingBrowserContext(id))
}

func openWindow(t *testing.T, as look, parent context.Context, option chromedp.ContextOption) *window {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(parent, option)
	w := &window{T: t, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("a window showed:\n%s", w.text())
		}
		closeTab()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, problem := range w.problems {
			t.Errorf("the browser says: %s", problem)
		}
	})
	// The first use starts the tab, whose life must not end with a deadline.
	err := chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			w.complain(describe(event.ExceptionDetails))
		case *log.EventEntryAdded:
			if strings.Contains(event.Entry.Text, networkChanged) && pagePart.MatchString(event.Entry.URL) {
				w.drop(true)
			}
			// What a lost network gives rise to is no fault.
			if event.Entry.Level == log.EntryLevelError && event.Entry.Source != log.EntrySourceNetwork {
				w.complain(event.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatalf("open a window: %v", err)
	}
	language := as.language
	if language == "" {
		language = "en"
	}
	scheme := "light"
	if as.dark {
		scheme = "dark"
	}
	call(w, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: as.width, Height: as.height, DeviceScaleFactor: 1, Mobile: as.phone,
	})
	call(w, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: as.phone})
	call(w, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	call(w, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: language})
	call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-reduced-motion", Value: "reduce"},
		{Name: "prefers-color-scheme", Value: scheme},
	}})
	call(w, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: as.script})
	return w
}

func (w *window) complain(problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, problem)
}

// drop sets whether a part of the page is missing, and returns whether it was.
func (w *window) drop(dropped bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.dropped
	w.dropped = dropped
	return was
}

func describe(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}

// do lets the browser do something within patience.
func (w *window) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// call sends a command of the devtools' protocol.
func call[P, R any](w *window, command cdp.Command[P, R], params P) R {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		w.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// networkChanged is what the browser says of all that it was loading when an
// address of the machine came or went. Containers that start are enough.
const networkChanged = "net::ERR_NETWORK_CHANGED"

var pagePart = regexp.MustCompile(`\.(js|css)$`)

func (w *window) visit(url string) {
	w.Helper()
	w.load("visit "+url, chromedp.Navigate(url))
}

func (w *window) reload() {
	w.Helper()
	w.load("reload", chromedp.Reload())
}

func (w *window) load(what string, action chromedp.Action[chromedp.Void]) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, action)
	for err != nil && strings.Contains(err.Error(), networkChanged) {
		err = chromedp.Do(ctx, action)
	}
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// inside makes an expression of JavaScript look for elements with $ and $$ in the
// widget's shadow root if the page has one, else in the page.
func inside(expression string) string {
	return `(() => {
		const root = document.querySelector("livesupport-chat")?.shadowRoot ?? document;
		const $ = (selector) => root.querySelector(selector);
		const $$ = (selector) => [...root.querySelectorAll(selector)];
		const shown = (one) => Boolean(one?.checkVisibility({ visibilityProperty: true }));
		return (` + expression + `);
	})()`
}

// evaluate evaluates an expression. A page that the browser has not loaded as a
// whole is loaded once more before.
func evaluate[T any](w *window, expression string) (T, error) {
	if w.drop(false) {
		w.reload()
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](inside(expression), chromedp.EvalAwaitPromise, chromedp.EvalAsValue))
}

// get evaluates an expression.
func get[T any](w *window, expression string) T {
	w.Helper()
	result, err := evaluate[T](w, expression)
	if err != nil {
		w.Fatalf("%s: %v", expression, err)
	}
	return result
}

// until polls until an expression is true. While a page is being loaded it may
// fail.
func (w *window) until(what, expression string) {
	w.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		var holds bool
		if holds, err = evaluate[bool](w, "Boolean("+expression+")"); err == nil && holds {
			return
		}
		if w.ctx.Err() != nil {
			break
		}
	}
	w.Fatalf("still not: %s (%v)", what, errors.Join(err, w.ctx.Err()))
}

// shows waits for a text in a shown element.
func (w *window) shows(selector, text string) {
	w.Helper()
	w.until(fmt.Sprintf("%s shows %q", selector, text),
		fmt.Sprintf(`$$(%q).some((one) => shown(one) && one.textContent.includes(%q))`, selector, text))
}

func (w *window) hides(selector string) {
	w.Helper()
	w.until(selector+" is not shown", fmt.Sprintf(`!$$(%q).some(shown)`, selector))
}

// click moves the mouse to the middle of an element and clicks, as soon as
// nothing else is in front of it.
func (w *window) click(selector string) {
	w.Helper()
	at := fmt.Sprintf(`(() => {
		const one = $$(%q).find(shown);
		if (!one || one.disabled) return null;
		one.scrollIntoView({ block: "nearest" });
		const { x, y, width, height } = one.getBoundingClientRect();
		const [left, top] = [x + width / 2, y + height / 2];
		return one.contains(root.elementFromPoint(left, top)) ? [left, top] : null;
	})()`, selector)
	var point []float64
	for deadline := time.Now().Add(patience); len(point) != 2; time.Sleep(30 * time.Millisecond) {
		point, _ = evaluate[[]float64](w, at) // it fails while a page is being loaded
		if time.Now().After(deadline) {
			w.Fatalf("cannot click %s", selector)
		}
	}
	w.do("click "+selector, chromedp.MouseClickXY(point[0], point[1]))
}

// write puts a text into the field that has the focus, as a paste does.
func (w *window) write(text string) {
	w.Helper()
	call(w, input.InsertText, input.InsertTextParams{Text: text})
}

// fill focuses a field by a click and writes into it.
func (w *window) fill(selector, text string) {
	w.Helper()
	w.click(selector)
	w.write(text)
}

// press presses a key, with modifiers if there are any. As from a keyboard, a page
// that takes the key for itself gets no character.
func (w *window) press(key string, modifiers ...kb.Modifier) {
	w.Helper()
	for _, r := range key {
		var char string
		events := kb.Encode(r)
		for _, event := range events {
			if event.Type == kb.KeyChar {
				char = event.Text
			}
		}
		for _, event := range events {
			chromedp.KeyModifiers(modifiers...)(event)
			switch {
			case event.Type == kb.KeyChar:
				continue
			case event.Type != kb.KeyUp && char != "" && event.Modifiers&^int64(kb.ModifierShift) == 0:
				event.Type, event.Text = kb.KeyDown, char
			}
			call(w, input.DispatchKeyEvent, *event)
		}
	}
}

// shot writes a picture of the window into the test's artifacts.
func (w *window) shot(name string) {
	w.Helper()
	picture := call(w, page.CaptureScreenshot, page.CaptureScreenshotParams{}).Data
	file := filepath.Join(w.ArtifactDir(), name+".png")
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		w.Fatal(err)
	}
}

// text is what the window shows, for a person who looks at a failed test.
func (w *window) text() string {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](inside(`location.href + "\n" + (root.firstElementChild ?? document.body).innerText`)))
	if err != nil {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%.1000s", strings.TrimSpace(text))
}
