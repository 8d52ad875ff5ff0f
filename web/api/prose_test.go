package api_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// firstCells are the code spans in the first column of README.md's table with this
// first row.
func firstCells(t *testing.T, prose, head string) map[string]bool {
	t.Helper()
	_, rest, found := strings.Cut(prose, head+"\n")
	require.True(t, found, head)
	rows, _, _ := strings.Cut(rest, "\n\n")
	cells := map[string]bool{}
	for line := range strings.Lines(rows) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			require.False(t, cells[name[1]], "%s is there twice", name[1])
			cells[name[1]] = true
		}
	}
	return cells
}

// TestProse: README.md names every message, feature, code, event and route of the
// documents, and no other feature, code or event.
func TestProse(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	prose := string(text)
	all := documents(t)
	names, features, codes, events := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, whole := range all {
		every(whole, "", func(_ string, node object) {
			if name, ok := get(node, "/properties/type/const").(string); ok {
				names[name] = true
			}
			switch feature := node["x-feature"].(type) {
			case string:
				features[feature] = true
			case []any:
				for _, one := range feature {
					features[one.(string)] = true
				}
			}
			for _, code := range list(get(node, "/properties/code/enum")) {
				codes[code.(string)] = true
			}
		})
	}
	require.Greater(t, len(names), 25)
	for name := range names {
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(prose) {
			t.Errorf("README.md does not name %s", name)
		}
	}
	require.Equal(t, sorted(features), sorted(firstCells(t, prose, "| feature | listed in | opens | |\n|---|---|---|---|")))
	require.Equal(t, sorted(codes), sorted(firstCells(t, prose, "| code | when |\n|---|---|")))
	for event := range get(all["openapi"], "/webhooks").(object) {
		events[event] = true
	}
	delete(events, "test") // which stands behind the table
	require.Equal(t, sorted(events), sorted(firstCells(t, prose, "| type | when | more in `data` |\n|---|---|---|")))
	for path := range get(all["openapi"], "/paths").(object) {
		switch path {
		case "/", "/assets/{version}/{file}", "/{module}.js": // the pages
		default:
			if path = strings.Replace(path, "/api/v1/chats/{chatId}/transcript", "…/transcript", 1); !strings.Contains(prose, path) {
				t.Errorf("README.md does not name %s", path)
			}
		}
	}
}
