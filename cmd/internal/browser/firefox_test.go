package browser_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// preferences of the profile: beside what Firefox sets by itself for a browser
// that is driven, nothing asks, nothing moves, and nothing looks for the network.
const preferences = `
user_pref("app.normandy.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("messaging-system.rsexperimentloader.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("network.proxy.type", 0);
user_pref("nimbus.rollouts.enabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("toolkit.telemetry.unified", false);
user_pref("ui.prefersReducedMotion", 1);
`

// firefoxBrowser is the process and the session that drives it.
type firefoxBrowser struct {
	*bidi
	chrome string // the browsing context of the browser's own code

	// Only one window has the focus of the machine's user. Who types or clicks
	// brings theirs to the front, and keeps it there meanwhile.
	front sync.Mutex
	first string // the browsing context in front
}

// startFirefox starts Firefox, driven by WebDriver BiDi.
func startFirefox(program string) (open opener, end func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	profile, err := os.MkdirTemp("", "livesupport-firefox-")
	if err != nil {
		return nil, nil, err
	}
	f := new(firefoxBrowser)
	var output bytes.Buffer
	process := exec.Command(program, "--headless", "--profile", profile, "--no-remote",
		"--remote-debugging-port", "0",
		"--remote-allow-system-access") // for looks that BiDi has no command for
	process.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	process.Stdout, process.Stderr = &output, &output
	ended := make(chan struct{})
	end = func() {
		if f.bidi != nil {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, _ = command[any](ctx, f.bidi, "browser.close", nil) // or it is killed below
			select {
			case <-ended:
			case <-ctx.Done():
			}
			f.bidi.close()
		}
		_ = process.Process.Kill() // an error means that it has ended
		<-ended
		_ = os.RemoveAll(profile) // a leftover in the system's folder for such things
	}
	err = os.WriteFile(filepath.Join(profile, "user.js"), []byte(preferences), 0o600)
	if err == nil {
		endWithTests(process)
		err = process.Start()
	}
	if err != nil {
		return nil, func() { _ = os.RemoveAll(profile) }, err
	}
	go func() {
		defer close(ended)
		_ = process.Wait() // it may have been killed
	}()
	// Firefox leaves the address in the profile as soon as it listens.
	var address struct {
		Host string `json:"ws_host"`
		Port int    `json:"ws_port"`
	}
	for address.Port == 0 {
		select {
		case <-ended:
			return nil, end, fmt.Errorf("it has ended: %s", output.String())
		case <-ctx.Done():
			return nil, end, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if text, err := os.ReadFile(filepath.Join(profile, "WebDriverBiDiServer.json")); err == nil {
			_ = json.Unmarshal(text, &address) // half written: next time
		}
	}
	if f.bidi, err = dialBidi(ctx, fmt.Sprintf("ws://%s:%d/session", address.Host, address.Port)); err != nil {
		return nil, end, err
	}
	if _, err = command[any](ctx, f.bidi, "session.new", params{"capabilities": params{}}); err != nil {
		return nil, end, err
	}
	if _, err = command[any](ctx, f.bidi, "session.subscribe", params{"events": []string{"log.entryAdded"}}); err != nil {
		return nil, end, err
	}
	tree, err := command[struct {
		Contexts []struct{ Context string }
	}](ctx, f.bidi, "browsingContext.getTree", params{"moz:scope": "chrome"})
	if err != nil {
		return nil, end, err
	}
	f.chrome = tree.Contexts[0].Context
	return f.open, end, nil
}

// networkLost is what the log says of a WebSocket that cannot be opened, or that
// ends with the page.
var networkLost = regexp.MustCompile(`^Firefox can’t establish a connection|^The connection to \S+ was interrupted`)

// A firefoxTab is a browsing context in a window of its own, since only the
// foremost tab of a window is awake.
type firefoxTab struct {
	*firefoxBrowser
	id     string
	person string // the user context, which has the storage
	owner  bool   // of the user context
}

func (f *firefoxBrowser) open(w *window, as look, beside tab) error {
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	one := &firefoxTab{firefoxBrowser: f}
	if beside, ok := beside.(*firefoxTab); ok {
		one.person = beside.person
	} else {
		made, err := command[struct{ UserContext string }](ctx, f.bidi, "browser.createUserContext", params{"acceptInsecureCerts": true})
		if err != nil {
			return err
		}
		one.person, one.owner = made.UserContext, true
	}
	w.tab, w.ctx = one, f.ctx
	f.front.Lock()
	made, err := command[struct{ Context string }](ctx, f.bidi, "browsingContext.create", params{"type": "window", "userContext": one.person})
	one.id, f.first = made.Context, made.Context
	f.front.Unlock()
	if err != nil {
		return err
	}
	f.on(one.id, func(event json.RawMessage) {
		var entry struct {
			Level, Text string
			StackTrace  struct {
				CallFrames []struct {
					FunctionName, URL string
					LineNumber        int // from 0
				}
			}
		}
		// What a lost network gives rise to is no fault.
		if json.Unmarshal(event, &entry) == nil && entry.Level == "error" && !networkLost.MatchString(entry.Text) {
			for _, at := range entry.StackTrace.CallFrames {
				entry.Text += fmt.Sprintf("\n\tat %s (%s:%d)", at.FunctionName, at.URL, at.LineNumber+1)
			}
			w.complain(entry.Text)
		}
	})
	if err := one.dress(ctx, as); err != nil {
		return err
	}
	// A policy that a page breaks is no entry of the log.
	return one.do(ctx, "script.addPreloadScript", params{"contexts": []string{one.id}, "functionDeclaration": `() => {
		document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sample }) => console.error(violatedDirective, blockedURI, sample));
		` + as.script + `
	}`})
}

// dress makes the tab look as it should to its page.
func (f *firefoxTab) dress(ctx context.Context, as look) error {
	err := f.do(ctx, "browsingContext.setViewport", params{"context": f.id, "viewport": params{"width": as.width, "height": as.height}, "devicePixelRatio": 1})
	if err != nil {
		return err
	}
	if err := f.do(ctx, "emulation.setLocaleOverride", params{"contexts": []string{f.id}, "locale": as.language}); err != nil {
		return err
	}
	scheme := "light"
	if as.dark {
		scheme = "dark"
	}
	// Touch, a viewport that follows the page's meta element, scrollbars that
	// take no room: it is what the browser's own "responsive design mode" sets.
	_, err = f.run(ctx, f.chrome, fmt.Sprintf(`(async () => {
		const { NavigableManager } = ChromeUtils.importESModule("chrome://remote/content/shared/NavigableManager.sys.mjs");
		const context = NavigableManager.getBrowsingContextById(%q);
		context.prefersColorSchemeOverride = %q;
		if (%t) {
			context.inRDMPane = true;
			context.touchEventsOverride = "enabled";
			context.setRDMPaneMaxTouchPoints?.(5);
		}
	})()`, f.id, scheme, as.phone))
	return err
}

func (f *firefoxTab) do(ctx context.Context, method string, p params) error {
	_, err := command[any](ctx, f.bidi, method, p)
	return err
}

func (f *firefoxTab) navigate(ctx context.Context, url string) error {
	return f.do(ctx, "browsingContext.navigate", params{"context": f.id, "url": url, "wait": "complete"})
}

func (f *firefoxTab) reload(ctx context.Context) error {
	return f.do(ctx, "browsingContext.reload", params{"context": f.id, "wait": "complete"})
}

func (f *firefoxTab) evaluate(ctx context.Context, expression string) (json.RawMessage, error) {
	return f.run(ctx, f.id, expression)
}

func (f *firefoxBrowser) run(ctx context.Context, where, expression string) (json.RawMessage, error) {
	result, err := command[struct {
		Result           remoteValue
		ExceptionDetails struct{ Text string }
	}](ctx, f.bidi, "script.evaluate", params{"target": params{"context": where}, "expression": expression, "awaitPromise": true})
	if err == nil && result.ExceptionDetails.Text != "" {
		err = errors.New(result.ExceptionDetails.Text)
	}
	if err != nil {
		return nil, err
	}
	plain, err := result.Result.plain()
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

// use does something in the front window.
func (f *firefoxTab) use(ctx context.Context, method string, p params) error {
	f.front.Lock()
	defer f.front.Unlock()
	if f.first != f.id {
		f.first = ""
		if err := f.do(ctx, "browsingContext.activate", params{"context": f.id}); err != nil {
			return err
		}
		f.first = f.id
	}
	return f.do(ctx, method, p)
}

func (f *firefoxTab) click(ctx context.Context, x, y float64) error {
	return f.use(ctx, "input.performActions", params{"context": f.id, "actions": []params{{
		"type": "pointer", "id": "mouse", "actions": []params{
			{"type": "pointerMove", "x": x, "y": y},
			{"type": "pointerDown", "button": 0},
			{"type": "pointerUp", "button": 0},
		},
	}}})
}

func (f *firefoxTab) insert(ctx context.Context, text string) error {
	quoted, err := json.Marshal(text)
	if err != nil {
		return err
	}
	return f.use(ctx, "script.evaluate", params{
		"target": params{"context": f.id}, "awaitPromise": false,
		"expression": fmt.Sprintf(`document.execCommand("insertText", false, %s)`, quoted),
	})
}

// keys are those that write nothing, as WebDriver names them.
var keys = strings.NewReplacer(
	kb.Backspace, "\ue003", kb.Tab, "\ue004", kb.Enter, "\ue007", kb.Escape, "\ue00c",
	kb.PageUp, "\ue00e", kb.PageDown, "\ue00f", kb.End, "\ue010", kb.Home, "\ue011",
	kb.ArrowLeft, "\ue012", kb.ArrowUp, "\ue013", kb.ArrowRight, "\ue014", kb.ArrowDown, "\ue015", kb.Delete, "\ue017",
)

var modifierKeys = map[kb.Modifier]string{
	kb.ModifierShift: "\ue008", kb.ModifierCtrl: "\ue009", kb.ModifierAlt: "\ue00a", kb.ModifierMeta: "\ue03d",
}

func (f *firefoxTab) press(ctx context.Context, key rune, modifiers ...kb.Modifier) error {
	var down, up []params
	for _, one := range modifiers {
		down = append(down, params{"type": "keyDown", "value": modifierKeys[one]})
		up = append(up, params{"type": "keyUp", "value": modifierKeys[one]})
	}
	name := keys.Replace(string(key))
	actions := append(down, params{"type": "keyDown", "value": name}, params{"type": "keyUp", "value": name})
	return f.use(ctx, "input.performActions", params{"context": f.id, "actions": []params{{
		"type": "key", "id": "keyboard", "actions": append(actions, up...),
	}}})
}

func (f *firefoxTab) offline(ctx context.Context, off bool) error {
	p := params{"contexts": []string{f.id}, "networkConditions": nil}
	if off {
		p["networkConditions"] = params{"type": "offline"}
	}
	return f.do(ctx, "emulation.setNetworkConditions", p)
}

func (f *firefoxTab) picture(ctx context.Context) ([]byte, error) {
	result, err := command[struct{ Data string }](ctx, f.bidi, "browsingContext.captureScreenshot", params{"context": f.id})
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(result.Data)
}

// close closes the window, and the person's storage with their first one.
func (f *firefoxTab) close() {
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	// Both fail if the browser has ended, which the test knows by then.
	if f.id != "" {
		f.on(f.id, nil)
		_ = f.do(ctx, "browsingContext.close", params{"context": f.id})
	}
	if f.owner {
		_ = f.do(ctx, "browser.removeUserContext", params{"userContext": f.person})
	}
}
