package browser_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestKeysStayInside: typing in the chat triggers no shortcut of the page, however the page
// listens.
func TestKeysStayInside(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	shop := s.pages(map[string]string{"/": `<body style="height: 3000px"><input id="q">{{line}}<script>
		window.seen = [];
		const shortcut = (event) => {
			if (/INPUT|TEXTAREA/.test(event.target.tagName)) return;
			seen.push(event.type + " " + (event.key ?? ""));
			event.preventDefault();
			event.stopImmediatePropagation();
			if (event.key === "/") q.focus();
		};
		for (const type of ["keydown", "keypress", "keyup", "beforeinput", "input", "paste", "copy", "contextmenu", "selectstart"]) {
			for (const target of [window, document, document.documentElement]) {
				target.addEventListener(type, shortcut);
				if (target !== window) target.addEventListener(type, (event) => /^key/.test(type) && shortcut(event), true);
			}
		}
	</script>`})
	w := newWindow(t, desktop)
	w.visit(shop)
	w.click(".launcher")
	w.click("#name")
	w.press("n a/?")
	w.until("all of it is in the field", `$("#name").value === "n a/?"`)
	w.press(kb.Tab)
	w.until("Tab leads on", `root.activeElement === $("#first")`)
	w.press("a b")
	w.press(kb.Home)
	w.press("/")
	w.until("the cursor keys work", `$("#first").value === "/a b"`)
	w.click(".start .primary")
	w.shows(".bubble", "/a b")
	w.click("#message")
	w.press("x y")
	w.press(kb.Enter)
	w.conversation("/a b", "x y")
	w.press(kb.Escape)
	w.hides(".panel")
	w.press(" ") // on the button
	w.shows(".panel", "x y")
	if seen := get[[]string](w, `seen`); len(seen) > 0 {
		t.Errorf("the page has seen %q", seen)
	}
	w.click("header .tool:last-child")
	w.until("the page has its keys elsewhere", `(root.activeElement.blur(), true)`)
	w.press("k")
	w.until("the page has seen it", `seen[0] === "keydown k"`)
}

// TestModalsThatKeepTheFocus tries dialogs that scripts of the page have made: they take the focus
// back, and swallow clicks beside them.
func TestModalsThatKeepTheFocus(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	shop := s.pages(map[string]string{"/": `<div id="modal" role="dialog"><button id="ok">OK</button></div>{{line}}<script>
		const modal = document.getElementById("modal");
		const back = (event) => {
			if (modal.contains(event.target)) return;
			event.preventDefault();
			event.stopImmediatePropagation();
			ok.focus();
		};
		for (const type of ["focus", "focusin", "mousedown", "pointerdown", "touchstart", "click"]) {
			document.addEventListener(type, back, { capture: true, passive: false });
			window.addEventListener(type, back);
		}
		for (const one of document.body.children) if (one !== modal) one.inert = true;
		ok.focus();
	</script>`})
	w := newWindow(t, desktop)
	w.visit(shop)
	w.asks("Nika", "one")
	w.says("two")
	w.conversation("one", "two")
	w.until("the focus is the chat's", `document.activeElement.tagName === "LIVESUPPORT-CHAT"`)
}

// TestClicksCountOnce: whatever the browser does after a click happens once.
func TestClicksCountOnce(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	agent := s.agent(desktop, "Vika")
	w := newWindow(t, desktop)
	w.visit(s.pages(map[string]string{"/": `{{line}}<script>window.clicks = 0; addEventListener("click", () => clicks++);</script>`}))
	w.click(".launcher")
	w.click(".start label:nth-of-type(1) span")
	w.until("a label leads to its field", `root.activeElement === $("#name")`)
	w.write("Nika")
	w.fill("#first", "see http://127.0.0.1:1/ there")
	w.click(".start .primary")
	w.shows(".bubble", "see ")
	w.write("two")
	w.click(".send")
	w.conversation("see http://127.0.0.1:1/ there", "two")
	agent.until("one visitor", `$$(".queue li").length === 1`)
	if clicks := get[int](w, `clicks`); clicks != 0 {
		t.Errorf("the page has seen %d clicks", clicks)
	}
}

// TestCorner: whatever a page does to its body or root, the button stays in the corner of the
// window, in its own size.
func TestCorner(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	styles := map[string]string{
		"filter on the body":     `body { filter: grayscale(1); }`,
		"transform on the body":  `body { transform: translateX(0); }`,
		"zoom on the body":       `body { zoom: 2; }`,
		"the body hidden":        `body { opacity: 0; visibility: hidden; }`,
		"the body in a box":      `html, body { height: 100%; overflow: hidden; } main { height: 100%; overflow: auto; }`,
		"contain on the body":    `body { contain: strict; height: 100px; }`,
		"transform on html":      `html { transform: translateX(0); }`,
		"will-change on html":    `html { will-change: transform; }`,
		"zoom on html":           `html { zoom: 1.5; }`,
		"a small root":           `html { font-size: 4px; }`,
		"right to left":          `html { direction: rtl; }`,
		"a flex root":            `html { display: flex; } body { margin: auto; }`,
		"a grid root with gaps":  `html { display: grid; gap: 90px; padding: 50px; }`,
		"children of html moved": `html > * { position: relative !important; top: 50px !important; margin: 40px !important; }`,
	}
	w := newWindow(t, desktop)
	for name, style := range styles {
		w.visit(s.pages(map[string]string{"/": `<style>` + style + `</style><main><div style="height: 3000px">Shop</div></main>{{line}}`}))
		w.onlyOne()
		corner := `(({ right, bottom, width, height }) => innerHeight - bottom === 16 && document.documentElement.clientWidth - right <= 16 && innerWidth - right >= 16 && width === 56 && height === 56)($(".launcher").getBoundingClientRect())`
		if name == "zoom on html" { // rectangles are in the html element's pixels
			corner = `$(".livesupport").currentCSSZoom === 1 && Math.abs(innerHeight - $(".launcher").getBoundingClientRect().bottom - 16) < 1`
		}
		w.until(name+": in the corner", corner)
		get[any](w, `void scrollTo(0, 1000)`)
		w.until(name+": still in the corner", corner)
		w.shot("corner-" + strings.ReplaceAll(name, " ", "-"))
		w.click(".launcher")
		w.until(name+": the panel is in the window", `(({ top, bottom, left, right, height }) => height > 0 && top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth)($(".panel").getBoundingClientRect())`)
	}
}

// TestOffsets: a page that has something in the corner moves the button.
func TestOffsets(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	bar := `<style>.bar { position: fixed; inset: auto 0 0 0; height: 60px; background: #eee; }</style><div class="bar"><button style="float: right" id="buy" onclick="this.textContent = 'Bought'">Buy</button></div>`
	at := func(bottom, side string) string {
		return `(({ right, bottom }) => innerHeight - bottom === ` + bottom + ` && document.documentElement.clientWidth - right === ` + side + `)($(".launcher").getBoundingClientRect())`
	}
	shop := s.pages(map[string]string{
		"/attributes": bar + s.line(`data-bottom="76px" data-side="2em"`),
		"/property":   bar + `<style>:root { --livesupport-bottom: 90px; } @media (max-width: 900px) { :root { --livesupport-bottom: 120px; --livesupport-side: 5px; } }</style>` + s.line(`data-bottom="76px"`),
		"/element":    bar + `<style>livesupport-chat { --livesupport-bottom: calc(60px + 1rem); }</style>{{line}}`,
		"/wrong":      bar + `<style>:root { --livesupport-side: much; }</style>` + s.line(`data-bottom="high"`),
	})
	w := newWindow(t, noting())
	w.visit(shop + "/attributes")
	w.until("above the bar", at("76", "30"))
	get[any](w, `void document.querySelector("#buy").click()`)
	w.click(".launcher")
	w.until("the panel is above the button", `$(".panel").getBoundingClientRect().bottom === $(".launcher").getBoundingClientRect().top - 16 && $(".panel").getBoundingClientRect().top >= 0`)
	w.shot("offsets")
	w.visit(shop + "/property")
	w.until("the style sheet counts before the attribute", at("90", "16"))
	w.visit(shop + "/element")
	w.until("at the element", at("76", "16"))
	w.visit(shop + "/wrong")
	w.until("in its place", at("16", "16"))
	if said := w.warnings(); len(said) != 2 || !strings.Contains(strings.Join(said, "\n"), "data-bottom is no length: high") || !strings.Contains(strings.Join(said, "\n"), "--livesupport-side is no length: much") {
		t.Errorf("the console says %q", said)
	}
}
