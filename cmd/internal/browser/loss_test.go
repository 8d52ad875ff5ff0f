package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"

	"livesupport/cmd/internal/backend"
)

func TestNetworkOffAndOn(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.couple()

	visitor.offline(true)
	visitor.shows(".status", "Connection lost. Reconnecting…")
	visitor.says("two")
	visitor.says("three")
	visitor.shows(".outbox .fate", "Will be sent when you’re back online")
	agent.says("four")
	agent.says("five")
	agent.conversation("one", "four", "five")

	visitor.offline(false)
	visitor.connected()
	all := []string{"one", "four", "five", "two", "three"}
	visitor.conversation(all...)
	agent.conversation(all...)

	// The agent's network goes, and the page is loaded anew before it is back.
	agent.offline(true)
	agent.shows(".state", "Offline")
	agent.shows(".lobby", "Offline")
	agent.says("six")
	visitor.says("seven")
	agent.offline(false)
	agent.reload()
	agent.connected()
	all = append(all, "seven", "six")
	visitor.until("both messages are there", `$$(".messages .bubble").length === 7`)
	if get[string](visitor, `$$(".messages .bubble")[5].textContent`) == "six" {
		all[5], all[6] = "six", "seven" // the agent was back first
	}
	visitor.conversation(all...)
	agent.conversation(all...)
}

func TestServerGoesAndComes(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.couple()
	s.restart()
	for _, w := range []*window{visitor, agent} {
		w.connected()
	}
	visitor.says("two")
	agent.says("three")
	visitor.conversation("one", "two", "three")
	agent.conversation("one", "two", "three")
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.ChatTTL = 4 * time.Second })
	// The pages themselves note what is there for seconds only.
	noting := desktop
	noting.script = `setInterval(() => {
		const root = document.querySelector("livesupport-chat")?.shadowRoot ?? document;
		window.warned ||= root.querySelector(".warning:not([hidden]), .talk .life.near")?.textContent;
	}, 100)`
	visitor, agent := s.visitor(noting), s.agent(noting, "Vika")
	visitor.asks("Nika", "one")
	agent.click(".queue button")
	visitor.shows(".status", "This chat ended because there were no new messages.")
	visitor.until("warned of the end", `/^This chat will end in 0:0\d unless someone writes\.$/.test(window.warned)`)
	visitor.until("it was read out", `/^This chat will end in/.test($(".unseen[aria-live=polite]").textContent)`)
	agent.until("the countdown was near its end", `/^Ends in 0:0\d unless someone writes$/.test(window.warned)`)
	agent.shows(".state", "This chat ended because there were no new messages.")
	visitor.hides(".composer")
	agent.hides(".composer")
	visitor.shows(".bubble", "one") // may still be read
	visitor.accessible("ended")
	visitor.shot("visitor-ended")
	agent.accessible("ended")
	agent.shot("agent-ended")

	// A new one, with the name that is known.
	visitor.click(".over .primary")
	visitor.until("the name is there", `$("#name").value === "Nika" && root.activeElement === $("#first")`)
	visitor.write("once more")
	visitor.click(".start .primary")
	agent.click(".queue button")
	agent.until("the second conversation is there", `$$(".tab").length === 2`)

	// It ends while the page is away.
	visitor.visit("about:blank")
	agent.until("ended", `$(".state").dataset.state === "ended"`)
	agent.click(".talk > header .quiet")
	agent.until("the ended one is closed without a question", `$$(".tab").length === 1`)
	visitor.visit(s.chat)
	visitor.shows(".status", "This chat ended")
	visitor.reload()
	visitor.until("a fresh start", `shown($("#name"))`)
}

// frozen stops a window's code, timers and all, as a machine that sleeps does, or
// lets it go on.
func (w *window) frozen(yes bool) {
	w.Helper()
	state := page.SetWebLifecycleStateStateActive
	if yes {
		state = page.SetWebLifecycleStateStateFrozen
	}
	// A page that has the focus is never frozen.
	call(w, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: !yes})
	call(w, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
}

// cutsOff waits until the server has closed every socket of a role.
func (s *site) cutsOff(role string) {
	s.Helper()
	none := fmt.Sprintf("\nlivesupport_connections{role=%q} 0\n", role)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		response, err := http.Get(s.chat + "metrics")
		if err != nil {
			s.Fatal(err)
		}
		figures, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			s.Fatal(err)
		}
		if strings.Contains(string(figures), none) {
			return
		}
	}
	s.Fatalf("the server still has a socket of a %s", role)
}

// A lid is closed for longer than the server keeps a silent socket, with a
// message under way.
func TestLidClosed(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(cfg *backend.Config) { cfg.IdleTimeout = 3 * time.Second })
	visitor, agent := s.couple()
	visitor.offline(true)
	visitor.says("two")
	visitor.frozen(true)
	agent.says("three")
	agent.conversation("one", "three")
	s.cutsOff("user")
	agent.says("four")
	agent.conversation("one", "three", "four")

	visitor.offline(false)
	visitor.frozen(false)
	visitor.connected()
	all := []string{"one", "three", "four", "two"}
	visitor.conversation(all...)
	agent.conversation(all...)

	// Once more with a network that stays: it is the server that ends the socket.
	visitor.frozen(true)
	s.cutsOff("user")
	agent.says("five")
	visitor.frozen(false)
	visitor.says("six")
	all = append(all, "five", "six")
	visitor.conversation(all...)
	agent.conversation(all...)
}
