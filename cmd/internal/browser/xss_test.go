package browser_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Texts that become code where a page takes them for HTML, an attribute, a
// template, a URL or a part of a script.
var payloads = []string{
	`<script>pwned()</script>`,
	`<img src=x onerror=pwned()>`,
	`<svg onload=pwned()>`,
	`<svg/onload=pwned()//`,
	`"><img src=x onerror=pwned()>`,
	`'><svg onload=pwned()>`,
	`" onmouseover="pwned()" x="`,
	`' autofocus onfocus=pwned() x='`,
	`</title><script>pwned()</script>`,
	`</script><script>pwned()</script>`,
	`</textarea><img src=x onerror=pwned()>`,
	`<iframe srcdoc="<script>parent.pwned()</script>">`,
	`<iframe src=javascript:parent.pwned()>`,
	`<a href=javascript:pwned() autofocus>x</a>`,
	`<details open ontoggle=pwned()>`,
	`<input autofocus onfocus=pwned()>`,
	`<math><mtext><img src onerror=pwned()>`,
	`<template><img src=x onerror=pwned()></template>`,
	`<style>@import 'javascript:pwned()';</style>`,
	`<base href=//evil.example/>`,
	`<meta http-equiv=refresh content=0;url=//evil>`,
	`<!--><img src=x onerror=pwned()>-->`,
	`<<script>pwned()//<</script>`,
	`&lt;img src=x onerror=pwned()&gt;`,
	`\u003cimg src=x onerror=pwned()\u003e`,
	`%3Cimg src=x onerror=pwned()%3E`,
	`javascript:pwned()`,
	`jaVasCript:/*-/*'/*\"/**/(pwned())//`,
	`data:text/html,<script>pwned()</script>`,
	`${pwned()}{{pwned()}}#{pwned()}`,
	`{{constructor.constructor('pwned()')()}}`,
	`'-pwned()-'";pwned();//`,
	`__proto__`,
	"\u202e<img src=x onerror=pwned()>\u2066",
	`https://x.example/"onmouseover="pwned()`,
	`https://x.example/'><img src=x onerror=pwned()>`,
	`http://javascript:pwned()@x.example/`,
	`https://x.example/#<svg onload=pwned()>`,
}

// watched runs before a page's own code, and remembers what must not happen.
const watched = `window.happened = [];
	window.pwned = window.alert = window.confirm = window.prompt = () => window.happened.push("code ran");
	document.addEventListener("securitypolicyviolation", (event) => window.happened.push(event.violatedDirective + " " + event.sample));`

// harmless looks for what a payload may have left in a page.
func (w *window) harmless() {
	w.Helper()
	for _, found := range get[[]string](w, `[...window.happened,
		...$$("iframe, base, math, template, details:not(.facts > details, .earlier-chats), img, [onerror], [onload], [onfocus], [onmouseover], [srcdoc]").map((one) => one.outerHTML),
		...$$("a[href]").filter(({ protocol }) => !/^https?:$/.test(protocol)).map((one) => one.outerHTML)]`) {
		w.Errorf("in %s: %s", get[string](w, "location.href"), found)
	}
}

// TestNothingIsHTML: names and messages are shown as they are, and nothing of them
// becomes part of a page.
func TestNothingIsHTML(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.script = watched
	list, err := json.Marshal(payloads)
	if err != nil {
		t.Fatal(err)
	}

	// The agent's own name, and a visitor's that is well known to be short.
	const agentName, visitorName = `<img src=x onerror=pwned()>Vika`, `"><svg onload=pwned()>Nika`
	agent := newWindow(t, as)
	agent.visit(s.lobby)
	agent.signsIn(agentName)
	agent.shows(".me", agentName)
	visitor := s.visitor(as)
	visitor.asks(visitorName, payloads[0])
	agent.shows(".queue .name", visitorName)
	agent.click(".queue button")
	agent.connected()
	visitor.shows(".status", "You’re chatting with "+agentName)

	// Every payload as a message; both sides show those of both.
	for _, text := range payloads[1:] {
		visitor.says(text)
	}
	// Whoever writes first comes first: the agent waits for the visitor's.
	agent.until("the visitor's messages are there", fmt.Sprintf(`$$(".messages .bubble").length === %d`, len(payloads)))
	for _, text := range payloads[:5] {
		agent.says(text)
	}
	asWritten := fmt.Sprintf(`((all) => $$(".messages .bubble").length === all.length + 5 &&
		$$(".messages .bubble").every((one, i) => one.textContent === all[i %% all.length] && one.querySelectorAll(":not(p, a, br)").length === 0))(%s)`, list)
	for _, one := range []*window{visitor, agent} {
		one.until("all messages are there as they were written", asWritten)
		one.harmless()
	}
	// And as history.
	visitor.reload()
	agent.reload()
	for _, one := range []*window{visitor, agent} {
		one.until("all messages are there after a reload", asWritten)
		one.harmless()
	}

	// Every payload as a name: in the queue, and that of a conversation.
	count := get[int](visitor, fmt.Sprintf(`import(%q + "client.js").then(async ({ Chat, register }) => {
		const names = %s.filter((name) => [...name].length <= 64);
		for (const name of names) new Chat(%q, await register(%q, name, "", { details: { page: name, referrer: name, language: name.slice(0, 35), fields: { [name]: name } } })).open();
		return names.length;
	})`, s.chat, list, s.chat, s.chat))
	agent.until("all names are in the queue as they were written", fmt.Sprintf(`$$(".queue .name").length === %d &&
		$$(".queue .name").every((one) => %s.includes(one.textContent) && one.children.length === 0)`, count, list))
	agent.harmless()
	for range 3 {
		agent.click(".queue button")
		agent.connected()
		agent.harmless()
	}
}
