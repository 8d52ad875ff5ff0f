package browser_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// withoutTheNew takes away what the oldest browsers named in web/pages/README.md do not have.
const withoutTheNew = `
	delete URL.canParse; delete URL.parse; delete AbortSignal.any; delete Promise.withResolvers; delete Promise.try;
	delete Object.groupBy; delete Map.groupBy; delete Array.fromAsync; delete Intl.Segmenter;
	delete String.prototype.isWellFormed; delete String.prototype.toWellFormed;
	for (const name of ["moveBefore", "getHTML", "setHTMLUnsafe"]) delete Element.prototype[name];
	for (const name of ["showPopover", "hidePopover", "togglePopover", "popover"]) delete HTMLElement.prototype[name];
	for (const name of ["union", "intersection", "difference", "isSubsetOf"]) delete Set.prototype[name];
	for (const name of ["map", "filter", "take", "drop", "toArray", "some", "every", "find", "forEach"]) delete Iterator.prototype[name];
	delete window.Iterator; delete window.CloseWatcher; delete window.navigation; delete window.scheduler;
	delete document.startViewTransition; delete Document.prototype.startViewTransition; delete Document.prototype.prerendering;`

// newInStyles is what they do not know in style sheets.
var newInStyles = regexp.MustCompile(`light-dark\(|:has\(|text-wrap|content-visibility|field-sizing|overflow-anchor`)

// TestOldBrowser is a conversation in a browser of three years ago, as far as a
// new one can be made to look like it.
func TestOldBrowser(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	to, err := url.Parse(s.chat)
	if err != nil {
		t.Fatal(err)
	}
	old := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.Out.Header.Set("Accept-Encoding", "identity")
		},
		ModifyResponse: func(r *http.Response) error {
			if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			text := newInStyles.ReplaceAllStringFunc(string(body), func(found string) string {
				if strings.HasPrefix(found, ":") {
					return ":x-" + found[1:]
				}
				return "x-" + found
			})
			r.Body = io.NopCloser(strings.NewReader(text))
			r.ContentLength = int64(len(text))
			r.Header.Set("Content-Length", strconv.Itoa(len(text)))
			return nil
		},
	})
	t.Cleanup(old.Close)
	for _, dark := range []bool{false, true} {
		as := noting()
		as.dark = dark
		as.script += withoutTheNew
		w := newWindow(t, as)
		w.visit(s.pages(map[string]string{"/": `<script src="` + old.URL + `/widget.js" async></script>`}))
		w.onlyOne()
		w.click(".launcher")
		colours := `(({ backgroundColor, color }) => backgroundColor + " " + color)(getComputedStyle($(".panel")))`
		want := "rgb(255, 254, 252) rgb(34, 38, 42)"
		if dark {
			want = "rgb(27, 31, 34) rgb(233, 230, 224)"
		}
		if got := get[string](w, colours); got != want {
			t.Errorf("the panel is %s, want %s", got, want)
		}
		w.fill("#name", "Nika")
		w.fill("#first", "see https://shop.example/a (and this)")
		w.click(".start .primary")
		w.until("an address is a link", `$(".bubble a")?.href === "https://shop.example/a"`)
		w.says("two")
		w.conversation("see https://shop.example/a (and this)", "two")
		w.until("the last one is marked as sent", `[...$$(".messages .fate")].filter((one) => getComputedStyle(one).display !== "none").length === 1`)
		w.shot(map[bool]string{false: "old-light", true: "old-dark"}[dark])
		if said := w.warnings(); len(said) > 0 {
			t.Errorf("the console says %q", said)
		}
	}
}

// TestMessageThatCannotBeShown takes no other along.
func TestMessageThatCannotBeShown(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := noting()
	as.script += `
		const matchAll = String.prototype.matchAll;
		String.prototype.matchAll = function (...values) {
			if (String(this).includes("two")) throw new Error("an old engine");
			return matchAll.apply(this, values);
		};`
	w := newWindow(t, as)
	w.visit(s.pages(map[string]string{"/": "{{line}}"}))
	w.asks("Nika", "one")
	w.says("two")
	w.says("three")
	w.conversation("one", "two", "three")
	w.reload()
	w.conversation("one", "two", "three")
}
