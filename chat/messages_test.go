package chat

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden compares every message that the chat server sends with a file of
// testdata: the protocol, byte by byte.
func TestGolden(t *testing.T) {
	const support = "7c270542e64a4dfbb2bc1c7793746674"
	var waiting log.State
	waiting.Apply(log.Event{
		Kind: log.Registered, At: 1697998738000000, Username: "Nika",
		UserID: "9d6d2db0cdb84d8ba67105670d94d641", ChatID: "d2464b5386044daf9e36ffd414260f67",
	})
	taken := waiting
	taken.Apply(log.Event{Kind: log.SupportJoined, At: 1697998738000001, SupportID: support, SupportName: "Vika"})
	talk := taken
	talk.Apply(log.Event{Kind: log.Messaged, ID: "1", At: 1697998739360855, From: log.RoleUser, Content: "hey", MessageID: "m-1"})
	talk.Apply(log.Event{Kind: log.Messaged, ID: "2", At: 1697998759000000, From: log.RoleSupport, SupportID: support,
		Content: "<&> \"quoted\" \\ \x00\n \u2028 \U0001F600"})
	early := waiting
	early.Apply(log.Event{Kind: log.Messaged, ID: "1", At: 1697998739000000, From: log.RoleUser, Content: "anybody there?"})

	given := talk
	given.Apply(log.Event{Kind: log.Released, At: 1697998759500000, From: log.RoleSupport, SupportID: support, SupportName: "Vika", Content: "canary"})
	lost := given.Released()
	lost.Lost = true

	sent := taken
	for i, name := range []string{"screen \"1\".png", "bill.pdf"} {
		id := strings.Repeat(string('a'+rune(i)), 32)
		sent.Apply(log.Event{Kind: log.Uploaded, ID: "u" + id, At: 1697998739000000, From: log.RoleUser, Seq: 50, Files: &log.Files{{
			ID: id, Name: name, Type: []string{"image/png", "application/pdf"}[i], Size: 1234, URL: "/files/" + id, Address: "https://chat.example.com/files/" + id,
		}}})
	}
	sent.Apply(log.Event{Kind: log.Messaged, ID: "1", At: 1697998739360855, From: log.RoleUser, Content: "look", MessageID: "m-1", Files: carried([]string{sent.Uploads[0].ID, sent.Uploads[1].ID})})
	sent.Apply(log.Event{Kind: log.Messaged, ID: "2", At: 1697998739360855, From: log.RoleUser, Files: carried([]string{sent.Uploads[1].ID, sent.Uploads[1].ID})})

	over := talk
	over.Apply(log.Event{Kind: log.Rated, At: 1697998760000000, Score: 5, Content: "quick and friendly"})
	rated := over.Rating
	over.Apply(log.Event{Kind: log.Closed, At: 1697998761000000, From: log.RoleUser})

	for name, payload := range map[string][]byte{
		"UserJoined":            userJoinedPayload(&waiting),
		"SupportJoinedUser":     supportJoinedPayload(&taken),
		"ChatMessage":           appendMessagePayload(nil, &talk, &talk.Messages[0], 0),
		"ChatMessage-messageId": appendMessagePayload(nil, &talk, &talk.Messages[0], featureMessageID),
		"ChatMessage-waiting":   appendMessagePayload(nil, &early, &early.Messages[0], featureMessageID),
		"ChatMessage-escapes":   appendMessagePayload(nil, &talk, &talk.Messages[1], 0),
		"ChatHistory":           historyPayload(&talk, 0),
		"ChatHistory-messageId": historyPayload(&talk, featureMessageID),
		"ChatHistory-empty":     historyPayload(&taken, 0),
		"ChatMessage-receipts":  appendMessagePayload(nil, &talk, &talk.Messages[1], featureReceipts),
		"ChatHistory-all":       historyPayload(&talk, ofMessages),
		"ChatMessage-files":     appendMessagePayload(nil, &sent, &sent.Messages[0], featureFiles),
		"ChatMessage-lines":     appendMessagePayload(nil, &sent, &sent.Messages[0], 0),
		"ChatMessage-only-file": appendMessagePayload(nil, &sent, &sent.Messages[1], featureFiles|featureReceipts),
		"ChatMessage-only-line": appendMessagePayload(nil, &sent, &sent.Messages[1], 0),
		"ChatHistory-files":     historyPayload(&sent, ofMessages),
		"Receipt":               receiptPayload(log.RoleUser, mark{Delivered: 17, Read: 15}),
		"ChatClosed":            chatClosedPayload(&over),
		"Note":                  notePayload(log.Note{SupportID: support, SupportName: "Vika", Content: "a \"difficult\" one", At: rated.At}),
		"Note-observer":         notePayload(log.Note{SupportName: "Boss", Content: "be kind", At: rated.At}),
		"SupportLeft":           supportLeftPayload(given.Released()),
		"SupportLeft-lost":      supportLeftPayload(lost),
		"Rated":                 ratedPayload(rated),
		"Rated-no-comment":      ratedPayload(log.Rating{Score: 1, At: rated.At}),
		"ChatExpired":           chatExpiredPayload(waiting.ChatID),
		"Queue":                 queuePayload(stands{position: 3, waiting: 12, estimate: 95}),
		"Queue-unknown":         queuePayload(stands{position: 1, waiting: 1, estimate: -1}),
		"Error":                 wire.ErrUnavailable.Payload(""),
		"Error-messageId":       errFull.Payload("m-1"),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, append(payload, '\n'), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(payload)+"\n" != string(want) {
				t.Errorf("got\n%s\nwant\n%s", payload, want)
			}
			if _, _, err := wire.Decode(payload); err != nil {
				t.Errorf("not a message: %v", err)
			}
		})
	}
}
