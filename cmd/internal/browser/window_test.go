package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// patience bounds every wait for something that must come, also of a lost connection
// that only three heartbeats of 10 s tell of.
const patience = time.Minute

// A window of a browser, with one page.
type window struct {
	*testing.T
	tab tab
	ctx context.Context // ends with the browser

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
	return openWindow(t, as, nil)
}

// another opens a further window of the same person.
func (w *window) another(as look) *window {
	w.Helper()
	return openWindow(w.T, as, w.tab)
}

func openWindow(t *testing.T, as look, beside tab) *window {
	t.Helper()
	if as.language == "" {
		as.language = "en"
	}
	engine := startEngine(t)
	w := &window{T: t}
	t.Cleanup(func() {
		if w.tab == nil {
			return
		}
		if t.Failed() {
			t.Logf("a window showed:\n%s", w.text())
		}
		w.tab.close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, problem := range w.problems {
			t.Errorf("the browser says: %s", problem)
		}
	})
	if err := engine.open(w, as, beside); err != nil {
		t.Fatalf("open a window: %v", err)
	}
	return w
}

func (w *window) complain(problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.problems, problem) {
		w.problems = append(w.problems, problem)
	}
}

// drop sets whether a part of the page is missing, and returns whether it was.
func (w *window) drop(dropped bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.dropped
	w.dropped = dropped
	return was
}

// do lets the browser do something within patience.
func (w *window) do(what string, action func(context.Context) error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := action(ctx); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

func (w *window) visit(url string) {
	w.Helper()
	w.do("visit "+url, func(ctx context.Context) error { return w.tab.navigate(ctx, url) })
}

func (w *window) reload() {
	w.Helper()
	w.do("reload", w.tab.reload)
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
	return value[T](ctx, w, expression)
}

func value[T any](ctx context.Context, w *window, expression string) (T, error) {
	var result T
	text, err := w.tab.evaluate(ctx, inside(expression))
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	return result, err
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

// pause waits before the next look at something that has been looked for since start:
// the longer it has taken, the less often, since looking costs the page's time.
func pause(start time.Time) {
	time.Sleep(min(15*time.Millisecond+time.Since(start)/16, 250*time.Millisecond))
}

// until polls until an expression is true. While a page is being loaded it may
// fail.
func (w *window) until(what, expression string) {
	w.Helper()
	var err error
	for start := time.Now(); time.Since(start) < patience; pause(start) {
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
	for start := time.Now(); len(point) != 2; pause(start) {
		point, _ = evaluate[[]float64](w, at) // it fails while a page is being loaded
		if time.Since(start) > patience {
			w.Fatalf("cannot click %s", selector)
		}
	}
	w.do("click "+selector, func(ctx context.Context) error { return w.tab.click(ctx, point[0], point[1]) })
}

// write puts a text into the field that has the focus, as a paste does.
func (w *window) write(text string) {
	w.Helper()
	w.do("write", func(ctx context.Context) error { return w.tab.insert(ctx, text) })
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
		w.do("press "+string(r), func(ctx context.Context) error { return w.tab.press(ctx, r, modifiers...) })
	}
}

// offline cuts a window off, as a switch in the browser's devtools does, or ends
// that.
func (w *window) offline(off bool) {
	w.Helper()
	w.do("offline", func(ctx context.Context) error { return w.tab.offline(ctx, off) })
}

// shot writes a picture of the window into the test's artifacts.
func (w *window) shot(name string) {
	w.Helper()
	w.do("take a picture", func(ctx context.Context) error {
		picture, err := w.tab.picture(ctx)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(w.ArtifactDir(), name+".png"), picture, 0o644)
	})
}

// text is what the window shows, for a person who looks at a failed test.
func (w *window) text() string {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	text, err := value[string](ctx, w, `location.href + "\n" + (root.firstElementChild ?? document.body).innerText`)
	if err != nil {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%.1000s", strings.TrimSpace(text))
}
