package backend_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// Contents of the smallest files of their kinds.
const (
	pngContent = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
	pdfContent = "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
)

// withFiles is a group of scenarios in deployments whose servers share a folder of
// files.
func withFiles(tune tuning, group func(tuning, scenarios) group, all scenarios) group {
	return func(t *testing.T, p place) func() {
		return group(func(c *backend.Config) {
			unlimited(c)
			folder, err := os.MkdirTemp(t.TempDir(), "files")
			if err != nil {
				t.Fatal(err)
			}
			c.FilesURL = "file://" + filepath.ToSlash(folder)
			if tune != nil {
				tune(c)
			}
		}, all)(t, p)
	}
}

// uploading are the headers of an upload by the visitor, or with a supportId by their
// support.
func (v *visitor) uploading(supportID, name string) []string {
	headers := []string{"Livesupport-User", v.userID, "Livesupport-Filename", url.PathEscape(name), "Content-Type", "application/octet-stream"}
	if supportID != "" {
		headers = append(headers, "Livesupport-Support", supportID)
	}
	return headers
}

// body sends a request with a body, which has a length unless it is only a Reader.
func (w *world) body(method, addr, path string, body io.Reader, headers ...string) reply {
	w.Helper()
	request, err := http.NewRequest(method, "http://"+addr+path, body)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header[http.CanonicalHeaderKey(headers[i])] = []string{headers[i+1]}
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(got)}
}

// upload tries to send a file into the visitor's chat.
func (w *world) upload(v *visitor, content string, headers ...string) reply {
	w.Helper()
	return w.body(http.MethodPost, w.nextChat(), "/chat/"+v.chatID+"/files", strings.NewReader(content), headers...)
}

// uploaded sends a file as the user, and returns it as it is told.
func (w *world) uploaded(v *visitor, name, kind, content string) obj {
	w.Helper()
	r := w.upload(v, content, v.uploading("", name)...)
	got := w.expectJSON(r, 201)
	if wrong := mismatch("", obj{"fileId": anyID, "name": name, "type": kind, "size": float64(len(content)), "url": "/files/" + got["fileId"].(string)}, got); wrong != "" {
		w.Fatalf("%s: %s", r.body, wrong)
	}
	return got
}

// address is where a file is.
func address(file obj) string { return file["url"].(string) }

func TestScenarioFiles(t *testing.T) {
	t.Parallel()
	const ttl = slowness * 2 * time.Second
	short := func(c *backend.Config) { c.ChatTTL = ttl }
	small := func(c *backend.Config) { c.FileSize, c.FilesPerChat = 1000, 3 }
	inEveryPlace(t, withFiles(nil, shared, scenarios{
		"a file is there on every server, with its headers": func(w *world) {
			v, _, _ := w.couple()
			file := w.uploaded(v, "screen shot.png", "image/png", pngContent)
			for range 2 * len(w.chats) {
				r := w.get(w.nextChat(), address(file))
				if r.status != 200 || r.body != pngContent {
					w.Fatalf("status %d, %q", r.status, r.body)
				}
				for header, want := range map[string]string{
					"Content-Type": "image/png", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
					"Content-Security-Policy": "sandbox; default-src 'none'", "Cross-Origin-Resource-Policy": "cross-origin",
					"Content-Disposition": `inline; filename="screen shot.png"`,
				} {
					if got := r.header.Get(header); got != want {
						w.Errorf("%s %q instead of %q", header, got, want)
					}
				}
				if got := r.header.Get("Cache-Control"); !strings.Contains(got, "private") {
					w.Errorf("Cache-Control %q", got)
				}
				if again := w.get(w.nextChat(), address(file), "If-None-Match", r.header.Get("ETag")); again.status != 304 || again.body != "" || r.header.Get("ETag") == "" {
					w.Errorf("ETag %q: %d %q", r.header.Get("ETag"), again.status, again.body)
				}
				head := w.request(http.MethodHead, w.nextChat(), address(file))
				if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != r.header.Get("Content-Length") || head.header.Get("ETag") != r.header.Get("ETag") {
					w.Errorf("HEAD: %d %v", head.status, head.header)
				}
			}
			r := w.upload(v, pdfContent, v.uploading(v.supportID, "bill.pdf")...)
			got := w.expectJSON(r, 201)
			if r := w.get(w.nextChat(), address(got)); r.body != pdfContent || r.header.Get("Content-Disposition") != `attachment; filename="bill.pdf"` {
				w.Errorf("%d %q %v", r.status, r.body, r.header)
			}
		},
		"ranges": func(w *world) {
			v := w.register("Nika")
			file := w.uploaded(v, "a.txt", "text/plain", "0123456789")
			for asked, want := range map[string]struct {
				status       int
				body, range_ string
			}{
				"bytes=0-3":     {206, "0123", "bytes 0-3/10"},
				"bytes=8-":      {206, "89", "bytes 8-9/10"},
				"bytes=-3":      {206, "789", "bytes 7-9/10"},
				"bytes=-30":     {206, "0123456789", "bytes 0-9/10"},
				"bytes=5-100":   {206, "56789", "bytes 5-9/10"},
				"bytes=3-2":     {200, "0123456789", ""},
				"bytes=0-1,4-5": {200, "0123456789", ""},
				"lines=0-1":     {200, "0123456789", ""},
				"bytes=x":       {200, "0123456789", ""},
			} {
				r := w.get(w.nextChat(), address(file), "Range", asked)
				if r.status != want.status || r.body != want.body || r.header.Get("Content-Range") != want.range_ {
					w.Errorf("%s: %d %q %q", asked, r.status, r.body, r.header.Get("Content-Range"))
				}
			}
			for _, asked := range []string{"bytes=10-", "bytes=-0", "bytes=100-200"} {
				r := w.get(w.nextChat(), address(file), "Range", asked)
				w.expectFailure(r, 416, anything)
				if got := r.header.Get("Content-Range"); got != "bytes */10" {
					w.Errorf("Content-Range %q", got)
				}
			}
			if r := w.get(w.nextChat(), address(file), "Range", "bytes=0-3", "If-Range", `"other"`); r.status != 200 || r.body != "0123456789" {
				w.Errorf("If-Range: %d %q", r.status, r.body)
			}
		},
		"what is wrong is refused, in its order": func(w *world) {
			v, user, support := w.couple()
			other := strings.Repeat("0", 32)
			good := v.uploading("", "a.png")
			w.expectFailure(w.body(http.MethodPost, w.nextChat(), "/chat/x/files", strings.NewReader("x"), good...), 404, anything)
			for i := 0; i < len(good); i += 2 {
				missing := append(append([]string{}, good[:i]...), good[i+2:]...)
				w.expectFailure(w.upload(v, pngContent, missing...), 400, "bad_request")
			}
			w.expectFailure(w.upload(v, "", good...), 400, "bad_request")
			w.expectFailure(w.body(http.MethodPost, w.nextChat(), "/chat/"+v.chatID+"/files", io.MultiReader(strings.NewReader("")), good...), 400, "bad_request")
			for _, name := range []string{"%", "%FF", "%zz"} {
				w.expectFailure(w.upload(v, pngContent, append(good[:2:2], "Livesupport-Filename", name, "Content-Type", "image/png")...), 400, "bad_request")
			}
			w.expectFailure(w.upload(v, "<html>", append(good[2:len(good):len(good)], "Livesupport-User", other)...), 403, "forbidden")
			w.expectFailure(w.upload(v, pngContent, v.uploading(other, "a.png")...), 403, "forbidden")
			w.expectFailure(w.body(http.MethodPost, w.nextChat(), "/chat/"+other+"/files", strings.NewReader(pngContent), good...), 404, "not_found")
			w.expectFailure(w.upload(v, "<html><script>", good...), 415, "bad_type")
			w.expectFailure(w.upload(v, "#!/bin/sh\n", append(good[:4:4], "Content-Type", "image/png")...), 415, "bad_type")
			for _, path := range []string{"/files/" + other, "/files/x", "/files/" + strings.ToUpper(strings.Repeat("a", 32)), "/files/", "/files/.." + other[2:]} {
				w.expectFailure(w.get(w.nextChat(), path), 404, anything)
			}
			support.send("CloseChat", nil)
			support.expectExpired(v)
			user.expectExpired(v)
			for range w.chats {
				w.expectFailure(w.upload(v, "<html>", good...), 409, "chat_closed")
			}
		},
		"the claimed type and the way of sending do not matter": func(w *world) {
			v := w.register("Nika")
			big := pdfContent + strings.Repeat("x", 300_000)
			for _, body := range []io.Reader{strings.NewReader(big), io.MultiReader(strings.NewReader(big))} { // in chunks
				r := w.body(http.MethodPost, w.nextChat(), "/chat/"+v.chatID+"/files", body, "Livesupport-User", v.userID, "Livesupport-Filename", "..%2F", "Content-Type", "multipart/form-data; boundary=x", "Expect", "100-continue")
				file := w.expectJSON(r, 201)
				if file["name"] != "file.pdf" || file["type"] != "application/pdf" || file["size"] != float64(len(big)) {
					w.Errorf("%v", file)
				}
				if got := w.get(w.nextChat(), address(file)); got.body != big {
					w.Errorf("%d bytes", len(got.body))
				}
			}
		},
		"a connection goes on after an upload": func(w *world) {
			v := w.register("Nika")
			head := "POST /chat/" + v.chatID + "/files HTTP/1.1\r\nHost: x\r\nLivesupport-User: " + v.userID + "\r\nLivesupport-Filename: a\r\nContent-Type: x\r\n"
			next := "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			r := w.rawAll(w.nextChat(), head+"Content-Length: 5\r\n\r\nhello"+next)
			if strings.Count(r, "HTTP/1.1 ") != 2 || !strings.HasPrefix(r, "HTTP/1.1 201") || !strings.HasSuffix(r, "ok") {
				w.Errorf("%q", r)
			}
			length := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(next))
			// What is left of a refused one is no request.
			if r := w.rawAll(w.nextChat(), strings.Replace(head, v.userID, "x", 1)+length+next); strings.Count(r, "HTTP/1.1 ") != 1 {
				w.Errorf("a body was taken for a request: %q", r)
			}
			if r := w.rawAll(w.nextChat(), strings.Replace(head, "/chat/", "/chats/", 1)+length+next+next); strings.Count(r, "HTTP/1.1 ") != 2 {
				w.Errorf("%q", r)
			}
		},
		"hostile names": func(w *world) {
			v, user, support := w.liveCouple("files")
			plain := w.rejoined(v, "Support", nil)
			emoji := strings.Repeat("\U0001f600", 255)
			for name, want := range map[string]struct{ name, disposition string }{
				"a\r\nSet-Cookie: x=1\r\n\r\n<script>.txt": {"aSet-Cookie: x=1<script>.txt", `attachment; filename="aSet-Cookie: x=1<script>.txt"`},
				`a"; filename="b.exe`:                      {`a"; filename="b.exe`, `attachment; filename="a_; filename=_b.exe.txt"; filename*=UTF-8''a%22%3B%20filename%3D%22b.exe.txt`},
				"gpj.\u202eexe.txt":                        {"gpj.exe.txt", `attachment; filename="gpj.exe.txt"`},
				`../../..\etc/passwd`:                      {"passwd", `attachment; filename="passwd"`},
				"bill.pdf.exe":                             {"bill.pdf.exe", `attachment; filename="bill.pdf.exe.txt"`},
				"two\u2028lines":                           {"twolines", `attachment; filename="twolines"`},
				emoji:                                      {emoji, `attachment; filename="` + strings.Repeat("____", 255) + `"; filename*=UTF-8''` + strings.Repeat("%F0%9F%98%80", 255)},
			} {
				file := w.expectJSON(w.upload(v, "hello", v.uploading("", name)...), 201)
				if file["name"] != want.name || file["type"] != "text/plain" {
					w.Errorf("%q has become %v", name, file)
				}
				r := w.get(w.nextChat(), address(file))
				if r.status != 200 || r.body != "hello" || r.header.Get("Content-Disposition") != want.disposition || r.header.Get("Set-Cookie") != "" {
					w.Errorf("%q: %d %q %v", name, r.status, r.body, r.header)
				}
				user.sends("", file["fileId"])
				support.expect("ChatMessage", user.expect("ChatMessage", user.carrying("", file)))
				text := plain.expect("ChatMessage", with(v.message("User", ""), "content", anything))["content"].(string)
				if !strings.HasPrefix(text, want.name+" http") || strings.ContainsAny(text, "\r\n") {
					w.Errorf("%q is told as %q", name, text)
				}
			}
		},
		"an upload waits ten minutes for its message": func(w *world) {
			v := w.register("Nika")
			file := w.uploaded(v, "a.txt", "text/plain", "x")
			due := w.redis().ZScore(w.Context(), "{files}:leases", v.chatID+":"+file["fileId"].(string)).Val()
			if wait := time.Until(time.UnixMilli(int64(due))); wait < 9*time.Minute || wait > 10*time.Minute+5*time.Second {
				w.Errorf("it is looked at in %v", wait)
			}
		},
	}), withFiles(func(c *backend.Config) { c.FileTypes = []string{"image/gif", "image/svg+xml", "text/html", "text/xml"} }, shared, scenarios{
		"what browsers execute can only be saved": func(w *world) {
			v := w.register("Nika")
			for content, want := range map[string]struct{ kind, how string }{
				`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`:  {"image/svg+xml", "attachment"},
				"<!DOCTYPE html><script>alert(1)</script>":                     {"text/html", "attachment"},
				`<?xml version="1.0"?><a/>`:                                    {"text/xml", "attachment"},
				"GIF89a\x01\x00\x01\x00\x00\x00\x00;<script>alert(1)</script>": {"image/gif", "inline"}, // to nobody but a picture
			} {
				file := w.uploaded(v, "a.gif", want.kind, content)
				r := w.get(w.nextChat(), address(file))
				if how, _, _ := strings.Cut(r.header.Get("Content-Disposition"), ";"); how != want.how || r.header.Get("Content-Type") != want.kind ||
					r.header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(r.header.Get("Content-Security-Policy"), "sandbox") {
					w.Errorf("%q: %v", content, r.header)
				}
			}
		},
	}), withFiles(small, shared, scenarios{
		"too large, and too many": func(w *world) {
			v := w.register("Nika")
			good := v.uploading("", "a.txt")
			w.uploaded(v, "a.txt", "text/plain", strings.Repeat("x", 1000))
			for _, size := range []int{1001, 100_000, 2_000_000} {
				w.expectFailure(w.upload(v, strings.Repeat("x", size), good...), 413, "too_large")
				in := io.MultiReader(strings.NewReader(strings.Repeat("x", size)))
				w.expectFailure(w.body(http.MethodPost, w.nextChat(), "/chat/"+v.chatID+"/files", in, good...), 413, "too_large")
			}
			w.uploaded(v, "a.txt", "text/plain", "x")
			w.uploaded(v, "a.txt", "text/plain", "x")
			for range 2 * len(w.chats) {
				w.expectFailure(w.upload(v, "x", good...), 409, "chat_full")
			}
			w.expectFailure(w.upload(v, "<html>", good...), 415, "bad_type")
		},
		"many at once are not too many": func(w *world) {
			v := w.register("Nika")
			results := make(chan int, 20)
			for range cap(results) {
				go func() {
					request, _ := http.NewRequest(http.MethodPost, "http://"+w.nextChat()+"/chat/"+v.chatID+"/files", bytes.NewReader([]byte("x")))
					headers := v.uploading("", "a.txt")
					for i := 0; i < len(headers); i += 2 {
						request.Header.Set(headers[i], headers[i+1])
					}
					response, err := plainHTTP.Do(request)
					if err != nil {
						results <- 0
						return
					}
					_ = response.Body.Close()
					results <- response.StatusCode
				}()
			}
			count := map[int]int{}
			for range cap(results) {
				count[<-results]++
			}
			if count[201] > 3 || count[201] == 0 || count[201]+count[409] != cap(results) {
				w.Errorf("%v", count)
			}
		},
	}), withFiles(short, shared, scenarios{
		"a file goes with its chat": func(w *world) {
			v := w.register("Nika")
			file := w.uploaded(v, "a.txt", "text/plain", "x")
			w.eventually("the file is gone", func() bool { return w.get(w.nextChat(), address(file)).status == 404 })
			w.storeForgets(v)
		},
	}), shared(nil, scenarios{
		"without a store there are no files": func(w *world) {
			v := w.register("Nika")
			w.expectFailure(w.upload(v, pngContent, v.uploading("", "a.png")...), 404, anything)
			w.expectFailure(w.upload(v, strings.Repeat("x", 10_000), v.uploading("", "a.png")...), 413, anything)
			w.expectFailure(w.get(w.nextChat(), "/files/"+strings.Repeat("0", 32)), 404, anything)
			if _, has := w.expectJSON(w.get(w.nextChat(), "/status"), 200)["files"]; has {
				w.Error("files are offered")
			}
		},
	}))
}

// rawAll sends requests as they stand and reads all that comes.
func (w *world) rawAll(addr, requests string) string {
	w.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := io.WriteString(conn, requests); err != nil {
		w.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		w.Fatal(err)
	}
	return string(got)
}
