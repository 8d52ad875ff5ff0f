package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/web/api/apitest"
)

// A client is one WebSocket. Its reader answers the heartbeat and keeps every other frame
// until the scenario asks for it. A frame that the scenario never asked for fails the test
// at the end.
type client struct {
	t    *testing.T
	name string
	conn *websocket.Conn
	kept *apitest.Socket // to the contract
	pong string          // the answer to a ping; "" for a client that gives none
	v    *visitor
	role string // what say sends as from

	mu      sync.Mutex
	frames  []string
	pings   []time.Time
	first   string // the very first frame
	closed  error  // why the reader ended
	loose   bool   // unread frames are no failure
	arrived chan struct{}
	done    chan struct{}
}

// plainHTTP keeps no connections open after a request, and checks all answers against the
// contract.
var plainHTTP = &http.Client{
	Transport: apitest.Transport(&http.Transport{DisableKeepAlives: true}),
	Timeout:   patience,
}

// dial opens a WebSocket that answers every ping with pong.
func (w *world) dial(addr, path, pong string) *client {
	w.Helper()
	return w.dialWith(addr, path, pong, websocket.DialOptions{})
}

func (w *world) dialWith(addr, path, pong string, options websocket.DialOptions) *client {
	w.Helper()
	c, status := w.open(addr, path, pong, options)
	if c == nil {
		w.Fatalf("dial %s: status %d", path, status)
	}
	return c
}

// open is dialWith for a socket that the server may refuse: then there is no client, and
// the status is returned.
func (w *world) open(addr, path, pong string, options websocket.DialOptions) (c *client, status int) {
	w.Helper()
	options.HTTPClient = plainHTTP
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, "ws://"+addr+path, &options)
	if err != nil && response != nil && response.StatusCode != http.StatusSwitchingProtocols {
		return nil, response.StatusCode
	}
	if err != nil {
		w.Fatalf("dial %s: %v", path, err)
	}
	conn.SetReadLimit(-1)
	c = &client{
		t: w.T, name: path + " on " + addr, conn: conn, kept: apitest.NewSocket(path), pong: pong,
		arrived: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go c.read()
	w.Cleanup(func() {
		_ = conn.CloseNow()
		<-c.done
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.frames) > 0 && !c.loose && !w.Failed() {
			w.Errorf("%s: nobody expected %q", c.name, c.frames)
		}
		if c.loose || w.Failed() {
			return
		}
		if err := c.kept.Ended(); err != nil {
			w.Errorf("%s: %v", c.name, err)
		}
	})
	return c, response.StatusCode
}

func (c *client) read() {
	defer close(c.done)
	for {
		kind, data, err := c.conn.Read(context.Background())
		if err == nil && kind != websocket.MessageText {
			err = fmt.Errorf("a binary frame: %q", data)
		}
		frame := string(data)
		if err == nil {
			if wrong := c.kept.Got(frame); wrong != nil {
				c.t.Errorf("%s: %v", c.name, wrong)
			}
		}
		c.mu.Lock()
		switch {
		case err != nil:
			c.closed = err
		case frame == "ping":
			c.pings = append(c.pings, time.Now())
		default:
			c.frames = append(c.frames, frame)
		}
		if c.first == "" {
			c.first = frame
		}
		c.mu.Unlock()
		select {
		case c.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
		if frame == "ping" && c.pong != "" {
			// A socket that is gone says so to the reader.
			_ = c.write(websocket.MessageText, c.pong)
		}
	}
}

func (c *client) write(kind websocket.MessageType, frame string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if kind == websocket.MessageText {
		c.kept.Sent(frame)
	}
	return c.conn.Write(ctx, kind, []byte(frame))
}

var errQuiet = errors.New("nothing came")

// next returns the oldest unread frame. When all are read, it returns the reason why the
// socket has ended, or errQuiet after the wait. Any goroutine may call it, one at a time.
func (c *client) next(wait time.Duration) (string, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c.mu.Lock()
		if len(c.frames) > 0 {
			frame := c.frames[0]
			c.frames = c.frames[1:]
			c.mu.Unlock()
			return frame, nil
		}
		closed := c.closed
		c.mu.Unlock()
		if closed != nil {
			return "", closed
		}
		select {
		case <-c.arrived:
		case <-timer.C:
			return "", errQuiet
		}
	}
}

// unread puts a frame back.
func (c *client) unread(frame string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = slices.Insert(c.frames, 0, frame)
}

// pinged returns when the pings came.
func (c *client) pinged() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pings)
}

// ignoreRest declares that the scenario does not read this socket to the end.
func (c *client) ignoreRest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loose = true
}

// strays declares that this client sends frames that the contract does not have: see
// apitest.Socket.
func (c *client) strays() { c.kept.Strays() }

// close ends the socket from the client's side, as closing a tab does.
func (c *client) close() {
	c.t.Helper()
	if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		c.t.Errorf("%s: close: %v", c.name, err)
	}
	<-c.done
}

// obj is a JSON object. In an expected object, a value can be a match.
type obj = map[string]any

// A match checks a value that the scenario cannot know. It returns what is wrong, "" if
// nothing is.
type match func(got any) string

var idPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

var anyID match = func(got any) string {
	if s, ok := got.(string); !ok || !idPattern.MatchString(s) {
		return fmt.Sprintf("%v is no id of 32 lower-case hex digits", got)
	}
	return ""
}

var timestampPattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)

var aTimestamp match = func(got any) string {
	s, _ := got.(string)
	if !timestampPattern.MatchString(s) {
		return fmt.Sprintf("%v is no RFC 3339 timestamp in UTC with six decimals", got)
	}
	when, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return err.Error()
	}
	if age := time.Since(when).Abs(); age > time.Minute {
		return fmt.Sprintf("%v is %v away from now", got, age)
	}
	return ""
}

var aSentence match = func(got any) string {
	if s, ok := got.(string); !ok || s == "" {
		return fmt.Sprintf("%v is no sentence", got)
	}
	return ""
}

var anything match = func(any) string { return "" }

// mismatch reports where got differs from want. The keys must be exactly the same.
func mismatch(path string, want, got any) string {
	switch want := want.(type) {
	case match:
		if wrong := want(got); wrong != "" {
			return path + ": " + wrong
		}
		return ""
	case obj:
		object, ok := got.(obj)
		if !ok {
			return fmt.Sprintf("%s: want an object, got %v", path, got)
		}
		for key := range object {
			if _, ok := want[key]; !ok {
				return fmt.Sprintf("%s.%s: not in the protocol", path, key)
			}
		}
		for key, value := range want {
			if _, ok := object[key]; !ok {
				return fmt.Sprintf("%s.%s: missing", path, key)
			}
			if wrong := mismatch(path+"."+key, value, object[key]); wrong != "" {
				return wrong
			}
		}
		return ""
	case []obj:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s: want a list of %d, got %v", path, len(want), got)
		}
		for i := range want {
			if wrong := mismatch(fmt.Sprintf("%s[%d]", path, i), want[i], list[i]); wrong != "" {
				return wrong
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: want %#v, got %#v", path, want, got)
	}
	return ""
}

func parse(frame string) (obj, error) {
	var object obj
	if err := json.Unmarshal([]byte(frame), &object); err != nil {
		return nil, fmt.Errorf("frame %.300q: %w", frame, err)
	}
	return object, nil
}

func frame(typ string, args any) obj {
	if args == nil {
		return obj{"type": typ}
	}
	return obj{"type": typ, "args": args}
}

// text returns the JSON of the object.
func text(object any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		panic(err) // the scenario wrote something that is no JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// send sends one message.
func (c *client) send(typ string, args any) {
	c.t.Helper()
	c.sendText(text(frame(typ, args)))
}

// sendText sends a text frame unchanged.
func (c *client) sendText(frame string) {
	c.t.Helper()
	if err := c.write(websocket.MessageText, frame); err != nil {
		c.t.Fatalf("%s: send %.200q: %v", c.name, frame, err)
	}
}

// expect reads the next frame, which must be exactly this message, and returns its args.
func (c *client) expect(typ string, args any) obj {
	c.t.Helper()
	return c.expectObject(frame(typ, args))["args"].(obj)
}

// expectObject reads the next frame, which must be exactly this object.
func (c *client) expectObject(want obj) obj {
	c.t.Helper()
	got, err := c.take(want)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

// take is expectObject for the other goroutines of a scenario.
func (c *client) take(want obj) (obj, error) {
	frame, err := c.next(patience)
	if err != nil {
		return nil, fmt.Errorf("%s: instead of %s: %w", c.name, describe(want), err)
	}
	got, err := parse(frame)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if wrong := mismatch("", want, got); wrong != "" {
		return nil, fmt.Errorf("%s: got %.300s instead of %s: %s", c.name, frame, describe(want), wrong)
	}
	return got, nil
}

// describe returns what was expected, as text. A match has no JSON form.
func describe(want obj) string {
	if typ, ok := want["type"]; ok {
		return fmt.Sprint(typ)
	}
	return fmt.Sprint(want)
}

// expectError reads an Error with this code, after which the socket stays open.
func (c *client) expectError(code string) {
	c.t.Helper()
	c.expect("Error", obj{"code": code, "message": aSentence})
}

// expectClose checks that the socket ends now, with nothing unread.
func (c *client) expectClose(code int) {
	c.t.Helper()
	frame, err := c.next(patience)
	if err == nil {
		c.t.Fatalf("%s: got %.300s instead of close %d", c.name, frame, code)
	}
	if got := websocket.CloseStatus(err); int(got) != code {
		c.t.Fatalf("%s: ended with %v instead of close %d", c.name, err, code)
	}
}

// expectExpired checks that the socket ends as those of an expired chat do.
func (c *client) expectExpired(v *visitor) {
	c.t.Helper()
	c.expect("ChatExpired", obj{"chatId": v.chatID})
	c.expectClose(1000)
}

// expectNothing checks that nothing comes for a moment.
func (c *client) expectNothing() {
	c.t.Helper()
	c.expectNothingFor(quiet)
}

func (c *client) expectNothingFor(d time.Duration) {
	c.t.Helper()
	if frame, err := c.next(d); err == nil {
		c.t.Fatalf("%s: nobody expected %.300s", c.name, frame)
	} else if !errors.Is(err, errQuiet) {
		c.t.Fatalf("%s: ended with %v", c.name, err)
	}
}

// expectAnswersOnly asks for an answer, which must be the next frame: everything that the
// server had sent before was read.
func (c *client) expectAnswersOnly() {
	c.t.Helper()
	c.send("AreYouThere", nil)
	c.expectError("unknown_type")
}
