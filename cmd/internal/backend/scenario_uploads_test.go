package backend_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livesupport/cmd/internal/backend"
)

func TestScenarioUploads(t *testing.T) {
	t.Parallel()
	// Nobody accepts what is sent to it.
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = away.Close() })
	awsKeys(t)
	nowhere := func(c *backend.Config) {
		c.FilesURL = "s3://bucket?region=eu-central-1&use_path_style=true&endpoint=http://" + away.Addr().String()
	}
	broken := func(c *backend.Config) { // where its folders would be, there are files
		folder := filepath.FromSlash(strings.TrimPrefix(c.FilesURL, "file://"))
		for i := range 256 {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%02x", i)), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	hurtsNothing := scenarios{
		"a store that is away hurts nothing else": func(w *world) {
			v, user, support := w.couple()
			began := time.Now()
			statuses := make(chan string, 2)
			ask := func(method, path string, body io.Reader, headers ...string) {
				request, err := http.NewRequest(method, "http://"+w.nextChat()+path, body)
				if err != nil {
					statuses <- err.Error()
					return
				}
				for i := 0; i < len(headers); i += 2 {
					request.Header.Set(headers[i], headers[i+1])
				}
				response, err := plainHTTP.Do(request)
				if err != nil {
					statuses <- err.Error()
					return
				}
				_ = response.Body.Close()
				statuses <- response.Status
			}
			go ask(http.MethodPost, "/chat/"+v.chatID+"/files", strings.NewReader(pngContent), v.uploading("", "a.png")...)
			go ask(http.MethodGet, "/files/"+strings.Repeat("0", 32), nil)
			user.said("one", support)
			support.said("two", user)
			for range cap(statuses) {
				if status := <-statuses; status != "503 Service Unavailable" {
					w.Errorf("answered with %s", status)
				}
			}
			if took := time.Since(began); took > 5*time.Second*slowness {
				w.Errorf("it took %v", took)
			}
			for _, addr := range w.chats {
				if r := w.get(addr, "/readyz"); r.status != 200 {
					w.Errorf("readyz: %d", r.status)
				}
			}
		},
	}
	inEveryPlace(t, withFiles(nowhere, shared, hurtsNothing), withFiles(broken, shared, hurtsNothing), withFiles(func(c *backend.Config) { c.RegisterRate = 1 }, shared, scenarios{
		"uploads of an address": func(w *world) {
			addr := w.chats[0]
			v := w.registerAt(addr, "Nika", "Nika")
			send := func() reply {
				return w.body(http.MethodPost, addr, "/chat/"+v.chatID+"/files", strings.NewReader("x"), v.uploading("", "a.txt")...)
			}
			for range 10 {
				w.expectJSON(send(), 201)
			}
			r := send()
			w.expectFailure(r, 429, "rate_limited")
			if r.header.Get("Retry-After") == "" {
				w.Error("no Retry-After")
			}
		},
	}), withFiles(func(c *backend.Config) { c.AgentSecret = agentSecret }, shared, scenarios{
		"where agents need tokens, a support needs one": func(w *world) {
			good := signer{jwt.SigningMethodHS256, []byte(agentSecret), ""}
			vika, ada := agent{w, good.sign(claimsOf("vika", "Vika"))}, agent{w, good.sign(claimsOf("ada", "Ada"))}
			v := w.register("Nika")
			user := w.user(v)
			v.supportName = "Vika"
			support := vika.chat(v)
			support.send("Join", v.asSupport("Vika"))
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			user.expectSupportJoined()
			headers := v.uploading(v.supportID, "a.txt")
			bearer := func(token string) []string {
				return append(headers[:len(headers):len(headers)], "Authorization", "Bearer "+token)
			}
			w.expectFailure(w.upload(v, "<html>", headers...), 401, "unauthorized")
			w.expectFailure(w.upload(v, "<html>", bearer("x")...), 401, "unauthorized")
			w.expectFailure(w.upload(v, "<html>", bearer(ada.token)...), 403, "forbidden")
			w.expectFailure(w.upload(v, "<html>", v.uploading(v.userID, "a.txt")...), 403, "forbidden")
			w.expectFailure(w.body(http.MethodPost, w.nextChat(), "/chat/"+v.userID+"/files", strings.NewReader("x"), headers...), 401, "unauthorized")
			w.expectFailure(w.body(http.MethodPost, w.nextChat(), "/chat/"+v.userID+"/files", strings.NewReader("x"), bearer(vika.token)...), 404, "not_found")
			w.expectJSON(w.upload(v, "x", bearer(vika.token)...), 201)
			w.expectJSON(w.upload(v, "x", append(headers[:len(headers):len(headers)], "Livesupport-Token", vika.token)...), 201)
			file := w.uploaded(v, "a.txt", "text/plain", "x")
			if r := w.get(w.nextChat(), address(file)); r.status != 200 {
				w.Errorf("status %d", r.status)
			}
		},
	}), withFiles(nil, shared, scenarios{
		"who sends too slowly is cut, and leaves nothing": func(w *world) {
			v := w.register("Nika")
			conn, err := net.Dial("tcp", w.nextChat())
			if err != nil {
				w.Fatal(err)
			}
			defer conn.Close()
			head := "POST /chat/" + v.chatID + "/files HTTP/1.1\r\nHost: x\r\nLivesupport-User: " + v.userID +
				"\r\nLivesupport-Filename: a\r\nContent-Type: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 20_000)
			if _, err := io.WriteString(conn, head); err != nil {
				w.Fatal(err)
			}
			began := time.Now()
			_ = conn.SetDeadline(began.Add(30 * time.Second))
			got, _ := io.ReadAll(conn)
			if !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.Contains(string(got), "too slow") || time.Since(began) > 20*time.Second*slowness {
				w.Errorf("after %v: %q", time.Since(began), got)
			}
			w.eventually("the place is free again", func() bool { return w.entries(v, "uploaded") == 0 })
		},
		"who goes away in the middle leaves nothing": func(w *world) {
			v := w.register("Nika")
			head := "POST /chat/" + v.chatID + "/files HTTP/1.1\r\nHost: x\r\nLivesupport-User: " + v.userID + "\r\nLivesupport-Filename: a\r\nContent-Type: x\r\n"
			for _, cut := range []string{
				"Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 50_000),
				"Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", 50_000, strings.Repeat("x", 50_000)),
				"Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s", 50_000, strings.Repeat("x", 100)),
			} {
				conn, err := net.Dial("tcp", w.nextChat())
				if err != nil {
					w.Fatal(err)
				}
				if _, err := io.WriteString(conn, head+cut); err != nil {
					w.Fatal(err)
				}
				pass(50 * time.Millisecond)
				_ = conn.Close()
			}
			pass(300 * time.Millisecond)
			if n := w.entries(v, "uploaded"); n != 0 {
				w.Errorf("%d files have come", n)
			}
		},
	}))
}

// TestManyUploadsTakeLittleMemory sends a hundred files of ten megabytes at once.
func TestManyUploadsTakeLittleMemory(t *testing.T) {
	if testing.Short() || slowness > 1 {
		t.Skip("it measures memory")
	}
	const uploads, size = 100, 10 << 20
	withFiles(func(c *backend.Config) { c.LogLevel = slog.LevelWarn }, shared, scenarios{"memory": func(w *world) {
		memory := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapInuse + m.StackInuse
		}
		var visitors []*visitor
		for range uploads {
			visitors = append(visitors, w.register("Nika"))
		}
		before := memory()
		var sent, done sync.WaitGroup
		sent.Add(uploads)
		finish := make(chan struct{})
		statuses := make(chan string, uploads)
		piece := strings.Repeat("x", 64<<10)
		for _, v := range visitors {
			done.Go(func() {
				conn, err := net.Dial("tcp", w.chats[0])
				if err != nil {
					sent.Done()
					statuses <- err.Error()
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
				_, _ = fmt.Fprintf(conn, "POST /chat/%s/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLivesupport-User: %s\r\nLivesupport-Filename: a\r\nContent-Type: x\r\nContent-Length: %d\r\n\r\n", v.chatID, v.userID, size)
				for range size/len(piece) - 1 {
					_, _ = io.WriteString(conn, piece)
				}
				sent.Done()
				<-finish
				_, _ = io.WriteString(conn, piece)
				answer, _ := io.ReadAll(io.LimitReader(conn, 512))
				statuses <- string(answer[:min(12, len(answer))])
			})
		}
		sent.Wait()
		grown := int64(memory()) - int64(before)
		close(finish)
		done.Wait()
		taken := 0
		for range uploads {
			if <-statuses == "HTTP/1.1 201" {
				taken++
			}
		}
		if taken < uploads/2 { // a store that is too slow for all of them has nothing to do with memory
			t.Errorf("only %d uploads were taken", taken)
		}
		t.Logf("%d uploads of %d MiB: %.1f MiB more, clients included", uploads, size>>20, float64(grown)/(1<<20))
		if grown > 64<<20 {
			t.Errorf("%d bytes more", grown)
		}
	}})(t, places[0])()
}
