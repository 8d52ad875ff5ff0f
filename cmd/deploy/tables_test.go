package deploy

import (
	"errors"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"livesupport/cmd/internal/backend"
)

// table returns the rows of the table with these columns, which a page must have.
func table(t *testing.T, name string, columns ...string) (rows [][]string) {
	t.Helper()
	head := "| " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat("---|", len(columns)) + "\n"
	_, rest, found := strings.Cut(read(t, name), head)
	if !found {
		t.Fatalf("%s has no table of %v", name, columns)
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			break
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
		if len(cells) != len(columns) {
			t.Fatalf("%s: a row of %d cells: %s", name, len(cells), line)
		}
		rows = append(rows, cells)
	}
	return rows
}

var (
	flagHelp = regexp.MustCompile(`(?m)^ +--([a-z-]+)(?:=(\S+))?(?:\s|$)`)
	variable = regexp.MustCompile(`\(\$([A-Z_]+)\)`)
)

// defaultsIn are the variables that a command's --help names, with their defaults:
// empty for none, and for flags that are off.
func defaultsIn(t *testing.T, command string) map[string]string {
	t.Helper()
	_, err := backend.Parse(command, []string{"--help"}, func(string) (string, bool) { return "", false })
	var help backend.Help
	if !errors.As(err, &help) {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	text := help.Error()
	flags := flagHelp.FindAllStringSubmatchIndex(text, -1)
	for i, at := range flags {
		end := len(text)
		if i+1 < len(flags) {
			end = flags[i+1][0]
		}
		named := variable.FindStringSubmatch(text[at[0]:end])
		if named == nil { // --version and the like
			continue
		}
		value := ""
		if at[4] >= 0 {
			value = strings.Trim(text[at[4]:at[5]], `"`)
		}
		if strings.ToLower(value) != value { // it stands for a value, such as FILE
			value = ""
		}
		defaults[named[1]] = value
	}
	return defaults
}

// TestDocsConfiguration: README.md's table has the variables of --help, each once,
// with its default, and no others.
func TestDocsConfiguration(t *testing.T) {
	defaults := defaultsIn(t, "livesupport")
	if len(defaults) < 60 {
		t.Fatalf("only %d variables: %v", len(defaults), defaults)
	}
	for _, command := range []string{"chatserver", "subscriber"} {
		if other := defaultsIn(t, command); !maps.Equal(other, defaults) {
			t.Errorf("%s has %v, livesupport %v", command, other, defaults)
		}
	}
	listed := map[string]bool{}
	for _, row := range table(t, "README.md", "variable", "default", "meaning") {
		given := codeSpan.FindAllString(row[1], -1)
		for i, cell := range codeSpan.FindAllString(row[0], -1) {
			name := strings.Trim(cell, "`")
			if strings.HasPrefix(name, "OTEL_") { // the SDK reads these
				continue
			}
			want, known := defaults[name]
			if !known || listed[name] {
				t.Errorf("README.md lists %s, which --help does not have, or twice", name)
			}
			listed[name] = true
			got := row[1]
			if len(given) > 0 {
				got = strings.Trim(given[min(i, len(given)-1)], "`")
			}
			if got == "none" || got == "false" {
				got = ""
			}
			if got != want && name != "DATA_DIR" { // which depends on the user
				t.Errorf("README.md says that the default of %s is %s, --help says %q", name, row[1], want)
			}
		}
	}
	for name := range defaults {
		if !listed[name] {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

// TestDocsListEveryPromise: each fault test is in the table of promises.
func TestDocsListEveryPromise(t *testing.T) {
	page := "../internal/faults/README.md"
	promised := map[string]bool{}
	for _, row := range table(t, page, "fault", "what the user notices", "what is guaranteed", "test") {
		for _, test := range namedTest.FindAllString(row[3], -1) {
			promised[test] = true
		}
	}
	tests := 0
	eachSource(t, func(name, text string) {
		if filepath.ToSlash(filepath.Dir(name)) != root+"/cmd/internal/faults" {
			return
		}
		for _, found := range testFunc.FindAllStringSubmatch(text, -1) {
			tests++
			if found[1] != "TestMain" && !promised[found[1]] {
				t.Errorf("%s does not promise what %s tests", page, found[1])
			}
		}
	})
	if tests < 20 {
		t.Errorf("only %d fault tests", tests)
	}
}
