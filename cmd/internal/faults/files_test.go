package faults_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A sender is a visitor who sends files one after the other, each with a message.
type sender struct {
	visitor
	world *world

	mu      sync.Mutex
	sums    map[string][sha256.Size]byte // of files that were taken, by id
	acked   map[string]bool              // messages that have come back
	cut     int                          // uploads that have failed
	carried int
}

// slowly yields a body in pieces, so that kills interrupt uploads.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 8<<10)])
}

// run sends until ctx ends.
func (s *sender) run(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		content := bytes.Repeat(fmt.Appendf(nil, "%016x", rand.Uint64()), 1+rand.IntN(16<<10))
		fileID, err := s.upload(ctx, content, slowly{bytes.NewReader(content)})
		if err != nil {
			s.mu.Lock()
			s.cut++
			s.mu.Unlock()
			wait(ctx, 50*time.Millisecond)
			continue
		}
		if n%4 == 3 {
			continue // no message carries it
		}
		if err := s.say(ctx, fmt.Sprint(n), fileID); err != nil {
			return err
		}
	}
	return nil
}

// upload sends a file to one of the servers.
func (s *sender) upload(ctx context.Context, content []byte, body io.Reader) (fileID string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.world.pick("")+"/chat/"+s.ChatID+"/files", body)
	if err != nil {
		return "", err
	}
	request.ContentLength = int64(len(content))
	request.Header.Set("Content-Type", "text/plain")
	request.Header.Set("Livesupport-User", s.UserID)
	request.Header.Set("Livesupport-Filename", "a.txt")
	response, err := plainHTTP.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ FileID string }
	got, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%d %s", response.StatusCode, got)
	}
	if err == nil {
		err = json.Unmarshal(got, &answer)
	}
	if err == nil {
		s.mu.Lock()
		s.sums[answer.FileID] = sha256.Sum256(content)
		s.mu.Unlock()
	}
	return answer.FileID, err
}

// say sends a message with a file, and repeats it until it has come back.
func (s *sender) say(ctx context.Context, messageID, fileID string) error {
	for ctx.Err() == nil {
		_, err := s.session(ctx, s.world.pick(""), encode("ChatMessage", map[string]any{
			"userId": s.UserID, "content": "", "from": "User", "messageId": messageID, "files": []string{fileID},
		}), messageID)
		var fatal fatalError
		if errors.As(err, &fatal) {
			return err
		}
		if err == nil {
			s.mu.Lock()
			s.acked[messageID] = true
			s.mu.Unlock()
			return nil
		}
		wait(ctx, 50*time.Millisecond)
	}
	return nil
}

// carrier is a message with the fields that matter for files.
type carrier struct {
	MessageID string
	Files     []struct {
		FileID, URL string
		Size        int
	}
}

// session joins the chat. If there is a message to send, it waits until that has come back.
// It returns the history.
func (s *sender) session(ctx context.Context, addr, message, messageID string) (history []carrier, err error) {
	conn, err := dial(ctx, addr, "/chat/"+s.ChatID)
	if err != nil {
		return nil, err
	}
	frames, stop := listen(conn)
	defer stop()
	err = write(ctx, conn, encode("Join", map[string]any{"userId": s.UserID, "username": s.Username, "from": "User", "features": []string{"files", "messageId"}}))
	sent := message == ""
	for err == nil {
		var text string
		if text, err = next(frames, answerWithin); err != nil {
			return nil, err
		}
		var frame struct {
			Type string
			Args struct {
				carrier
				Messages []carrier
				Code     string
			}
		}
		if err := json.Unmarshal([]byte(text), &frame); err != nil {
			return nil, fatalError("no JSON: " + text)
		}
		switch {
		case frame.Type == "Error" && frame.Args.Code != "unavailable":
			return nil, fatalError("refused: " + text)
		case frame.Type == "Error":
			return nil, errors.New(text)
		case frame.Type == "ChatExpired":
			return nil, fatalError("the chat has expired under its messages")
		case frame.Type == "ChatHistory":
			history = frame.Args.Messages
			if sent {
				return history, nil
			}
		case frame.Type == "ChatMessage" && frame.Args.MessageID == messageID:
			return history, nil
		}
		if !sent {
			sent = true
			err = write(ctx, conn, message)
		}
	}
	return nil, err
}

// check requests each file of each message from each server.
func (s *sender) check(w *world) error {
	var errs []error
	for _, server := range w.chats {
		history, err := s.session(w.ctx(), server.addr, "", "")
		if err != nil {
			return err
		}
		found := map[string]bool{}
		for _, message := range history {
			found[message.MessageID] = true
			for _, file := range message.Files {
				s.carried++
				status, content, err := get(server.addr, file.URL)
				if err != nil || status != http.StatusOK || sha256.Sum256(content) != s.sums[file.FileID] {
					errs = append(errs, fmt.Errorf("%s of message %s in chat %s: %d, %d of %d bytes, %v", file.FileID, message.MessageID, s.ChatID, status, len(content), file.Size, err))
				}
			}
		}
		for id := range s.acked {
			if !found[id] {
				errs = append(errs, fmt.Errorf("message %s of chat %s is lost", id, s.ChatID))
			}
		}
	}
	return errors.Join(errs...)
}

// objects counts the objects in a folder of files.
func objects(folder string) (count int) {
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error { // what goes meanwhile does not count
		if err == nil && !entry.IsDir() {
			count++
		}
		return nil
	})
	return count
}

// TestUploadsAndKills kills chat servers that share a folder while files are uploaded.
// Every file of a message is complete on every server, and when the chats have ended,
// nothing of any upload is left.
func TestUploadsAndKills(t *testing.T) {
	s := begin(t)
	w := newWorld(t, "redis")
	folder := t.TempDir()
	env := []string{"FILES_URL=file://" + filepath.ToSlash(folder), "FILES_PER_CHAT=1000", "CHAT_TTL=" + keptTTL.String()}
	servers := []*server{w.startChat(env...), w.startChat(env...)}
	var senders []*sender
	for range 10 {
		senders = append(senders, &sender{visitor: w.register(w.pick(""), "Nika"), world: w, sums: map[string][sha256.Size]byte{}, acked: map[string]bool{}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var sending errgroup
	for _, one := range senders {
		sending.Go(func() error { return one.run(ctx) })
	}
	halves := 0
	for i := range s.kills {
		wait(t.Context(), time.Second+rand.N(time.Second)) // the random moment
		w.kill(servers[i%2])
		found, err := filepath.Glob(filepath.Join(folder, "*", "*.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		halves += len(found)
		servers[i%2] = w.startChat(env...)
	}
	wait(t.Context(), time.Second)
	cancel()
	if err := sending.Wait(); err != nil {
		t.Fatal(err)
	}
	var taken, acked, cut, carried int
	for _, one := range senders {
		if err := one.check(w); err != nil {
			t.Error(err)
		}
		taken, acked, cut, carried = taken+len(one.sums), acked+len(one.acked), cut+one.cut, carried+one.carried
	}
	t.Logf("%s: %d kills: %d uploads taken, %d cut, %d halves seen in the store; %d messages acknowledged, each of their files (%d looked at) can be had from both servers; %d objects",
		t.Name(), s.kills, taken, cut, halves, acked, carried, objects(folder))
	if cut == 0 || acked == 0 {
		t.Error("the kills have hit nothing")
	}
	w.nothingLeft(folder, keptTTL)
}

// nothingLeft waits until no file is left, some time after the last message in chats that
// live for ttl.
func (w *world) nothingLeft(folder string, ttl time.Duration) {
	w.Helper()
	began := time.Now()
	var keys string
	if !poll(ttl+90*time.Second, func() bool {
		wait(w.Context(), 300*time.Millisecond)
		all, err := w.store.Keys(w.ctx(), "*").Result()
		if err != nil {
			w.Fatal(err)
		}
		keys = strings.Join(all, " ")
		return objects(folder) == 0 && !strings.Contains(keys, "{files}") && !strings.Contains(keys, "chat:{")
	}) {
		w.Errorf("left %v after the last message: %d objects, %q", time.Since(began), objects(folder), keys)
	}
	w.Logf("%s: nothing was left %v after the last message, chats living for %v", w.Name(), time.Since(began).Round(100*time.Millisecond), ttl)
}

// TestManyChatsWithFiles counts what is left after many chats with a file each.
func TestManyChatsWithFiles(t *testing.T) {
	s := begin(t)
	const ttl = 10 * time.Second
	w := newWorld(t, "redis")
	w.config("appendfsync", "everysec")
	folder := t.TempDir()
	env := []string{"FILES_URL=file://" + filepath.ToSlash(folder), "CHAT_TTL=" + ttl.String()}
	servers := []*server{w.startChat(env...), w.startChat(env...)}
	w.startLobby()
	before := w.store.DBSize(w.ctx()).Val()
	began := time.Now()
	var all errgroup
	turns := make(chan int)
	for range 16 {
		all.Go(func() error {
			for range turns {
				v, err := register(w.pick(""), "Nika")
				if err != nil {
					return err
				}
				one := &sender{visitor: v, world: w, sums: map[string][sha256.Size]byte{}, acked: map[string]bool{}}
				fileID, err := one.upload(w.Context(), []byte("hello"), strings.NewReader("hello"))
				if err == nil {
					err = one.say(w.Context(), "m", fileID)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	most := 0
	for i := range s.filed {
		turns <- i
		if i%500 == 499 {
			most = max(most, objects(folder))
		}
	}
	close(turns)
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	received := 0.0
	for _, server := range servers {
		received += w.metrics(server)["livesupport_files_received_total"]
	}
	t.Logf("%s: %.0f files in as many chats within %v, at most %d objects at once", t.Name(), received, time.Since(began).Round(time.Second), most)
	if int(received) != s.filed {
		t.Errorf("%.0f files of %d", received, s.filed)
	}
	w.nothingLeft(folder, ttl)
	if !poll(30*time.Second, func() bool { return w.store.DBSize(w.ctx()).Val() <= before }) {
		t.Errorf("%d keys at the beginning, and in the end %q", before, w.store.Keys(w.ctx(), "*").Val())
	}
	for _, server := range servers { // that files come and go is nothing to warn of
		server.mu.Lock()
		if log := strings.Join(server.tail, "\n"); strings.Contains(log, "file store") || strings.Contains(log, "cannot be deleted") {
			t.Error(log)
		}
		server.mu.Unlock()
	}
}
