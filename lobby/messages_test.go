package lobby

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json/jsontext"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden compares every message that the lobby sends with a file of
// testdata: the protocol, byte by byte.
func TestGolden(t *testing.T) {
	nika := User{"Nika", "9d6d2db0cdb84d8ba67105670d94d641", "d2464b5386044daf9e36ffd414260f67", true}
	dodo := User{"Dodo <&> \"", "b646273c1f8840b1ad296b40ef62f2c5", "2500f760be124d299f214c5f3aa0ecf2", false}
	p := newPicture(func(b []byte) []byte { return append(bytes.Clone(b), '\n') })
	empty := p.snapshot(true, false)
	p.add(dodo, 2, 1)
	p.add(nika, 1, 2)
	for name, payload := range map[string][]byte{
		"UserJoined":            append(event{kindUserJoined, nika}.payload(), '\n'),
		"UserJoined-verified":   append(event{kindUserJoined, nika}.detailed(), '\n'),
		"RemoveUser":            append(event{kindRemoveUser, nika}.payload(), '\n'),
		"snapshot":              p.snapshot(false, false),
		"snapshot-verified":     p.snapshot(false, true),
		"PendingUsers":          p.snapshot(true, false),
		"PendingUsers-verified": p.snapshot(true, true),
		"PendingUsers-empty":    empty,
		"Error":                 append(wire.UnknownKind.Payload(""), '\n'),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, payload, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(payload) != string(want) {
				t.Errorf("got\n%s\nwant\n%s", payload, want)
			}
		})
	}
}

func TestDecodeEvent(t *testing.T) {
	for payload, want := range map[string]string{
		`{"type":"UserJoined","args":{"username":"N","userId":"u","chatId":"c"}}`:        `{"type":"UserJoined","args":{"username":"N","userId":"u","chatId":"c"}}`,
		`{ "args":{"chatId":"c","x":1,"userId":"u","username":"N"},"type":"UserJoined"}`: `{"type":"UserJoined","args":{"username":"N","userId":"u","chatId":"c"}}`,
		`{"type":"RemoveUser","args":{"userId":"u"}}`:                                    `{"type":"RemoveUser","args":{"userId":"u"}}`,
		`{"type":"UserJoined","args":{"username":"N","userId":"u"}}`:                     "",
		`{"type":"UserJoined","args":{"username":5,"userId":"u","chatId":"c"}}`:          "",
		`{"type":"RemoveUser"}`:                              "",
		`{"type":"RemoveUser","args":{"userId":""}}`:         "",
		`{"type":"Error","args":{"code":"x","message":"y"}}`: "",
		`{"username":"N","userId":"u","chatId":"c"}`:         "",
		"hello": "",
		"":      "",
	} {
		e, ok := decodeEvent([]byte(payload))
		if ok != (want != "") {
			t.Errorf("%s: ok is %v", payload, ok)
		} else if ok && string(e.payload()) != want {
			t.Errorf("%s: passed on as %s", payload, e.payload())
		}
	}
}

// TestDecodeLogged: the queue's own log tells who is verified; what goes to the
// topic, and what comes from it, does not.
func TestDecodeLogged(t *testing.T) {
	const plainUser = `{"username":"\",\"verified\":true}}","userId":"u","chatId":"c"}`
	user := User{Username: `","verified":true}}`, UserID: "u", ChatID: "c"}
	for _, verified := range []bool{false, true} {
		user.Verified = verified
		stored, err := user.detailed()
		if err != nil {
			t.Fatal(err)
		}
		logged := []byte(`{"type":"UserJoined","args":` + string(stored) + `}`) // as the script does
		before := string(logged)
		public, got := plain(logged)
		if want := `{"type":"UserJoined","args":` + plainUser + `}`; got != verified || string(public) != want {
			t.Errorf("verified is %v, and everybody gets %s", got, public)
		}
		e, ok := decodeLogged(logged)
		if !ok || e.User != user || string(e.detailed()) != before || string(e.payload()) != string(public) {
			t.Errorf("%s is read as %+v, %v", logged, e, ok)
		}
		if e, ok = decodeEvent(logged); !ok || e.Verified {
			t.Errorf("a stranger has verified somebody: %+v, %v", e, ok)
		}
		if string(logged) != before {
			t.Error("the log's own bytes were changed")
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"type":"UserJoined","args":{"username":"N","userId":"u","chatId":"c"}}`))
	f.Add([]byte(`{"type":"RemoveUser","args":{"userId":"u"}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, ok := decodeEvent(payload)
		if !ok {
			return
		}
		again, ok := decodeEvent(e.payload())
		if !ok || again != e {
			t.Fatalf("%+v passed on is %+v", e, again)
		}
		if !jsontext.Value(e.payload()).IsValid() {
			t.Fatal("agents would get no JSON")
		}
	})
}
