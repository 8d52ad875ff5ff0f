package webhook_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livesupport/chat/log"
	"livesupport/chat/webhook"
)

var update = flag.Bool("update", false, "write the golden files anew")

const canary = "canary-that-sings"

// entries is a chat in which everything happens that can.
var entries = []log.Event{
	{Kind: log.Registered, At: 1700000000000000, UserID: "u1", Username: "Nika <&>", ChatID: "c1", Team: "billing", Content: `{"page":"https://shop.example/"}`},
	{Kind: log.Consented, At: 1700000000000000, Content: `{"text":"yes"}`},
	{Kind: log.Attended, At: 1700000001000000, Server: "A", Fold: log.Version},
	{Kind: log.Announced, ID: "a1", At: 1700000001000001},
	{Kind: log.Announced, ID: "a2", At: 1700000001000002}, // of another server
	{Kind: log.Messaged, ID: "1", At: 1700000002000000, From: log.RoleUser, Content: "hello?\n\u2028 \U0001F600", MessageID: "m\"1"},
	{Kind: log.Messaged, ID: "2", At: 1700000002000000, From: log.RoleUser, Content: "again", MessageID: "m\"1"},
	{Kind: log.SupportJoined, ID: "j1", At: 1700000003000000, SupportID: "s1", SupportName: "Vika"},
	{Kind: log.SupportJoined, ID: "j2", At: 1700000003000001, SupportID: "s2", SupportName: "Ana"}, // too late
	{Kind: log.Messaged, ID: "3", At: 1700000001500000, From: log.RoleSupport, SupportID: "s1", Content: "hi"},
	{Kind: log.Messaged, ID: "4", At: 1700000004000000, From: log.RoleSupport, SupportID: "s2", Content: "fenced"},
	{Kind: log.Noted, ID: "n1", At: 1700000005000000, From: log.RoleSupport, SupportID: "s1", SupportName: "Vika", Content: canary},
	{Kind: log.Read, At: 1700000006000000, From: log.RoleUser, Seq: 2},
	{Kind: log.Released, ID: "r1", At: 1700000007000000, From: log.RoleSupport, SupportID: "s1", SupportName: "Vika", Agent: "ana", Content: canary},
	{Kind: log.SupportJoined, ID: "j3", At: 1700000008000000, SupportID: "s3", SupportName: "Ana", Agent: "ana"},
	{Kind: log.Released, ID: "r2", At: 1700000009000000, SupportID: "s3", Lost: true, Seq: 3},
	{Kind: log.Noted, ID: "n2", At: 1700000009500000, From: log.RoleObserver, SupportName: "Boss", Content: canary},
	{Kind: log.SupportJoined, ID: "j4", At: 1700000010000000, SupportID: "s3", SupportName: "Ana", Agent: "ana", Seq: 4},
	{Kind: log.Rated, At: 1700000011000000, Score: 2},
	{Kind: log.Rated, At: 1700000012000000, Score: 5, Content: "fine"},
	{Kind: log.Uploaded, ID: "f", At: 1700000012500000, From: log.RoleUser, Seq: 9, Files: &log.Files{{ID: "f1", Name: "a.png", Type: "image/png", Size: 7, URL: "/files/f1", Address: "https://chat.example/files/f1"}}},
	{Kind: log.Messaged, ID: "5", At: 1700000012600000, From: log.RoleUser, Files: &log.Files{{ID: "f1"}}},
	{Kind: "of the future", At: 1700000013000000, Content: canary},
}

// told is what a log tells, a line for each event.
func told(chat string, entries []log.Event) string {
	var b strings.Builder
	var lines []string
	for _, e := range entries {
		lines = append(lines, string(e.Encode()))
	}
	for _, event := range webhook.OfLog(chat, lines) {
		b.WriteString(event.ID + " " + string(event.Body) + "\n")
	}
	return b.String()
}

func TestEvents(t *testing.T) {
	closed := append(entries[:len(entries):len(entries)],
		log.Event{Kind: log.Closed, ID: "c", At: 1700000014000000, From: log.RoleObserver},
		log.Event{Kind: log.Rated, At: 1700000015000000, Score: 1},
		log.Event{Kind: log.Ended, At: 1700000134000000})
	expired := append(entries[:4:4], log.Event{Kind: log.Ended, At: 1700000121000000})
	got := told("c1", closed) + told("c2", expired)
	path := filepath.Join("testdata", "events.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if strings.Contains(got, canary) {
		t.Error("a note has left")
	}
}

// A store that has lost the end of a log gives its positions again, to other events. Their ids are others, too, and
// so are those of what follows. What is before that keeps its ids, whatever the registration says by now.
func TestIDsAfterALoss(t *testing.T) {
	ids := func(entries ...log.Event) (ids []string) {
		for line := range strings.Lines(told("c1", entries)) {
			id, _, _ := strings.Cut(line, " ")
			ids = append(ids, id)
		}
		return ids
	}
	say := func(id string) log.Event {
		return log.Event{Kind: log.Messaged, ID: id, At: 1700000002000000, From: log.RoleUser, Content: id}
	}
	registered := entries[0]
	replaced := registered
	replaced.Kind, replaced.Fold = log.RegisteredFor, log.Version
	before, after := ids(registered, say("a"), say("b"), say("z")), ids(replaced, say("a"), say("c"), say("z"))
	if len(before) != 3 || len(after) != 3 || before[0] != after[0] || before[1] == after[1] || before[2] == after[2] {
		t.Errorf("before %q, after %q", before, after)
	}
}
