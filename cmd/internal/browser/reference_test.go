package browser_test

import (
	"flag"
	"fmt"
	"testing"
)

// TestReference: the page that shows the contract has every message, route and event of
// both documents, leads everywhere it says, fits a phone, and can be used without eyes
// or a mouse.
func TestReference(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	narrow := phone
	narrow.width = 360
	for name, as := range map[string]look{"desktop": desktop, "phone": narrow} {
		for _, dark := range []bool{false, true} {
			as.dark = dark
			for port, address := range map[string]string{"chat": s.chat, "lobby": s.lobby} {
				w := newWindow(t, as)
				w.visit(address + "api")
				w.until("it is there", `document.querySelectorAll("article").length > 50`)
				w.accessible(fmt.Sprintf("%s, %s, dark=%t", port, name, dark))
				w.until("nothing is wider than the window", `document.documentElement.scrollWidth <= innerWidth`)
				for _, fault := range get[[]string](w, `(async () => {
					const [asyncapi, openapi] = await Promise.all(["asyncapi", "openapi"].map(async (name) => (await fetch(name + ".json")).json()));
					const wanted = [...Object.values(asyncapi.channels).flatMap(({ messages }) => Object.values(messages).map(({ name }) => name)),
						...Object.keys(openapi.webhooks), ...Object.keys(openapi.paths)];
					const headings = [...document.querySelectorAll("h3 code")].map(({ textContent }) => textContent.replace(/^[A-Z]+ /, ""));
					return [...wanted.filter((name) => !headings.includes(name)).map((name) => "missing: " + name),
						...[...document.querySelectorAll('a[href^="#"]')].filter((a) => !document.getElementById(a.hash.slice(1))).map((a) => "leads nowhere: " + a.hash),
						...(document.body.innerText.match(/undefined|\[object Object\]|NaN/g) ?? [])];
				})()`) {
					t.Error(fault)
				}
			}
		}
	}
}

// TestReferenceWithoutDocuments says so.
func TestReferenceWithoutDocuments(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = `globalThis.fetch = async () => new Response("", { status: 503 });`
	w := newWindow(t, as)
	w.visit(s.lobby + "api")
	w.shows("[role=alert]", "could not be loaded")
}

// TestReferencePictures takes pictures of the page: see TestPictures.
func TestReferencePictures(t *testing.T) {
	if flag.Lookup("test.artifacts").Value.String() != "true" {
		t.Skip("nobody asks for pictures with -artifacts")
	}
	t.Parallel()
	s := startSite(t, nil)
	narrow := phone
	narrow.width, narrow.dark = 360, true
	for name, as := range map[string]look{"wide": {width: 1280, height: 800}, "phone-dark": narrow} {
		for place, hash := range map[string]string{"top": "", "message": "#chat-client.Join", "route": "#route-leaveMessage", "event": "#event-chat.message"} {
			w := newWindow(t, as)
			w.visit(s.chat + "api" + hash)
			w.until("it is there", `document.querySelector("article")`)
			w.shot("reference-" + name + "-" + place)
		}
	}
}
