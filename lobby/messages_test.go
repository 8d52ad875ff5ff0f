package lobby

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRecords: what the queue keeps is encoded by hand as its types say.
func TestRecords(t *testing.T) {
	for _, u := range []User{
		{},
		{Username: "Nika", UserID: "u", ChatID: "c"},
		{Username: "Dodo <&> \"", UserID: "u", ChatID: "c", Team: "Дана \\", Message: "a\nb\u2028", Verified: true, Messages: 5, Since: 7},
		{Username: "Nika", UserID: "u", ChatID: "c", Details: `{"page":"x"}`, Team: "t"},
	} {
		public, err := json.Marshal(&u)
		if got := u.public(); err != nil || string(got) != string(public) {
			t.Errorf("public: got %s, want %s, %v", got, public, err)
		}
		want, err := json.Marshal(u.extended())
		if got, failed := u.record(); err != nil || failed != nil || string(got) != string(want) {
			t.Errorf("record: got %s, want %s, %v, %v", got, want, err, failed)
		}
		h := Held{User: u, Agent: "a", SupportID: "s", SupportUserName: "Vika \"<\"", Since: 1697998739360855}
		want, err = json.Marshal(heldRecord{h.UserID, h.Username, h.SupportUserName, h.Team, h.Since})
		if got := h.record(); err != nil || string(got) != string(want) {
			t.Errorf("held: got %s, want %s, %v", got, want, err)
		}
	}
}

// TestGolden compares every message that the lobby sends with a file of
// testdata: the protocol, byte by byte.
func TestGolden(t *testing.T) {
	nika := User{
		Username: "Nika", UserID: "9d6d2db0cdb84d8ba67105670d94d641", ChatID: "d2464b5386044daf9e36ffd414260f67",
		Verified: true, Since: 1697998739360855, Team: "billing", Message: "My order \"1042\" <&>",
		Details: `{"page":"https://shop.example/cart","language":"de","fields":{"order":"1042"}}`,
	}
	dodo := User{Username: "Dodo <&> \"", UserID: "b646273c1f8840b1ad296b40ef62f2c5", ChatID: "2500f760be124d299f214c5f3aa0ecf2"}
	p := newPicture(func(b []byte) []byte { return append(bytes.Clone(b), '\n') })
	empty := p.snapshot(true, plain, "")
	p.add(dodo, 2, 1)
	p.add(nika, 1, 2)
	all, nobody := newRoster(), newRoster()
	nobody.stale = true
	nobody.encode()
	all.set(agentNews{id: "vika@shop.example", capacity: 4, held: 2, claimed: 1, offered: 1, seats: []seatNews{
		{since: 1, teams: newTeamSet([]string{"billing", "sales"}, nil), about: about{Name: "Vika", Known: true}},
	}})
	all.set(agentNews{id: "0123456789abcdef0123456789abcdef", away: true, held: 2, claimed: 1, seats: []seatNews{{since: 1}}})
	all.encode()
	assigned := offerNews{chatID: nika.ChatID, agent: "vika", expires: 1697998739360, user: nika}
	offer := assigned
	offer.text = offerText{"Dodo <&>", "knows \"it\""}
	held := chatNews{nika.ChatID, "vika", "7c27aa0a7c1c4a5e8f2c6c3d8b7a9e10", heldRecord{nika.UserID, nika.Username, "Vika", "", nika.Since}}
	for name, payload := range map[string][]byte{
		"UserJoined":            append(event{kindUserJoined, nika}.payload(plain), '\n'),
		"UserJoined-verified":   append(event{kindUserJoined, nika}.payload(verified), '\n'),
		"UserJoined-details":    append(event{kindUserJoined, nika}.payload(detailed), '\n'),
		"UserChanged":           append(event{kindUserChanged, nika}.payload(detailed), '\n'),
		"RemoveUser":            append(event{kindRemoveUser, nika}.payload(detailed), '\n'),
		"snapshot":              p.snapshot(false, plain, ""),
		"snapshot-verified":     p.snapshot(false, verified, ""),
		"snapshot-details":      p.snapshot(false, detailed, ""),
		"PendingUsers":          p.snapshot(true, plain, ""),
		"PendingUsers-verified": p.snapshot(true, verified, ""),
		"PendingUsers-details":  p.snapshot(true, detailed, ""),
		"PendingUsers-empty":    empty,
		"Agents":                append(all.payload, '\n'),
		"Agents-empty":          append(nobody.payload, '\n'),
		"Offer":                 append(offer.payload(plain), '\n'),
		"Offer-details":         append(offer.payload(detailed), '\n'),
		"Offer-assigned":        append(assigned.payload(plain), '\n'),
		"OfferGone":             append(offerGonePayload(nika.UserID), '\n'),
		"Chat":                  append(held.payload(), '\n'),
		"ChatGone":              append(chatGonePayload(nika.ChatID), '\n'),
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
		} else if ok && string(e.payload(plain)) != want {
			t.Errorf("%s: passed on as %s", payload, e.payload(plain))
		}
	}
}

// TestDecodeLogged: what the queue has of a user counts, in the form of this server
// and of those that know no records; what anybody publishes does not.
func TestDecodeLogged(t *testing.T) {
	user := User{
		Username: `","verified":true}}`, UserID: "u", ChatID: "c", Verified: true, Since: 17, Messages: 3,
		Team: "billing", Details: `{"language":"de"}`, Message: "{} 5 \u2028",
	}
	record, err := user.record()
	if err != nil {
		t.Fatal(err)
	}
	public := event{kindUserJoined, user}.payload(plain)
	for _, kind := range []string{kindUserJoined, kindUserChanged} {
		payload := public
		if kind == kindUserChanged {
			payload = []byte(`{"type":"UserChanged"}`)
		}
		e, ok := decodeLogged(entry{1, payload, append([]byte("17 3 "), record...)})
		if !ok || e.Kind != kind || e.User != user {
			t.Errorf("%s with a record is read as %+v, %v", kind, e, ok)
		}
	}
	former := User{Username: user.Username, UserID: "u", ChatID: "c"}
	if e, ok := decodeLogged(entry{1, public, nil}); !ok || e.User != former {
		t.Errorf("without a record it is read as %+v, %v", e, ok)
	}
	logged := `{"type":"UserJoined","args":{"username":"\",\"verified\":true}}","userId":"u","chatId":"c","verified":true}}`
	former.Verified = true
	if e, ok := decodeLogged(entry{1, []byte(logged), nil}); !ok || e.User != former || string(e.payload(plain)) != string(public) {
		t.Errorf("a former server's user is read as %+v, %v", e, ok)
	}
	if e, ok := decodeEvent([]byte(logged)); !ok || e.Verified {
		t.Errorf("a stranger has verified somebody: %+v, %v", e, ok)
	}
	for _, junk := range []string{"", "17", "17 3", "x 3 {}", "17 x {}", "17 3 []", "17 3 {}", `17 3 {"userId":5}`} {
		if u, ok := parseRecord([]byte(junk)); ok {
			t.Errorf("%q is read as %+v", junk, u)
		}
	}
	if _, ok := decodeLogged(entry{1, []byte(`{"type":"UserChanged"}`), nil}); ok {
		t.Error("a change of nobody")
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
		again, ok := decodeEvent(e.payload(plain))
		if !ok || again != e {
			t.Fatalf("%+v passed on is %+v", e, again)
		}
		if !jsontext.Value(e.payload(plain)).IsValid() {
			t.Fatal("agents would get no JSON")
		}
	})
}
