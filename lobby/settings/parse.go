package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// document is the file as written.
type document struct {
	Schema  string            `json:"$schema"` // for editors
	Hours   *hoursValue       `json:"hours"`
	Teams   []teamValue       `json:"teams"`
	Form    []fieldValue      `json:"form"`
	Consent *consentValue     `json:"consent"`
	Away    map[string]string `json:"away"`
	Replies []Reply           `json:"replies"`
}

type teamValue struct {
	ID    string      `json:"id"`
	Name  string      `json:"name"`
	Hours *hoursValue `json:"hours"`
}

type fieldValue struct {
	ID       string            `json:"id"`
	Label    map[string]string `json:"label"`
	Kind     Kind              `json:"kind"`
	Required bool              `json:"required"`
	Options  []string          `json:"options"`
}

type consentValue struct {
	Text map[string]string `json:"text"`
	Link string            `json:"link"`
}

// Bounds of the file, in characters except for maxBytes. Those of a field equal the bounds
// of a registration.
const (
	maxBytes    = 1 << 20
	maxName     = 64 // of a team, a question's id, a shortcut
	maxOption   = 1000
	maxFields   = 20
	maxSentence = 2000 // a text for visitors
	maxReply    = 8000 // a message
	maxLink     = 2048
)

// None returns the settings without a file.
func None() *Settings { return &Settings{Hash: "none"} }

// badValue is the error of a value at a path.
func badValue(path, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if path == "" {
		return errors.New(what)
	}
	return errors.New(path + ": " + what)
}

// Parse parses a file. An error is one line, which begins with the path of a value, such as
// hours.week.mon[1], or with the line number if the file is not JSON.
func Parse(file []byte) (*Settings, error) {
	if len(file) > maxBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxBytes)
	}
	text := []byte(strings.TrimPrefix(string(file), "\ufeff")) // a copy
	if err := checkText(text); err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(text, &d, json.RejectUnknownMembers(true)); err != nil {
		return nil, explain(text, err)
	}
	s, err := d.settings()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &s.Shown); err != nil {
		return nil, err
	}
	for _, part := range []*jsontext.Value{&s.Shown.Form, &s.Shown.Away, &s.Shown.Consent} {
		if len(*part) > 0 {
			if err := part.Compact(); err != nil {
				return nil, err
			}
		}
	}
	whole := jsontext.Value(text)
	if err := whole.Canonicalize(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(whole)
	s.Hash = hex.EncodeToString(sum[:8])
	return s, nil
}

// checkText refuses what is not JSON, duplicate keys, and null, which no key accepts.
func checkText(text []byte) error {
	d := jsontext.NewDecoder(strings.NewReader(string(text)))
	for read := false; ; read = true {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && read:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("line 1: the file is empty: want at least {}")
		case err != nil:
			return notJSON(text, err)
		case token.Kind() == 'n':
			return badValue(pathOf(text, d.StackPointer()), "null is not allowed: leave the key out")
		case d.StackDepth() == 0:
			if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
				return notJSON(text, &jsontext.SyntacticError{ByteOffset: d.InputOffset(), Err: errors.New("there is text after the end")})
			}
			return nil
		}
	}
}

func notJSON(text []byte, err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	what := strings.TrimPrefix(syntax.Err.Error(), "jsontext: ")
	if errors.Is(err, jsontext.ErrDuplicateName) {
		what = fmt.Sprintf("the key %q comes twice", syntax.JSONPointer.LastToken())
	}
	end := min(int(syntax.ByteOffset), len(strings.TrimRight(string(text), " \t\r\n")))
	return fmt.Errorf("line %d: %s", strings.Count(string(text[:end]), "\n")+1, what)
}

// explain says which part of the text does not fit the document.
func explain(text []byte, err error) error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return err
	}
	path := pathOf(text, semantic.JSONPointer)
	if errors.Is(err, json.ErrUnknownName) {
		return badValue(path, "there is no such key")
	}
	want := "want something else"
	if semantic.GoType != nil {
		switch semantic.GoType.Kind() {
		case reflect.String:
			want = "want a string"
		case reflect.Bool:
			want = "want true or false"
		case reflect.Slice:
			want = "want a list"
		default:
			want = "want an object"
		}
	}
	return badValue(path, "%s", want)
}

// pathOf formats a pointer as the path that people write.
func pathOf(text []byte, pointer jsontext.Pointer) string {
	var at any
	_ = json.Unmarshal(text, &at) // the text has been checked
	path := ""
	for key := range pointer.Tokens() {
		switch value := at.(type) {
		case []any:
			path += "[" + key + "]"
			at = nil
			for i := range value {
				if fmt.Sprint(i) == key {
					at = value[i]
				}
			}
		default:
			path = keyOf(path, key)
			object, _ := value.(map[string]any)
			at = object[key]
		}
	}
	return path
}

// keyOf returns the path of an object's value.
func keyOf(path, key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-$", r)
	})
	switch {
	case !plain:
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// settings checks the values.
func (d *document) settings() (*Settings, error) {
	s := &Settings{Replies: d.Replies}
	var err error
	if d.Hours != nil {
		if s.hours, err = d.Hours.hours("hours"); err != nil {
			return nil, err
		}
	}
	ids := map[string]string{}
	for i, t := range d.Teams {
		team, err := t.team(fmt.Sprintf("teams[%d]", i), ids)
		if err != nil {
			return nil, err
		}
		s.teams = append(s.teams, team)
	}
	if len(d.Form) > maxFields {
		return nil, badValue("form", "there are %d questions: want at most %d", len(d.Form), maxFields)
	}
	clear(ids)
	for i, f := range d.Form {
		field, err := f.field(fmt.Sprintf("form[%d]", i), ids)
		if err != nil {
			return nil, err
		}
		s.Form = append(s.Form, field)
	}
	if d.Consent != nil {
		if err := d.Consent.check(); err != nil {
			return nil, err
		}
		s.Consent = &Consent{text: d.Consent.Text, Link: d.Consent.Link}
	}
	if err := checkTexts("away", d.Away); err != nil {
		return nil, err
	}
	clear(ids)
	for i, r := range d.Replies {
		path := fmt.Sprintf("replies[%d]", i)
		if err := checkID(path+".shortcut", r.Shortcut, ids); err != nil {
			return nil, err
		}
		if err := checkString(path+".text", r.Text, maxReply); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (t teamValue) team(path string, ids map[string]string) (Team, error) {
	team := Team{ID: t.ID, Name: t.Name}
	if err := checkID(path+".id", t.ID, ids); err != nil {
		return team, err
	}
	if team.Name == "" {
		team.Name = team.ID
	}
	if err := checkString(path+".name", team.Name, maxName); err != nil {
		return team, err
	}
	var err error
	if t.Hours != nil {
		team.hours, err = t.Hours.hours(path + ".hours")
	}
	return team, err
}

func (f fieldValue) field(path string, ids map[string]string) (Field, error) {
	field := Field{ID: f.ID, Kind: f.Kind, Required: f.Required, Options: f.Options}
	if err := checkID(path+".id", f.ID, ids); err != nil {
		return field, err
	}
	if err := checkTexts(path+".label", f.Label); err != nil {
		return field, err
	}
	if field.Kind == "" {
		field.Kind = Text
	}
	if !slices.Contains(kinds, field.Kind) {
		return field, badValue(path+".kind", "%q is not a kind: want text, email, select or checkbox", f.Kind)
	}
	if field.Kind == Select && len(f.Options) == 0 {
		return field, badValue(path+".options", "a select needs options to choose from")
	}
	for i, option := range f.Options {
		if err := checkString(fmt.Sprintf("%s.options[%d]", path, i), option, maxOption); err != nil {
			return field, err
		}
	}
	return field, nil
}

func (c consentValue) check() error {
	if err := checkTexts("consent.text", c.Text); err != nil {
		return err
	}
	if len(c.Text) == 0 {
		return badValue("consent.text", "want the text that visitors agree to, by language")
	}
	if c.Link == "" {
		return nil
	}
	u, err := url.Parse(c.Link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || utf8.RuneCountInString(c.Link) > maxLink {
		return badValue("consent.link", "%q is not a link: want one such as https://example.com/privacy", c.Link)
	}
	return nil
}

// checkID requires an id that is not in ids, which has the paths of earlier ones.
func checkID(path, id string, ids map[string]string) error {
	if err := checkString(path, id, maxName); err != nil {
		return err
	}
	if first, ok := ids[id]; ok {
		return badValue(path, "%q is already used at %s", id, first)
	}
	ids[id] = path
	return nil
}

func checkString(path, value string, most int) error {
	if strings.TrimSpace(value) == "" {
		return badValue(path, "want 1 to %d characters", most)
	}
	if n := utf8.RuneCountInString(value); n > most {
		return badValue(path, "there are %d characters: want at most %d", n, most)
	}
	return nil
}

// checkTexts requires texts by language.
func checkTexts(path string, texts map[string]string) error {
	for _, tag := range sorted(texts) {
		at := keyOf(path, tag)
		if !isLanguage(tag) {
			return badValue(at, "%q is not a language: want a tag such as en or pt-BR", tag)
		}
		if err := checkString(at, texts[tag], maxSentence); err != nil {
			return err
		}
	}
	return nil
}

// isLanguage reports whether tag has the form of a language tag (BCP 47), registered or
// not.
func isLanguage(tag string) bool {
	for i, part := range strings.Split(tag, "-") {
		if len(part) == 0 || len(part) > 8 || i == 0 && (len(part) < 2 || len(part) > 3) {
			return false
		}
		for _, r := range part {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
			if !letter && (i == 0 || r < '0' || r > '9') {
				return false
			}
		}
	}
	return true
}
