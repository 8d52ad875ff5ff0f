package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// languages are those of the pages, as the files have it.
func languages(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("../../../web/pages/languages")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".js"); ok {
			names = append(names, name)
		}
	}
	if len(names) < 16 {
		t.Fatalf("the languages are %q", names)
	}
	return names
}

// words returns the files of words that a page has loaded, apart from English.
func (w *window) words() []string {
	w.Helper()
	return get[[]string](w, `performance.getEntriesByType("resource").map(({ name }) => name.split("/languages/")[1]).filter((name) => name && !name.endsWith("en.js")).sort()`)
}

// speaks compares the texts of a page with a language's words.
func (w *window) speaks(language, selector, key string) {
	w.Helper()
	w.until(language+" "+key, fmt.Sprintf(`$(%q) && import(performance.getEntriesByType("resource").find(({ name }) => name.endsWith("languages/en.js") && !name.includes("console")).name.replace("/en.js", "/%s.js")).then(({ default: words }) => $(%[1]q).textContent === words[%[3]q])`, selector, language, key))
}

func direction(language string) string {
	if language == "ar" || language == "he" {
		return "rtl"
	}
	return "ltr"
}

// cutOff returns the buttons and labels whose words do not fit, or that are partly outside of the
// window.
const cutOff = `$$("button, h2, label, summary").filter(shown).filter((one) => !one.closest(".unseen, .log")).filter((one) => {
	const { left, right } = one.getBoundingClientRect();
	return one.scrollWidth > one.clientWidth + 1 && one.clientWidth || left < -0.5 || right > innerWidth + 0.5;
}).map((one) => one.textContent || one.getAttribute("aria-label"))`

// TestLanguages shows both pages in each language. No words of other languages are loaded, and no
// text is cut off.
func TestLanguages(t *testing.T) {
	t.Parallel()
	s := startSite(t, keeps(t, `{"form":[{"id":"order","label":{"en":"Order number"},"kind":"text","required":true}]}`))
	waiting := s.visitor(desktop)
	waiting.click(".launcher")
	waiting.fill("#name", "Nika")
	waiting.fill("#question-0", "1042")
	waiting.fill("#first", "one")
	waiting.click(".start .primary")
	waiting.shows(".status", "No agent is available at the moment.")
	visitor, agent := newWindow(t, phone), newWindow(t, look{width: 1280, height: 800})
	for _, language := range languages(t) {
		want := []string{language + ".js"}
		if language == "en" {
			want = []string{}
		}
		visitor.begins(strings.TrimSuffix(s.pages(map[string]string{"/": s.line(fmt.Sprintf("data-language=%q", language))}), "/"), "/")
		visitor.click(".launcher")
		visitor.speaks(language, ".other", "leaveInstead")
		visitor.until("its direction", fmt.Sprintf(`$(".livesupport").lang === %q && $(".livesupport").dir === %q`, language, direction(language)))
		if got := visitor.words(); !slices.Equal(got, want) {
			t.Errorf("%s: the widget has loaded %q", language, got)
		}
		visitor.click(".start .primary")
		visitor.speaks(language, "#name-problem", "nameNeeded")
		visitor.accessible(language)
		visitor.shot("widget-" + language)
		visitor.click(".other")
		visitor.speaks(language, ".start .primary", "leaveMessage")
		visitor.shot("widget-leave-" + language)
		if cut := get[[]string](visitor, cutOff); len(cut) > 0 {
			t.Errorf("%s: cut off in the widget: %q", language, cut)
		}

	}
	for _, language := range languages(t) {
		want := []string{"console/" + language + ".js", language + ".js"}
		if language == "en" {
			want = []string{}
		}
		agent.begins(strings.TrimSuffix(s.lobby, "/"), "/?lang="+language)
		agent.until("asked for the name", `document.activeElement === $("#name")`)
		agent.shot("console-sign-in-" + language)
		agent.fill("#name", "Vika")
		agent.press("\r")
		agent.shows(".queue .name", "Nika")
		agent.until("its direction", fmt.Sprintf(`document.documentElement.lang === %q && document.documentElement.dir === %q`, language, direction(language)))
		slices.Sort(want)
		if got := agent.words(); !slices.Equal(got, want) {
			t.Errorf("%s: the console has loaded %q", language, got)
		}
		agent.accessible(language)
		agent.shot("console-" + language)
		if cut := get[[]string](agent, cutOff); len(cut) > 0 {
			t.Errorf("%s: cut off in the console: %q", language, cut)
		}
	}
}

// TestLanguageOfTheBrowser: the first language that is asked for and exists counts, the page's
// before the browser's.
func TestLanguageOfTheBrowser(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	as := desktop
	as.language = "ca,it"
	w := newWindow(t, as)
	for _, one := range []struct{ page, line, want string }{
		{"pl", s.line(""), "pl"},
		{"pl", s.line(`data-language="uk-UA"`), "uk"},
		{"xx", s.line(""), "it"},
		{"xx", s.line(`data-language="iw"`), "he"},
		{"", s.line(`data-language="zh-Hant-TW"`), "zh"},
	} {
		w.begins(strings.TrimSuffix(s.pages(map[string]string{"/": fmt.Sprintf(`<script>document.documentElement.lang = %q</script>%s`, one.page, one.line)}), "/"), "/")
		w.until(one.page+" "+one.line, fmt.Sprintf(`$(".livesupport")?.lang === %q`, one.want))
	}
	// The next page of the same document may have another one; within a page the first line counts.
	get[any](w, fmt.Sprintf(`(() => {
		history.pushState(null, "", "/next");
		for (const language of ["ka", "tr"]) {
			const line = Object.assign(document.createElement("script"), { src: %q, async: false });
			line.dataset.language = language;
			document.head.append(line);
		}
	})()`, s.chat+"widget.js"))
	w.until("the next page's", `$(".livesupport")?.lang === "ka" && document.querySelectorAll("livesupport-chat").length === 1`)
}

// TestWordsThatCannotBeHad: if the file of its language cannot be loaded, a page speaks English.
func TestWordsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	for name, answer := range map[string]http.HandlerFunc{
		"missing": http.NotFound,
		"broken": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			fmt.Fprint(w, "export default {")
		},
		"late": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := func(address, file string) string {
				to, err := url.Parse(address)
				if err != nil {
					t.Fatal(err)
				}
				proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, file) {
						answer(w, r)
						return
					}
					proxy.ServeHTTP(w, r)
				}))
				t.Cleanup(func() {
					server.CloseClientConnections() // what is late is over
					server.Close()
				})
				return server.URL
			}
			as := noting()
			as.language = "de"
			visitor := newWindow(t, as)
			visitor.visit(s.pages(map[string]string{"/": fmt.Sprintf(`<script src="%s/widget.js" data-language="de"></script>`, behind(s.chat, "/languages/de.js"))}))
			visitor.click(".launcher")
			visitor.until("English", `$(".livesupport").lang === "en" && $(".panel h2").textContent === "Chat with us"`)
			visitor.until("it says so", `warnings.some((one) => one.includes('the words of the language "de" cannot be had'))`)
			agent := newWindow(t, as)
			agent.visit(behind(s.lobby, "/languages/console/de.js"))
			agent.until("English", `document.documentElement.lang === "en" && document.title === "Support console" && document.activeElement === $("#name")`)
			for _, w := range []*window{visitor, agent} {
				w.mu.Lock()
				w.problems = nil // the browser says it, too
				w.mu.Unlock()
			}
		})
	}
}
