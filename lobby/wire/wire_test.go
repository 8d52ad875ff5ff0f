package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func TestDecode(t *testing.T) {
	for name, test := range map[string]struct {
		frame string
		code  Code // "" for none
		kind  string
		args  string
	}{
		"message":              {`{"type":"Load","args":{"batch":true}}`, "", "Load", `{"batch":true}`},
		"white space":          {" {\"type\" : \"Load\"}\n", "", "Load", ""},
		"unknown fields":       {`{"x":[1],"type":"Load","y":null}`, "", "Load", ""},
		"args null":            {`{"type":"Load","args":null}`, "", "Load", ""},
		"args of another kind": {`{"type":"Load","args":5}`, "", "Load", "5"},
		"last of two counts":   {`{"type":"A","type":"Load"}`, "", "Load", ""},
		"escaped":              {`{"type":"\u004coad"}`, "", "Load", ""},
		"deep":                 {`{"type":"Load","args":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "", "Load", strings.Repeat("[", 9000) + strings.Repeat("]", 9000)},
		"empty":                {"", BadJSON, "", ""},
		"word":                 {"ping", BadJSON, "", ""},
		"array":                {`[{"type":"Load"}]`, BadJSON, "", ""},
		"number":               {"5", BadJSON, "", ""},
		"null":                 {"null", BadJSON, "", ""},
		"string":               {`"Load"`, BadJSON, "", ""},
		"truncated":            {`{"type":"Load"`, BadJSON, "", ""},
		"two objects":          {`{"type":"Load"}{}`, BadJSON, "", ""},
		"broken behind type":   {`{"type":5,"args":}`, BadJSON, "", ""},
		"invalid UTF-8":        {"{\"type\":\"Load\",\"x\":\"\xff\"}", BadJSON, "", ""},
		"lone surrogate":       {`{"type":"Load","x":"\ud800"}`, BadJSON, "", ""},
		"lone low surrogate":   {`{"type":"Load","x":"\udc00a"}`, BadJSON, "", ""},
		"control character":    {"{\"type\":\"Lo\nad\"}", BadJSON, "", ""},
		"too deep":             {`{"type":"Load","args":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, BadJSON, "", ""},
		"no type":              {`{"args":{}}`, BadRequest, "", ""},
		"type empty":           {`{"type":""}`, BadRequest, "", ""},
		"type null":            {`{"type":null}`, BadRequest, "", ""},
		"type number":          {`{"type":5}`, BadRequest, "", ""},
		"type in other case":   {`{"Type":"Load"}`, BadRequest, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			kind, args, err := Decode([]byte(test.frame))
			if test.code != "" {
				if err == nil || err.Code != test.code {
					t.Fatalf("got %v, want %s", err, test.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if kind != test.kind || string(args) != test.args {
				t.Errorf("got %q %.40q, want %q %.40q", kind, args, test.kind, test.args)
			}
		})
	}
}

func TestDecodeArgs(t *testing.T) {
	type args struct {
		Name  string   `json:"name"`
		Batch bool     `json:"batch"`
		List  []string `json:"list"`
	}
	for raw, message := range map[string]string{
		``:                           "",
		`{}`:                         "",
		`{"name":"a","batch":true}`:  "",
		`{"name":null,"list":null}`:  "",
		`{"NAME":5,"other":{"x":1}}`: "",
		`5`:                          `The field "args" has the wrong type.`,
		`[]`:                         `The field "args" has the wrong type.`,
		`{"name":5}`:                 `The field "name" has the wrong type.`,
		`{"batch":"true"}`:           `The field "batch" has the wrong type.`,
		`{"list":["a",5]}`:           `The field "list/1" has the wrong type.`,
	} {
		var a args
		var value jsontext.Value
		if raw != "" {
			value = jsontext.Value(raw)
		}
		err := DecodeArgs(value, &a)
		switch {
		case message == "" && err != nil:
			t.Errorf("%s: %v", raw, err)
		case message != "" && (err == nil || err.Code != BadRequest || err.Message != message):
			t.Errorf("%s: got %v, want %s", raw, err, message)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	for raw, seconds := range map[string]int{
		`{}`: 0, `{"heartbeat":null}`: 0, `{"heartbeat":1}`: 1, `{"heartbeat": 10 }`: 10, `{"heartbeat":30}`: 30,
		`{"heartbeat":0}`: -1, `{"heartbeat":31}`: -1, `{"heartbeat":-1}`: -1, `{"heartbeat":-0}`: -1,
		`{"heartbeat":10.5}`: -1, `{"heartbeat":10.0}`: -1, `{"heartbeat":1e1}`: -1, `{"heartbeat":266}`: -1,
		`{"heartbeat":99999999999999999999}`: -1, `{"heartbeat":"10"}`: -1, `{"heartbeat":""}`: -1,
		`{"heartbeat":true}`: -1, `{"heartbeat":[10]}`: -1, `{"heartbeat":{}}`: -1,
	} {
		var args struct {
			Heartbeat Heartbeat `json:"heartbeat"`
		}
		err := DecodeArgs(jsontext.Value(raw), &args)
		switch {
		case seconds < 0 && (err == nil || *err != *errHeartbeat):
			t.Errorf("%s: got %v", raw, err)
		case seconds >= 0 && (err != nil || time.Duration(args.Heartbeat) != time.Duration(seconds)*time.Second):
			t.Errorf("%s: got %v, %v", raw, time.Duration(args.Heartbeat), err)
		}
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	versionDigits := map[byte]bool{}
	for range 1000 {
		id := NewID()
		if !ValidID(id) || seen[id] {
			t.Fatalf("id %q: bad or repeated", id)
		}
		seen[id] = true
		versionDigits[id[12]] = true
	}
	if len(versionDigits) != 16 {
		t.Errorf("the 13th digit takes %d values of 16: not all bits are random", len(versionDigits))
	}
	for _, bad := range []string{"", "abc", strings.Repeat("A", 32), strings.Repeat("g", 32), strings.Repeat("0", 33), strings.Repeat("0", 31) + "\n"} {
		if ValidID(bad) {
			t.Errorf("ValidID(%q)", bad)
		}
	}
}

// TestAppendString: texts are encoded as the rest of a message is.
func TestAppendString(t *testing.T) {
	texts := []string{"", "Nika", "d2464b5386044daf9e36ffd414260f67", "Дана", "a\u2028b\u2029", "<&>", "\U0001F600 \"\\\\\"", "a\x7f"}
	for c := range byte(' ') {
		texts = append(texts, "a"+string(rune(c))+"b")
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		if got := AppendString([]byte("x"), text); err != nil || string(got) != "x"+string(want) {
			t.Errorf("%q: got %s, want x%s, %v", text, got, want, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range []string{
		`{"type":"Load","args":{}}`, `{"type":"Load","args":{"a":{}},"args":{}}`, `{"type":"Load","args":{}}}`, `{"type":"Load","args":{}`,
		`{"type":"Load","args":{} }`, `{"type":"Load","args": {}}`, `{"type":"","args":{}}`, `{"type":"Load","args":}}`, `{"type":"Load","args":{"a":1,"a":2}}`,
		`{"type":"Load","args":{"a":1},"type":"Join","x":{}}`, `{"type":"L\u0061d","args":{}}`, "{\"type\":\"Load\",\"args\":{\"x\":\"\xff\"}}",
		`{"type":"Load","args":{"x":"\ud800"}}`, `{"type":"Load","args":{},"x":{}}`, `{"type":"Load","args":{`,
	} {
		f.Add([]byte(frame))
	}
	f.Add([]byte(`{"type":"Join","args":{"userId":"x","from":"User","features":["messageId"]}}`))
	f.Add([]byte(`{"type":"ChatMessage","args":{"content":"\u0000","messageId":""}}`))
	f.Add([]byte("{\"type\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		kind, args, err := Decode(frame)
		if anyKind, anyArgs, anyErr := decodeAny(frame); kind != anyKind || string(args) != string(anyArgs) || (args == nil) != (anyArgs == nil) || (err == nil) != (anyErr == nil) {
			t.Fatalf("%q %q %v, the usual way; otherwise %q %q %v", kind, args, err, anyKind, anyArgs, anyErr)
		}
		if err != nil {
			if err.Code != BadJSON && err.Code != BadRequest {
				t.Fatalf("code %s", err.Code)
			}
			return
		}
		if kind == "" {
			t.Fatal("no kind and no error")
		}
		// What has been taken can be sent on.
		var values struct {
			A string   `json:"content"`
			B []string `json:"features"`
		}
		if DecodeArgs(args, &values) == nil {
			if kind, _, err := Decode(Encode(kind, values)); err != nil {
				t.Fatalf("what was decoded cannot be sent on: %q %v", kind, err)
			}
		}
	})
}
