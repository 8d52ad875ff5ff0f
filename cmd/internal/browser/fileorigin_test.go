package browser_test

import (
	"fmt"
	"image/color"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"livesupport/cmd/internal/backend"
)

// TestFilesUnderAPolicy: all that a page's policy has to allow for pictures is where
// they come from; without it their names stand in their places.
func TestFilesUnderAPolicy(t *testing.T) {
	t.Parallel()
	s := startSite(t, inFolder(t))
	strict := "policy: default-src 'none'; script-src {{chat}}; connect-src {{chat}} ws://" + strings.TrimSuffix(strings.TrimPrefix(s.chat, "http://"), "/") + "; require-trusted-types-for 'script'; trusted-types 'none'; img-src "
	shop := s.pages(map[string]string{"/allowed": strict + "data: {{chat}}\n<h1>Shop</h1>{{line}}", "/not": strict + "data:\n<h1>Shop</h1>{{line}}"})
	agent := s.agent(desktop, "Vika")
	allowed := newWindow(t, desktop)
	allowed.visit(shop + "/allowed")
	allowed.asks("Nika", "one")
	agent.takes("Nika")
	allowed.takesFiles()
	allowed.gives("pasted", sent{"image.png", "image/png", picture(40, 40, color.RGBA{0, 120, 0, 255})})
	allowed.ready(1)
	allowed.click(".send")
	allowed.loaded(1)
	agent.loaded(1)

	as := noting()
	not := newWindow(t, as)
	not.visit(shop + "/not")
	not.asks("Dodo", "two")
	not.takesFiles()
	not.gives("pasted", sent{"image.png", "image/png", picture(40, 40, color.RGBA{0, 120, 0, 255})})
	not.ready(1)
	not.click(".send")
	not.shows(".picture.missing", "image.png")
	not.until("its place is the same", `(({ width, height }) => width === 208 && height === 156)($(".picture").getBoundingClientRect())`)
	not.shot("visitor-picture-not-allowed")
	not.until("it says so", `warnings.some((one) => one.includes("to its img-src"))`)
	not.mu.Lock()
	not.problems = nil // the browser says it too
	not.mu.Unlock()
}

// TestFilesOfAnotherHost: where files come from a host of their own, both sides show
// pictures from there, and an address that is opened leads there.
func TestFilesOfAnotherHost(t *testing.T) {
	t.Parallel()
	behind := httptest.NewUnstartedServer(nil)
	origin := "http://" + behind.Listener.Addr().String()
	folder := inFolder(t)
	s := startSite(t, func(cfg *backend.Config) {
		folder(cfg)
		cfg.FilesOrigin = origin
	})
	to, err := url.Parse(s.chat)
	if err != nil {
		t.Fatal(err)
	}
	behind.Config.Handler = httputil.NewSingleHostReverseProxy(to)
	behind.Start()
	t.Cleanup(behind.Close)
	visitor, agent := s.couple()
	visitor.takesFiles()
	visitor.gives("pasted", sent{"image.png", "image/png", picture(40, 40, color.RGBA{0, 120, 0, 255})})
	visitor.ready(1)
	visitor.click(".send")
	for _, w := range []*window{visitor, agent} {
		w.loaded(1)
		w.until("it comes from there", fmt.Sprintf(`$(".picture").href.startsWith("%[1]s/files/") && $(".picture img").src.startsWith("%[1]s/files/")`, origin))
	}
	if _, kind := agent.download(`$(".picture").href`); kind != "image/png" {
		t.Errorf("it comes as %s", kind)
	}
}
