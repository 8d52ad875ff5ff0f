package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// A bidi is a session of WebDriver BiDi (https://w3c.github.io/webdriver-bidi/):
// commands and their answers, and events, as JSON over a WebSocket.
type bidi struct {
	conn *websocket.Conn
	ctx  context.Context // ends with the connection
	read chan struct{}   // closed when the reader has ended

	mu      sync.Mutex
	last    int64
	waiting map[int64]chan bidiMessage
	handle  map[string]func(params json.RawMessage) // events, by browsing context
}

type bidiMessage struct {
	Type    string          `json:"type"` // success, error, event
	ID      int64           `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// params are a command's arguments.
type params map[string]any

// dialBidi opens the connection, which lasts until close.
func dialBidi(ctx context.Context, url string) (*bidi, error) {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(64 << 20) // pictures
	alive, end := context.WithCancel(context.Background())
	b := &bidi{
		conn:    conn,
		ctx:     alive,
		read:    make(chan struct{}),
		waiting: make(map[int64]chan bidiMessage),
		handle:  make(map[string]func(json.RawMessage)),
	}
	go func() {
		defer close(b.read)
		defer end()
		for {
			var m bidiMessage
			if err := wsjson.Read(context.Background(), conn, &m); err != nil {
				return
			}
			b.dispatch(m)
		}
	}()
	return b, nil
}

func (b *bidi) close() {
	_ = b.conn.CloseNow() // it is no fault if the browser was faster
	<-b.read
}

func (b *bidi) dispatch(m bidiMessage) {
	if m.Type != "event" {
		b.mu.Lock()
		answer := b.waiting[m.ID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		if answer != nil {
			answer <- m // it has room
		}
		return
	}
	var of struct {
		Context string `json:"context"`
		Source  struct {
			Context string `json:"context"`
		} `json:"source"`
	}
	if json.Unmarshal(m.Params, &of) != nil {
		return
	}
	b.mu.Lock()
	handle := b.handle[of.Context+of.Source.Context]
	b.mu.Unlock()
	if handle != nil {
		handle(m.Params)
	}
}

// on lets events of a browsing context be handled, one after the other; nil ends
// that. The handler must not send commands.
func (b *bidi) on(id string, handle func(json.RawMessage)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle[id] = handle
}

// command sends a command and waits for its answer.
func command[R any](ctx context.Context, b *bidi, method string, p params) (R, error) {
	var result R
	answer := make(chan bidiMessage, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = answer
	b.mu.Unlock()
	if p == nil {
		p = params{}
	}
	err := wsjson.Write(ctx, b.conn, map[string]any{"id": id, "method": method, "params": p})
	if err == nil {
		select {
		case m := <-answer:
			if m.Type == "error" {
				return result, fmt.Errorf("%s: %s: %s", method, m.Error, m.Message)
			}
			return result, json.Unmarshal(m.Result, &result)
		case <-ctx.Done():
			err = ctx.Err()
		case <-b.ctx.Done():
			err = fmt.Errorf("the connection has ended")
		}
	}
	b.mu.Lock()
	delete(b.waiting, id)
	b.mu.Unlock()
	return result, fmt.Errorf("%s: %w", method, err)
}

// A remoteValue is a value of JavaScript, as BiDi describes it.
type remoteValue struct {
	Type  string
	Value json.RawMessage
}

// plain is what JSON has for the value: null for what it does not know.
func (v remoteValue) plain() (any, error) {
	var result any
	switch v.Type {
	case "string", "boolean", "number":
		err := json.Unmarshal(v.Value, &result)
		return result, err
	case "array", "nodelist", "htmlcollection":
		var items []remoteValue
		if err := json.Unmarshal(v.Value, &items); err != nil {
			return nil, err
		}
		list := make([]any, len(items))
		for i, item := range items {
			var err error
			if list[i], err = item.plain(); err != nil {
				return nil, err
			}
		}
		return list, nil
	case "object":
		var entries [][2]json.RawMessage
		if err := json.Unmarshal(v.Value, &entries); err != nil {
			return nil, err
		}
		object := make(map[string]any, len(entries))
		for _, entry := range entries {
			var name string
			var of remoteValue
			err := errors.Join(json.Unmarshal(entry[0], &name), json.Unmarshal(entry[1], &of))
			if err == nil {
				object[name], err = of.plain()
			}
			if err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return nil, nil
}
