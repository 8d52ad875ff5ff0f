package browser_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestPagesOfOneDocument tries the ways in which a site goes from page to page without loading one.
// The button is on each page, once, open or closed as it was.
func TestPagesOfOneDocument(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	const next = `"<h1>Another page</h1><p id=here></p>"`
	const run = `const line = document.createElement("script"); line.src = "{{chat}}widget.js"; line.async = true; document.body.append(line);`
	ways := map[string]string{
		"a new body":                 `{ const body = document.createElement("body"); body.innerHTML = ` + next + `; document.body.replaceWith(body); ` + run + ` }`,
		"a new body without line":    `{ const body = document.createElement("body"); body.innerHTML = ` + next + `; document.body.replaceWith(body); }`,
		"a copy of the body":         `{ document.body.replaceWith(document.body.cloneNode(true)); ` + run + ` document.body.insertAdjacentHTML("beforeend", "<p id=here></p>"); }`,
		"all that is in html":        `{ document.documentElement.innerHTML = "<head><title>Other</title></head><body>" + ` + next + ` + "</body>"; ` + run + ` }`,
		"html without line":          `{ document.documentElement.innerHTML = "<head><title>Other</title></head><body>" + ` + next + ` + "</body>"; }`,
		"a new html element":         `{ const html = document.createElement("html"); html.innerHTML = "<body>" + ` + next + ` + "</body>"; document.documentElement.replaceWith(html); ` + run + ` }`,
		"a copy of the html element": `{ document.documentElement.replaceWith(document.documentElement.cloneNode(true)); ` + run + ` document.body.insertAdjacentHTML("beforeend", "<p id=here></p>"); }`,
		"document.write":             `{ document.open(); document.write("<!doctype html><html><body>" + ` + next + ` + "<script src={{chat}}widget.js><\/script></body></html>"); document.close(); }`,
		"the button removed":         `{ document.querySelector("livesupport-chat").remove(); document.body.insertAdjacentHTML("beforeend", "<p id=here></p>"); }`,
	}
	shop := s.pages(map[string]string{"/": `<h1>Shop</h1>{{line}}`})
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			as := desktop
			as.script = tapped
			w := newWindow(t, as)
			w.visit(shop)
			w.asks("Nika", "one")
			for page := range 3 {
				get[any](w, fmt.Sprintf(`(() => { document.querySelector("#here")?.remove(); history.pushState(null, "", "/%d"); %s })()`, page, strings.ReplaceAll(way, "{{chat}}", s.chat)))
				w.until("the next page is there", `document.querySelector("#here")`)
				w.onlyOne()
				w.conversation("one")
				w.until("joined, by one socket", `$(".livesupport").dataset.state === "waiting" && sockets.size === 1`)
			}
			w.says("two")
			w.conversation("one", "two")
			w.click("header .tool:last-child")
			w.hides(".panel")
			get[any](w, `(() => { document.querySelector("#here")?.remove(); `+strings.ReplaceAll(way, "{{chat}}", s.chat)+` })()`)
			w.until("the last page is there", `document.querySelector("#here")`)
			w.onlyOne()
			w.until("still closed, and joined", `!shown($(".panel")) && $(".livesupport").dataset.state === "waiting" && sockets.size === 1`)
		})
	}
}

// TestPageThatRemovesTheButton: if a page removes the button again and again, the page wins, and
// the chat goes on elsewhere.
func TestPageThatRemovesTheButton(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	shop := s.pages(map[string]string{"/": `{{line}}<script>new MutationObserver(() => document.querySelector("livesupport-chat")?.remove()).observe(document.documentElement, { childList: true });</script>`})
	w := newWindow(t, noting())
	w.visit(shop)
	w.until("it gives up", `warnings.length > 0`)
	if said := w.warnings(); len(said) != 1 || !strings.Contains(said[0], "removes the chat again and again") {
		t.Errorf("the console says %q", said)
	}
	w.until("no button", `!document.querySelector("livesupport-chat")`)
}

// TestHiddenByThePage: a page may hide the chat.
func TestHiddenByThePage(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	w := newWindow(t, desktop)
	w.visit(s.pages(map[string]string{"/": `{{line}}`}) + "/")
	w.onlyOne()
	get[any](w, `void (document.querySelector("livesupport-chat").hidden = true)`)
	w.hides(".launcher")
	get[any](w, `void (document.querySelector("livesupport-chat").hidden = false)`)
	w.onlyOne()
}
