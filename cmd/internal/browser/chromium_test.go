package browser_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// startChromium starts Chromium, driven by the protocol of its devtools.
func startChromium(program string) (opener, func(), error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.IgnoreCertErrors,
		chromedp.WSURLReadTimeout(2*patience),
		chromedp.Flag("lang", "en"),
		chromedp.Flag("hide-scrollbars", false), // they take room on a desktop
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	browser, end := chromedp.NewContext(allocator)
	open := func(w *window, as look, beside tab) error { return openChromium(browser, w, as, beside) }
	return open, func() { end(); endAllocator() }, chromedp.Do(browser)
}

// A chromiumTab is the context that the driver knows a tab by.
type chromiumTab struct {
	ctx      context.Context
	closeTab context.CancelFunc
}

func openChromium(browser context.Context, w *window, as look, beside tab) error {
	option := chromedp.WithNewBrowserContext()
	if beside, ok := beside.(*chromiumTab); ok {
		option = chromedp.WithExistingBrowserContext(chromedp.FromContext(beside.ctx).BrowserContextID)
	}
	ctx, closeTab := chromedp.NewContext(browser, option)
	w.tab, w.ctx = &chromiumTab{ctx, closeTab}, ctx
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
		return err
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
	call(w, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: as.language})
	call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-reduced-motion", Value: "reduce"},
		{Name: "prefers-color-scheme", Value: scheme},
	}})
	call(w, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: as.script})
	return nil
}

func describe(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}

// call sends a command of the devtools' protocol: for what only Chromium can.
func call[P, R any](w *window, command cdp.Command[P, R], params P) R {
	w.Helper()
	var result R
	w.do(string(command.Method), func(ctx context.Context) (err error) {
		result, err = chromedp.Call(ctx, command, params)
		return err
	})
	return result
}

// networkChanged is what the browser says of all that it was loading when an
// address of the machine came or went. Containers that start are enough.
const networkChanged = "net::ERR_NETWORK_CHANGED"

var pagePart = regexp.MustCompile(`\.(js|css)$`)

func (*chromiumTab) load(ctx context.Context, action chromedp.Action[chromedp.Void]) error {
	err := chromedp.Do(ctx, action)
	for err != nil && strings.Contains(err.Error(), networkChanged) {
		err = chromedp.Do(ctx, action)
	}
	return err
}

func (c *chromiumTab) navigate(ctx context.Context, url string) error {
	return c.load(ctx, chromedp.Navigate(url))
}

func (c *chromiumTab) reload(ctx context.Context) error {
	return c.load(ctx, chromedp.Reload())
}

func (*chromiumTab) evaluate(ctx context.Context, expression string) (json.RawMessage, error) {
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any](expression, chromedp.EvalAwaitPromise, chromedp.EvalAsValue))
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (*chromiumTab) click(ctx context.Context, x, y float64) error {
	return chromedp.Do(ctx, chromedp.MouseClickXY(x, y))
}

func (*chromiumTab) insert(ctx context.Context, text string) error {
	_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
	return err
}

func (*chromiumTab) press(ctx context.Context, key rune, modifiers ...kb.Modifier) error {
	var char string
	events := kb.Encode(key)
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
		if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, *event); err != nil {
			return err
		}
	}
	return nil
}

// offline tells the page once it is so: until then a page that learned of it would
// connect anew, and be heard.
func (c *chromiumTab) offline(ctx context.Context, off bool) error {
	_, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{DownloadThroughput: -1, UploadThroughput: -1, Offline: off}},
	})
	for reached := json.RawMessage("true"); off && err == nil && string(reached) == "true"; {
		reached, err = c.evaluate(ctx, `fetch("/healthz", { cache: "no-store" }).then(() => true, () => false)`)
	}
	if err == nil {
		_, err = chromedp.Call(ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: off, DownloadThroughput: -1, UploadThroughput: -1})
	}
	return err
}

func (*chromiumTab) picture(ctx context.Context) ([]byte, error) {
	result, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	return result.Data, err
}

func (c *chromiumTab) close() { c.closeTab() }
