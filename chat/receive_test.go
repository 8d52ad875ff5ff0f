package chat

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// FuzzReceive sends one frame of anything in a chat: it gets one answer, or none
// if it answers the heartbeat; what is taken comes back byte for byte, or as what
// its messageId was first used for.
func FuzzReceive(f *testing.F) {
	for _, frame := range []string{
		`{"type":"ChatMessage","args":{"from":"User","content":"hey"}}`,
		`{"type":"ChatMessage","args":{"from":"User","content":"\u0000 é😀\\\"<>&  ","messageId":"1"}}`,
		`{"type":"ChatMessage","args":{"from":"User","content":"x","messageId":""}}`,
		`{"type":"ChatMessage","args":{"from":"Support","content":"x","supportId":"y"}}`,
		`{"type":"ChatMessage","args":{"from":"User","content":"\ud800"}}`,
		`{"type":"Join","args":{"userId":"x","from":"User","features":["messageId",1]}}`,
		`{"type":"Pong","args":{"from":"User"}}`,
		`pong:user`,
		`{"type":"ChatMessage","type":"Pong","args":[]}`,
		`{"type":"Pong","type":"ChatMessage","args":{"from":"User","content":"Typing"}}`,
		`{"type":"Typing","args":{"typing":"true"}}`,
		`{"type":"Typing","args":{}}`,
		`[]`,
	} {
		f.Add([]byte(frame))
	}
	s := deploy(f, 1, time.Hour, 1).services[0]
	s.cfg.MessageRate = 0
	var user *peer
	var firsts map[string]string // by messageId, what a repetition is answered with
	messages := log.MaxMessages
	f.Fuzz(func(t *testing.T, frame []byte) {
		if messages >= log.MaxMessages/2 {
			u, err := s.Register(t.Context(), Registration{Name: "Nika"})
			if err != nil {
				t.Fatal(err)
			}
			if user != nil {
				user.session.Closed()
			}
			user, messages, firsts = s.connect(u.ChatID).joinUser(u), 0, make(map[string]string)
		}
		user.mu.Lock()
		user.got = nil
		user.mu.Unlock()
		user.send("%s", frame)
		got := user.frames("")

		kind, args, wrong := wire.Decode(frame)
		if wire.IsPong(frame) || wrong == nil && kind == wire.KindPong {
			if len(got) != 0 {
				t.Fatalf("answers to a heartbeat: %q", got)
			}
			return
		}
		if len(got) != 1 || !utf8.ValidString(got[0]) || user.code != 0 {
			t.Fatalf("%d answers: %q, close %d", len(got), got, user.code)
		}
		var answer struct {
			Type string
			Args struct{ Code, Content, From string }
		}
		if err := json.Unmarshal([]byte(got[0]), &answer); err != nil {
			t.Fatalf("%q: %v", got[0], err)
		}
		switch answer.Type {
		case "Error":
			codes := []string{"bad_json", "bad_request", "unknown_type", "forbidden", "too_large"}
			if !slices.Contains(codes, answer.Args.Code) {
				t.Fatalf("refused with %q", got[0])
			}
		case "ChatMessage":
			messages++
			var sent messageArgs
			if wrong := wire.DecodeArgs(args, &sent); wrong != nil || kind != kindChatMessage || sent.From != log.RoleUser {
				t.Fatalf("taken, though it is %q", frame)
			}
			want := sent.Content
			if sent.MessageID != nil {
				if first, ok := firsts[*sent.MessageID]; ok {
					want = first
				}
				firsts[*sent.MessageID] = want
			}
			if answer.Args.Content != want || answer.Args.From != "User" || sent.Content == "" {
				t.Fatalf("%q comes back as %q", frame, got[0])
			}
			if strings.ContainsRune(got[0], '\n') {
				t.Fatalf("two lines: %q", got[0])
			}
		default:
			t.Fatalf("answered with %q", got[0])
		}
	})
}
