package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"livesupport/client"
)

// opened is a chat of which nobody reads the events, joined with both sides.
func opened(t *testing.T, options client.Options) (*client.Chat, *server) {
	s := &server{}
	options.Dial = s.dial
	chat := client.OpenChat(t.Context(), "http://chat.example:9000", nika, options)
	t.Cleanup(func() { chat.Close(); s.close() })
	synctest.Wait()
	s.write(`{"type":"SupportJoinedUser","args":{"supportId":"` + supportID + `","supportUserName":"Vika"}}`)
	s.write(`{"type":"ChatHistory","args":{"messages":[]}}`)
	synctest.Wait()
	return chat, s
}

// TestBehind: a program that does not read the events gets an error instead of waiting for ever.
// Nothing is lost, and everything goes on once the events are read.
func TestBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chat, s := opened(t, client.Options{})
		const all = 1_500
		written := make(chan struct{})
		go func() {
			defer close(written)
			for i := range all {
				s.write(fmt.Sprintf(`{"type":"ChatMessage","args":{"content":"%d","from":"Support","seq":%d,"timestamp":"2026-03-01T12:00:00.%06dZ"}}`, i, i+1, i))
			}
		}()
		synctest.Wait()
		if _, err := chat.Send(t.Context(), "one"); !errors.Is(err, client.ErrBehind) {
			t.Fatalf("sent: %v", err)
		}
		if err := chat.Rate(t.Context(), 5, ""); !errors.Is(err, client.ErrBehind) {
			t.Fatalf("rated: %v", err)
		}
		next := 0
		for e := range chat.Events() {
			if m, ok := e.(client.Message); ok {
				if m.Content != fmt.Sprint(next) {
					t.Fatalf("%s instead of %d", m.Content, next)
				}
				if next++; next == all {
					break
				}
			}
		}
		<-written
		sent := make(chan error)
		go func() {
			_, err := chat.Send(t.Context(), "one")
			sent <- err
		}()
		synctest.Wait()
		args, _ := s.take("ChatMessage")
		s.write(fmt.Sprintf(`{"type":"ChatMessage","args":{"content":"one","from":"User","seq":%d,"messageId":"%s","timestamp":"2026-03-01T12:00:01Z"}}`, all+1, args["messageId"]))
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// TestContexts: a call waits no longer than its context, a message that has not been sent yet is
// taken back, and everything ends with the context of the chat.
func TestContexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chat, s := opened(t, client.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs := make(chan error)
		for _, content := range []string{"one", "two"} {
			go func() {
				_, err := chat.Send(ctx, content)
				errs <- err
			}()
			synctest.Wait()
		}
		go func() { errs <- chat.Rate(ctx, 5, "") }()
		for range 3 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the call returned %v", err)
			}
		}
		args, _ := s.take("ChatMessage")
		s.write(fmt.Sprintf(`{"type":"ChatMessage","args":{"content":"one","from":"User","seq":1,"messageId":"%s","timestamp":"2026-03-01T12:00:01Z"}}`, args["messageId"]))
		synctest.Wait()
		if args, ok := s.take("ChatMessage"); ok {
			t.Errorf("%s was sent", args["content"])
		}
		chat.Close()
		if _, err := chat.Send(t.Context(), "three"); client.CodeOf(err) != client.Closed {
			t.Errorf("sent after the end: %v", err)
		}
		if err := chat.Err(); err != nil {
			t.Error(err)
		}
	})
}

// TestFreshToken: a refusal is final only for the token that was refused.
func TestFreshToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		token := "old"
		chat, s := opened(t, client.Options{Token: func() string { return token }})
		go func() {
			for range chat.Events() {
			}
		}()
		token = "fresh"
		s.drop(1008)
		time.Sleep(time.Second)
		if s.count() != 2 {
			t.Fatalf("%d connections", s.count())
		}
		s.drop(1008)
		time.Sleep(time.Minute)
		if s.count() != 2 || client.CodeOf(chat.Err()) != "forbidden" {
			t.Errorf("%d connections, then %v", s.count(), chat.Err())
		}
	})
}

// TestFrames: a message may come in parts, with a ping between them. A frame that no server sends
// ends the connection.
func TestFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chat, s := opened(t, client.Options{})
		contents := make(chan string, 10)
		go func() {
			for e := range chat.Events() {
				if m, ok := e.(client.Message); ok {
					contents <- m.Content
				}
			}
		}()
		text := []byte(`{"type":"ChatMessage","args":{"content":"one","from":"Support","seq":1,"timestamp":"2026-03-01T12:00:00Z"}}`)
		for _, f := range []ws.Frame{
			ws.NewFrame(ws.OpText, false, text[:10]), ws.NewPingFrame([]byte("x")), ws.NewFrame(ws.OpContinuation, false, nil),
			ws.NewPingFrame(nil), ws.NewFrame(ws.OpContinuation, true, text[10:]),
		} {
			if err := ws.WriteFrame(s.last(), f); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-contents; got != "one" {
			t.Errorf("got %q", got)
		}
		s.write("no JSON")
		s.write(`{"type":7}`)
		s.write(`{"type":"ChatMessage","args":[]}`)
		synctest.Wait()
		if s.count() != 1 {
			t.Fatalf("%d connections", s.count())
		}
		_ = ws.WriteFrame(s.last(), ws.MaskFrame(ws.NewTextFrame(text)))
		time.Sleep(time.Second)
		if s.count() != 2 {
			t.Errorf("%d connections", s.count())
		}
	})
}
