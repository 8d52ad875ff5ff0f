package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

// requirePython is the environment variable that makes a missing Python a failure: 1.
const requirePython = "LIVESUPPORT_REQUIRE_PYTHON"

// TestScenarioContract: a program in another language that knows only the contract holds a
// conversation on both ports and receives the webhooks.
func TestScenarioContract(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	switch {
	case err == nil:
	case os.Getenv(requirePython) == "1":
		t.Fatalf("%s=1, but there is no python3", requirePython)
	default:
		t.Skip("there is no python3")
	}
	ctx, cancel := context.WithTimeout(t.Context(), slowness*2*time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, python, "testdata/receiver.py")
	program.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var complaints bytes.Buffer
	program.Stderr = &complaints
	in, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = program.Process.Kill() // it has ended, mostly
		_ = program.Wait()
		if t.Failed() {
			t.Log(complaints.String())
		}
	}()
	lines := bufio.NewScanner(out)
	read := func(to any) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it says nothing more: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), to); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
	}
	var first struct{ Webhook string }
	read(&first)
	d := places[0].start(t, func(c *backend.Config) {
		c.WebhookURLs, c.WebhookSecrets, c.WebhookAllowPrivate = []string{first.Webhook}, []string{hookSecret}, true
		c.TypingPreview = true
	})
	if _, err := fmt.Fprintf(in, `{"chat":%q,"lobby":%q,"secret":%q}`+"\n", d.chats[0], d.lobbies[0], hookSecret); err != nil {
		t.Fatal(err)
	}
	var last struct{ Events, Again int }
	read(&last)
	if last.Events != 6 || last.Again == 0 {
		t.Errorf("it says %+v", last)
	}
}

func TestScenarioContractOnBothPorts(t *testing.T) {
	t.Parallel()
	tune := func(c *backend.Config) { c.AgentSecret, c.VisitorSecret = agentSecret, visitorSecret }
	inEveryPlace(t, shared(tune, scenarios{
		"the documents and the page that shows them": func(w *world) {
			for _, addr := range slices.Concat(w.chats, w.lobbies) {
				for path, version := range map[string]string{"/asyncapi.json": "asyncapi", "/openapi.json": "openapi"} {
					if got := w.expectJSON(w.get(addr, path), 200); got[version] == nil {
						w.Errorf("%s has no %s", path, version)
					}
				}
				page := w.get(addr, "/api")
				assets := regexp.MustCompile(`"(assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
				if page.status != 200 || len(assets) < 3 {
					w.Fatalf("%d %s", page.status, page.body)
				}
				for _, asset := range assets {
					if r := w.get(addr, "/"+asset[1]); r.status != 200 {
						w.Errorf("%s: %d", asset[1], r.status)
					}
				}
			}
		},
		"a visitor's token has the name, with a body too": func(w *world) {
			token := visitorSigner.sign(visitorClaims("Nika"))
			w.registered("Nika", w.post(w.nextChat(), "/user/join/", `{"team":"billing"}`, "Authorization", "Bearer "+token))
		},
		"whether a token is good": func(w *world) {
			good := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}.sign(claimsOf("vika", "Vika"))
			for token, want := range map[string]bool{good: true, "rubbish": false} {
				if got := w.expectJSON(w.get(w.nextLobby(), "/token", "Livesupport-Token", token), 200); got["good"] != want {
					w.Errorf("%v", got)
				}
			}
		},
	}))
}
