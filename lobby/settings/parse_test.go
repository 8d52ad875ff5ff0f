package settings

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

const (
	exampleFile = "../../cmd/deploy/settings.json"
	schemaFile  = "../../web/api/settings.schema.json"
)

func schemaDocument(t testing.TB) any {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return document
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document := schemaDocument(t)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("settings.schema.json", document))
	compiled, err := compiler.Compile("settings.schema.json")
	require.NoError(t, err)
	return compiled
}

// fits reports whether the schema takes a text; one that is not JSON it does not.
func fits(s *jsonschema.Schema, text string) bool {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	return err == nil && s.Validate(value) == nil
}

// TestErrorOfThePage: what cmd/deploy/README.md shows of an invalid file is what it
// gets.
func TestErrorOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../cmd/deploy/README.md")
	require.NoError(t, err)
	_, err = Parse([]byte(`{"hours":{"week":{"mon":["09:00-12:00","13:00-25:00"]}}}`))
	require.Error(t, err)
	shown, _, found := strings.Cut(err.Error(), ": want ")
	require.True(t, found, err)
	require.Contains(t, string(page), "`"+shown+"`")
}

// TestExample: the file that cmd/deploy/README.md starts with is right, and has every key
// that there is.
func TestExample(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	require.True(t, fits(schema(t), string(text)))
	s, err := Parse(text)
	require.NoError(t, err)
	require.Len(t, s.Teams(), 2)
	require.NotNil(t, s.Consent)
	require.NotEmpty(t, s.Shown.Away)
	kindsSeen := map[Kind]bool{}
	for _, f := range s.Form {
		kindsSeen[f.Kind] = true
	}
	require.Len(t, kindsSeen, len(kinds))

	known := schemaDocument(t)
	var keys func(node any)
	keys = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if properties, ok := node["properties"].(map[string]any); ok && node["required"] == nil || ok && node["additionalProperties"] == false {
				for key := range properties {
					require.Contains(t, string(text), `"`+key+`"`)
				}
			}
			for _, below := range node {
				keys(below)
			}
		case []any:
			for _, below := range node {
				keys(below)
			}
		}
	}
	keys(known)
}

// TestParse: what is wrong is named with its place, in one line; the schema agrees
// unless it cannot know.
func TestParse(t *testing.T) {
	s := schema(t)
	long := func(n int) string { return strings.Repeat("ä", n) }
	for _, test := range []struct {
		text, err string
		schema    bool // the schema takes it all the same
	}{
		{`{}`, "", true},
		{"\ufeff{}", "", false}, // an editor's mark; a schema's reader wants none
		{"{\n  \"away\": {\"en\": \"Soon\"}\n}\n", "", true},
		{``, "line 1: the file is empty: want at least {}", false},
		{" \n", "line 1: the file is empty: want at least {}", false},
		{`[]`, "want an object", false},
		{`"x"`, "want an object", false},
		{`null`, "null is not allowed: leave the key out", false},
		{"{\n\"teams\": [\n{\"id\": \"a\"},\n]}", "line 3: invalid character ',' at start of value", false},
		{"{\n\"teams\": [", "line 2: unexpected EOF", false},
		{"{\n}\n{}\n", "line 3: there is text after the end", false},
		{"{\"away\":{},\n\"away\":{}}", `line 2: the key "away" comes twice`, true},
		{"{\"away\":{\"en\":\"\xff\"}}", "line 1: invalid UTF-8", true},
		{"{'away':{}}", "line 1: invalid character '\\'' at start of value", false},
		{`{"hour":{}}`, "hour: there is no such key", false},
		{`{"Hours":{}}`, "Hours: there is no such key", false},
		{`{"hours":null}`, "hours: null is not allowed: leave the key out", false},
		{`{"hours":[]}`, "hours: want an object", false},
		{`{"hours":{"zones":"UTC"}}`, "hours.zones: there is no such key", false},
		{`{"hours":{"zone":5}}`, "hours.zone: want a string", false},
		{`{"hours":{"zone":"Europe/Berln"}}`, `hours.zone: "Europe/Berln" is not a time zone: want a name such as Europe/Berlin`, true},
		{`{"hours":{"zone":"Local"}}`, `hours.zone: "Local" is not a time zone: want a name such as Europe/Berlin`, true},
		{`{"hours":{"zone":"../zoneinfo/UTC"}}`, `hours.zone: "../zoneinfo/UTC" is not a time zone: want a name such as Europe/Berlin`, true},
		{`{"hours":{"zone":"America/New_York"}}`, "", true},
		{`{"hours":{"week":{"monday":[]}}}`, "hours.week.monday: there is no such key", false},
		{`{"hours":{"week":{"mon":"09:00-17:00"}}}`, "hours.week.mon: want a list", false},
		{`{"hours":{"week":{"mon":[9]}}}`, "hours.week.mon[0]: want a string", false},
		{`{"hours":{"week":{"mon":["09:00-12:00","13:00-25:00"]}}}`, `hours.week.mon[1]: "25:00" is not a time: want hours and minutes such as 09:00`, false},
		{`{"hours":{"week":{"mon":["24:01-02:00"]}}}`, `hours.week.mon[0]: "24:01" is not a time: want hours and minutes such as 09:00`, false},
		{`{"hours":{"week":{"mon":["9:00-17:00"]}}}`, `hours.week.mon[0]: "9:00" is not a time: want hours and minutes such as 09:00`, false},
		{`{"hours":{"week":{"mon":["09:60-17:00"]}}}`, `hours.week.mon[0]: "09:60" is not a time: want hours and minutes such as 09:00`, false},
		{`{"hours":{"week":{"mon":["09:00 - 17:00"]}}}`, `hours.week.mon[0]: "09:00 " is not a time: want hours and minutes such as 09:00`, false},
		{`{"hours":{"week":{"mon":["-9:00-17:00"]}}}`, `hours.week.mon[0]: "" is not a time: want hours and minutes such as 09:00`, false},
		{`{"hours":{"week":{"mon":["all day"]}}}`, `hours.week.mon[0]: "all day" is not a span: want one such as 09:00-17:00`, false},
		{`{"hours":{"week":{"mon":["00:00-24:00","24:00-02:00","22:00-02:00","08:00-08:00"]}}}`, "", true},
		{`{"hours":{"holidays":["2026-12-25","25.12.2026"]}}`, `hours.holidays[1]: "25.12.2026" is not a date: want one such as 2026-12-25`, false},
		{`{"hours":{"holidays":["2027-02-29"]}}`, `hours.holidays[0]: "2027-02-29" is not a date: want one such as 2026-12-25`, false},
		{`{"hours":{"holidays":["2028-02-29"]}}`, "", true},
		{`{"hours":{"openings":{"2026-13-01":[]}}}`, `hours.openings.2026-13-01: "2026-13-01" is not a date: want one such as 2026-12-25`, false},
		{`{"hours":{"openings":{"2026-12-27":["10:00"]}}}`, `hours.openings.2026-12-27[0]: "10:00" is not a span: want one such as 09:00-17:00`, false},
		{`{"hours":{"openings":{"2026-12-24":[]}}}`, "", true},
		{`{"teams":{"id":"a"}}`, "teams: want a list", false},
		{`{"teams":["billing"]}`, "teams[0]: want an object", false},
		{`{"teams":[{}]}`, "teams[0].id: want 1 to 64 characters", false},
		{`{"teams":[{"id":" "}]}`, "teams[0].id: want 1 to 64 characters", false},
		{`{"teams":[{"id":"` + long(64) + `"}]}`, "", true},
		{`{"teams":[{"id":"` + long(65) + `"}]}`, "teams[0].id: there are 65 characters: want at most 64", false},
		{`{"teams":[{"id":"a"},{"id":"b"},{"id":"a"}]}`, `teams[2].id: "a" is already used at teams[0].id`, true},
		{`{"teams":[{"id":"a","hours":{"zone":"x"}}]}`, `teams[0].hours.zone: "x" is not a time zone: want a name such as Europe/Berlin`, true},
		{`{"teams":[{"id":"a","open":true}]}`, "teams[0].open: there is no such key", false},
		{`{"teams":[{"id":"a","0":true}]}`, "teams[0].0: there is no such key", false},
		{`{"form":[{"id":"a","kind":"number"}]}`, `form[0].kind: "number" is not a kind: want text, email, select or checkbox`, false},
		{`{"form":[{"id":"a","kind":"select"}]}`, "form[0].options: a select needs options to choose from", false},
		{`{"form":[{"id":"a","kind":"select","options":["x"," "]}]}`, "form[0].options[1]: want 1 to 1000 characters", false},
		{`{"form":[{"id":"a","required":"yes"}]}`, "form[0].required: want true or false", false},
		{`{"form":[{"id":"a","label":"Name"}]}`, "form[0].label: want an object", false},
		{`{"form":[{"id":"a","label":{"en":""}}]}`, "form[0].label.en: want 1 to 2000 characters", false},
		{`{"form":[{"id":"a","label":{"english":"x"}}]}`, `form[0].label.english: "english" is not a language: want a tag such as en or pt-BR`, false},
		{`{"form":[{"id":"a","label":{"en US":"x"}}]}`, `form[0].label["en US"]: "en US" is not a language: want a tag such as en or pt-BR`, false},
		{`{"form":[{"id":"a","label":{"pt-BR":"x","zh-Hant-TW":"y"}},{"id":"b","kind":"text","options":["x"]}]}`, "", true},
		{`{"form":[{"id":"a"},{"id":"a"}]}`, `form[1].id: "a" is already used at form[0].id`, true},
		{`{"form":[` + strings.Repeat(`{},`, 20) + `{}]}`, "form: there are 21 questions: want at most 20", false},
		{`{"consent":{"link":"https://a"}}`, "consent.text: want the text that visitors agree to, by language", false},
		{`{"consent":{"text":{"en":"x"},"link":"javascript:alert(1)"}}`, `consent.link: "javascript:alert(1)" is not a link: want one such as https://example.com/privacy`, false},
		{`{"consent":{"text":{"en":"x"},"link":"/privacy"}}`, `consent.link: "/privacy" is not a link: want one such as https://example.com/privacy`, false},
		{`{"consent":{"text":{"en":"x"}}}`, "", true},
		{`{"away":{"en":"x","de":5}}`, "away.de: want a string", false},
		{`{"away":{"":"x"}}`, `away[""]: "" is not a language: want a tag such as en or pt-BR`, false},
		{`{"replies":[{"shortcut":"hi","text":"x"},{"shortcut":"hi","text":"y"}]}`, `replies[1].shortcut: "hi" is already used at replies[0].shortcut`, true},
		{`{"replies":[{"shortcut":"hi"}]}`, "replies[0].text: want 1 to 8000 characters", false},
		{`{"replies":[{"text":"hi"}]}`, "replies[0].shortcut: want 1 to 64 characters", false},
		{strings.Repeat(" ", maxBytes) + "{}", "the file is larger than 1048576 bytes", true},
	} {
		got, err := Parse([]byte(test.text))
		name := test.text[:min(80, len(test.text))]
		if test.err == "" {
			require.NoError(t, err, name)
			require.Len(t, got.Hash, 16, name)
		} else {
			require.EqualError(t, err, test.err, name)
			require.Nil(t, got, name)
			require.NotContains(t, err.Error(), "\n", name)
		}
		require.Equal(t, test.schema, fits(s, test.text), "the schema: %s", name)
	}
}

// TestShown: pages get what the file has.
func TestShown(t *testing.T) {
	s, err := Parse([]byte(`{"form":[ {"label":{"de":"Name","en":"<b>"},"id":"a"} ],"consent":{"link":"https://a","text":{"en":"x"}}}`))
	require.NoError(t, err)
	require.Equal(t, `[{"label":{"de":"Name","en":"<b>"},"id":"a"}]`, string(s.Shown.Form))
	require.Equal(t, `{"link":"https://a","text":{"en":"x"}}`, string(s.Shown.Consent))
	require.Nil(t, s.Shown.Away)
	require.Equal(t, []Field{{ID: "a", Kind: Text}}, s.Form)
}

func TestHash(t *testing.T) {
	hash := func(text string) string {
		s, err := Parse([]byte(text))
		require.NoError(t, err)
		return s.Hash
	}
	require.Equal(t, hash(`{"teams":[],"away":{"en":"x"}}`), hash("{ \"away\": {\"en\": \"\\u0078\"},\n\"teams\": [] }"))
	require.NotEqual(t, hash(`{"away":{"en":"x"}}`), hash(`{"away":{"en":"y"}}`))
}

func TestTeams(t *testing.T) {
	require.True(t, None().HasTeam("any"))
	s, err := Parse([]byte(`{"teams":[{"id":"billing"},{"id":"b","name":"Sales"}]}`))
	require.NoError(t, err)
	require.True(t, s.HasTeam("billing"))
	require.False(t, s.HasTeam("Billing"))
	require.False(t, s.HasTeam("Sales"))
	require.Equal(t, "billing", s.Teams()[0].Name)
	require.Equal(t, "Sales", s.Teams()[1].Name)
}

func TestConsentIn(t *testing.T) {
	c := &Consent{text: map[string]string{"en": "E", "de": "D", "pt-BR": "B", "fr": "F"}}
	for language, want := range map[string]string{"de": "D", "de-AT": "D", "pt-BR": "B", "pt": "E", "": "E", "x": "E"} {
		require.Equal(t, want, c.In(language), language)
	}
	require.Equal(t, "A", (&Consent{text: map[string]string{"ka": "C", "ar": "A"}}).In("de"))
}

// figures are the hash and the errors that the metrics tell.
func figures(t *testing.T, f *File) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(f))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 2)
	errors, info := families[0], families[1]
	require.Equal(t, "livesupport_settings_errors_total", errors.GetName())
	require.Equal(t, "livesupport_settings_info", info.GetName())
	require.Len(t, info.GetMetric(), 1)
	return fmt.Sprint(info.GetMetric()[0].GetLabel()[0].GetValue(), " ", errors.GetMetric()[0].GetCounter().GetValue())
}

// TestFile: what is bad changes nothing and is counted.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.json")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	_, err := Open(path)
	require.EqualError(t, err, "cannot read the file: no such file or directory")
	_, err = Open(t.TempDir())
	require.EqualError(t, err, "cannot read the file: is a directory")
	write(`{"teams":[{"id":5}]}`)
	_, err = Open(path)
	require.EqualError(t, err, "teams[0].id: want a string")

	write(`{"teams":[{"id":"a"}]}`)
	f, err := Open(path)
	require.NoError(t, err)
	first := f.Current()
	require.False(t, first.HasTeam("b"))
	for i, bad := range []string{"{", `{"team":[]}`} {
		write(bad)
		require.Error(t, f.Read())
		require.Same(t, first, f.Current())
		require.Equal(t, fmt.Sprint(first.Hash, " ", i+1), figures(t, f))
	}
	require.NoError(t, os.Remove(path))
	require.Error(t, f.Read())
	require.Same(t, first, f.Current())
	write(`{"teams":[{"id":"b"}]}`)
	require.NoError(t, f.Read())
	require.True(t, f.Current().HasTeam("b"))
	require.NotEqual(t, first.Hash, f.Current().Hash)
	require.Equal(t, f.Current().Hash+" 3", figures(t, f))

	none, err := Open("")
	require.NoError(t, err)
	require.NoError(t, none.Read())
	require.Equal(t, None(), none.Current())
}

// FuzzParse: no file makes it panic, an error is one line, and what it takes the
// schema takes.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(exampleFile)
	require.NoError(f, err)
	f.Add(string(example))
	for _, text := range []string{
		`{}`, `{"hours":{"week":{"mon":["24:00-24:00"]}}}`, `{"away":{"en":"\ud800"}}`, `{"away":{"a\"b\n":"x"}}`,
		`{"teams":[{"id":"a"}]}`, `{"consent":{"text":{"en":"x"},"link":"HTTP://a"}}`, `{"a/b":[{"~":null}]}`, "{\n\n", `{"hours":{"openings":{"0000-01-01":[]}}}`,
	} {
		f.Add(text)
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse([]byte(text))
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.True(t, fits(s, strings.TrimPrefix(text, "\ufeff")), text)
		require.NotEmpty(t, got.Hash)
	})
}
