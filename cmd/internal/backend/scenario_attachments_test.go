package backend_test

import (
	"net/netip"
	"strings"
	"testing"

	"livesupport/cmd/internal/backend"
)

// sends sends a message that carries files.
func (c *client) sends(content string, files ...any) {
	c.t.Helper()
	c.send("ChatMessage", obj{"userId": c.v.userID, "supportId": c.v.supportID, "content": content, "from": c.role, "files": files})
}

// carrying is a message as those get it who have listed files.
func (c *client) carrying(content string, files ...obj) obj {
	list := []any{}
	for _, f := range files {
		list = append(list, f)
	}
	return with(c.v.message(c.role, content), "files", list)
}

func TestScenarioAttachments(t *testing.T) {
	t.Parallel()
	public := func(c *backend.Config) { c.ChatPublicURL = "https://example.com/chat" }
	apart := func(c *backend.Config) {
		c.ChatPublicURL, c.FilesOrigin = "https://example.com", "https://files.example.com"
	}
	inEveryPlace(t, withFiles(public, shared, scenarios{
		"those who listed it get the files, others lines": func(w *world) {
			v, user, support := w.liveCouple("files")
			plain := w.rejoined(v, "Support", nil)
			picture, bill := w.uploaded(v, "a b.png", "image/png", pngContent), w.uploaded(v, "bill.pdf", "application/pdf", pdfContent)
			lines := "a b.png https://example.com/chat" + address(picture) + "\nbill.pdf https://example.com/chat" + address(bill)
			user.sends("look", picture["fileId"], bill["fileId"])
			one := user.expect("ChatMessage", user.carrying("look", picture, bill))
			support.expect("ChatMessage", one)
			lined := with(without(one, "files"), "content", "look\n"+lines)
			plain.expect("ChatMessage", lined)
			support.sends("", picture["fileId"], picture["fileId"])
			two := support.expect("ChatMessage", support.carrying("", picture))
			user.expect("ChatMessage", two)
			linedTwo := with(without(two, "files"), "content", "a b.png https://example.com/chat"+address(picture))
			plain.expect("ChatMessage", linedTwo)
			for range w.chats {
				w.rejoined(v, "User", []string{"files"}, one, two)
				w.rejoined(v, "User", nil, lined, linedTwo)
				w.rejoined(v, "Support", allFeatures, with(one, "seq", 1.0), with(two, "seq", 2.0)).ignoreRest()
				w.observer(v, []string{"files"}, one, two)
			}
		},
		"what a message cannot carry": func(w *world) {
			v, user, support := w.liveCouple("files", "messageId")
			file := w.uploaded(v, "a.txt", "text/plain", "x")["fileId"]
			foreign := w.uploaded(w.register("Ana"), "a.txt", "text/plain", "x")["fileId"]
			for _, files := range [][]any{{}, {file, file, file, file, file, file}, {5}} {
				user.sends("x", files...)
				user.expectError("bad_request")
			}
			user.send("ChatMessage", obj{"userId": v.userID, "content": "x", "from": "User", "files": "x"})
			user.expectError("bad_request")
			user.send("ChatMessage", obj{"userId": v.userID, "content": "", "from": "User", "files": nil})
			user.expectError("bad_request")
			for _, files := range [][]any{{foreign}, {file, foreign}, {"x"}, {strings.Repeat("0", 32)}, {nil}} {
				user.sends("x", files...)
				user.expectError("not_found")
			}
			each([]*client{user, support}, (*client).expectNothing)
		},
		"a file that has just come can be carried from any server": func(w *world) {
			v, user, support := w.liveCouple("files")
			for range 10 {
				file := w.uploaded(v, "a.txt", "text/plain", "x")
				support.sends("x", file["fileId"])
				m := support.expect("ChatMessage", support.carrying("x", file))
				user.expect("ChatMessage", m)
			}
		},
		"the same message again": func(w *world) {
			v, user, support := w.liveCouple("files", "messageId")
			file := w.uploaded(v, "a.txt", "text/plain", "x")
			message := obj{"userId": v.userID, "content": "", "from": "User", "messageId": "m", "files": []any{file["fileId"]}}
			user.send("ChatMessage", message)
			one := user.expect("ChatMessage", with(user.carrying("", file), "messageId", "m"))
			support.expect("ChatMessage", one)
			user.send("ChatMessage", message)
			user.expect("ChatMessage", one)
			support.expectNothing()
		},
	}), withFiles(nil, shared, scenarios{
		"without CHAT_PUBLIC_URL a line has where the upload went": func(w *world) {
			v, user, support := w.liveCouple()
			support.ignoreRest()
			headers := append(v.uploading("", "a.txt"), "Host", "chat.shop.example:8443", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example")
			file := w.expectJSON(w.upload(v, "x", headers...), 201)
			user.sends("", file["fileId"])
			user.expect("ChatMessage", v.message("User", "a.txt http://chat.shop.example:8443"+address(file)))
		},
		"the lobby shows the names of files without words": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.joinsWith("User")
			user.expect("UserJoined", v.pending())
			a, b := w.uploaded(v, "a.txt", "text/plain", "x"), w.uploaded(v, "b.txt", "text/plain", "x")
			user.sends("", a["fileId"], b["fileId"])
			user.ignoreRest()
			w.eventually("the names are shown", func() bool {
				records := w.redis().HVals(w.Context(), "{lobby}:records").Val()
				return strings.Contains(strings.Join(records, " "), "a.txt, b.txt")
			})
		},
	}), withFiles(apart, shared, scenarios{
		"files from another host": func(w *world) {
			v, user, support := w.liveCouple()
			support.ignoreRest()
			file := w.expectJSON(w.upload(v, "x", v.uploading("", "a.txt")...), 201)
			if want := "https://files.example.com/files/" + file["fileId"].(string); file["url"] != want {
				w.Fatalf("%v", file)
			}
			user.sends("", file["fileId"])
			user.expect("ChatMessage", v.message("User", "a.txt "+address(file)))
		},
	}), withFiles(func(c *backend.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }, shared, scenarios{
		"a proxy that is trusted tells where": func(w *world) {
			v, user, support := w.liveCouple()
			support.ignoreRest()
			for _, headers := range [][]string{
				{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "chat.shop.example"},
				{"Forwarded", `for=192.0.2.1;proto=https;host="chat.shop.example"`},
			} {
				file := w.expectJSON(w.upload(v, "x", append(v.uploading("", "a.txt"), headers...)...), 201)
				user.sends("", file["fileId"])
				user.expect("ChatMessage", v.message("User", "a.txt https://chat.shop.example"+address(file)))
			}
		},
	}))
}
