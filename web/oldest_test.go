package web

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// oldest is how pages/README.md names the oldest browsers that the pages work in.
const oldest = "Chrome and Edge 111, Firefox 115 and Safari 16.4"

// tooNew is what one of them does not know, with the first versions that do.
var tooNew = map[string]map[string]string{
	".js": {
		`\bURL\.(canParse|parse)\b`:                                       "canParse: Chrome 120, Safari 17",
		`\bAbortSignal\.any\b`:                                            "Chrome 116, Firefox 124, Safari 17.4",
		`\bPromise\.(withResolvers|try)\b`:                                "Chrome 119, Firefox 121, Safari 17.4",
		`\bArray\.fromAsync\b`:                                            "Chrome 121, Safari 16.4",
		`\b(Object|Map)\.groupBy\b`:                                       "Chrome 117, Firefox 119, Safari 17.4",
		`\bIntl\.(Segmenter|DurationFormat)\b`:                            "Segmenter: Firefox 125",
		`\.(isWellFormed|toWellFormed)\(`:                                 "Firefox 119",
		`\.(union|intersection|isSubsetOf|isSupersetOf|isDisjointFrom)\(`: "Chrome 122, Firefox 127, Safari 17",
		`\bIterator\.|\.(values|keys|entries)\(\)\.(map|filter|find|some|every|take|drop|toArray|forEach|reduce)\(`: "Chrome 122, Firefox 131, Safari 18.4",
		`\.(checkVisibility|setHTMLUnsafe|moveBefore|startViewTransition|setHTML)\(`:                                "checkVisibility: Safari 17.4",
		`\b(RegExp\.escape|Math\.sumPrecise|Error\.isError)\b`:                                                      "2025",
		`/[dgimsuy]*v[dgimsuy]*[,;.)]`:                              "the flag v: Chrome 112, Firefox 116, Safari 17",
		`\b(toTemporalInstant|Temporal)\b`:                          "no old one",
		`\bnavigation\.|\bcookieStore\b|\bscheduler\.`:              "not in each",
		`(?m)^\s*@\w+|\busing\s+\w+\s*=`:                            "decorators and using: no old one",
		`\bwith\s*\{\s*type\b`:                                      "import attributes: Chrome 123, Firefox 138, Safari 17.2",
		`"(scrollend|beforematch|scrollsnapchange)"`:                "Chrome 114, Safari 26",
		`\.currentCSSZoom\b|\.commandForElement\b|\bCloseWatcher\b`: "Chrome 126",
	},
	".css": {
		`light-dark\(`: "Chrome 123, Firefox 120, Safari 17.5",
		`\b(linear|contrast-color|anchor|anchor-size|calc-size|sibling-index|sibling-count|if|random|round|mod|rem|abs|sign|pow|sqrt|exp)\(`: "not in each",
		`(?:oklch|oklab|lch|lab|hsl|rgb|color)\(from\b`:                                      "relative colours: Chrome 119, Firefox 128",
		`:(user-valid|user-invalid|dir|popover-open|open|state|nth-child\([^)]* of )`:        "not in each",
		`@(scope|starting-style|property|view-transition|position-try|function|container)\b`: "not in each",
		`(?m)^\s+&|;\s*&|\{\s*&`:                        "nesting: Chrome 112, Firefox 117, Safari 16.5",
		`\b\d+(rcap|rch|rex|ric|cap|cqi|cqb|cqw|cqh)\b`: "not in each",
		`\bzoom:`: "Firefox 126",
	},
}

// optional are CSS rules of which a browser that does not know them takes nothing
// amiss: each stands alone, and the page is right without it.
var optional = []string{
	`.messages:has(+ .outbox:not(:empty)) > .page:last-child > .own:last-child > .fate { display: none; }`,
	`.livesupport .field:has(button:focus-visible) { outline: none; }`,
}

func TestPagesKeepToTheOldestBrowsers(t *testing.T) {
	readme, err := os.ReadFile("pages/README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), oldest)
	comment := map[string]*regexp.Regexp{".js": regexp.MustCompile(`(?s)/\*.*?\*/|(?m:\s//.*$)`), ".css": regexp.MustCompile(`(?s)/\*.*?\*/`)}
	looked := 0
	for _, name := range pageFiles() {
		kind := path.Ext(name)
		if tooNew[kind] == nil {
			continue
		}
		looked++
		body, err := pages.ReadFile("pages/" + name)
		require.NoError(t, err)
		text := comment[kind].ReplaceAllString(string(body), " ")
		for pattern, since := range tooNew[kind] {
			require.Empty(t, regexp.MustCompile(pattern).FindString(text), "%s has what needs %s", name, since)
		}
		// Firefox 115 does not know :has(): a rule with it is as if it were not there.
		for _, rule := range optional {
			text = strings.ReplaceAll(text, rule, "")
		}
		if kind == ".css" {
			require.NotContains(t, text, ":has(", "%s has a rule that Firefox 115 leaves out", name)
		}
	}
	require.Greater(t, looked, 10)
}

// TestTooNewIsFound: the patterns find what they are there for.
func TestTooNewIsFound(t *testing.T) {
	for kind, samples := range map[string][]string{
		".js":  {"URL.canParse(a)", "a.values().map(b)", "/[a--b]/v;", "new Intl.Segmenter()", "using a = b", "a.isWellFormed()"},
		".css": {"a: light-dark(#fff, #000)", "a { b: c; &:hover { } }", "@container (width > 1px)", "color: rgb(from red r g b)"},
	} {
		for _, sample := range samples {
			found := false
			for pattern := range tooNew[kind] {
				found = found || regexp.MustCompile(pattern).MatchString(sample)
			}
			require.True(t, found, sample)
		}
	}
}
