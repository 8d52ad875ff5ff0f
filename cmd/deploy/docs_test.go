package deploy

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// root is the top of the repository.
const root = "../.."

// A page is one of the files for people, by its path in the repository.
type page struct {
	name, text string
	anchors    []string // of its headings
	links      []string
}

var (
	heading    = regexp.MustCompile(`^ {0,3}#{1,6} +(.*?) *#*$`)
	link       = regexp.MustCompile(`\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)`)
	inlineLink = regexp.MustCompile(`\[([^\[\]]*)\]\([^()\s]*\)`)
	codeSpan   = regexp.MustCompile("`+[^`]+`+")
)

// newPage finds what a code host shows as headings and links, which is nothing of
// what stands in code.
func newPage(name, text string) page {
	p := page{name: name, text: text}
	seen := map[string]int{}
	fence, code, blank := "", false, true
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		bare := strings.TrimSpace(line)
		switch {
		case fence != "":
			if bare == fence {
				fence = ""
			}
			continue
		case strings.HasPrefix(bare, "```"):
			fence = "```"
			continue
		case bare == "":
			blank = true
			continue
		}
		code = strings.HasPrefix(line, "    ") && (blank || code)
		blank = false
		if code {
			continue
		}
		if h := heading.FindStringSubmatch(line); h != nil {
			p.anchors = append(p.anchors, anchor(h[1], seen))
		}
		for _, found := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, "code"), -1) {
			p.links = append(p.links, found[1])
		}
	}
	return p
}

// anchor is what GitHub makes of a heading: letters, digits, hyphens and underscores
// stay, a blank becomes a hyphen, and what is there already gets a number.
func anchor(title string, seen map[string]int) string {
	title = inlineLink.ReplaceAllString(title, "$1")
	slug := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, title)
	n := seen[slug]
	seen[slug]++
	if n > 0 {
		slug = fmt.Sprintf("%s-%d", slug, n)
	}
	return slug
}

// readPages reads every page of the repository.
func readPages(t *testing.T) map[string]page {
	t.Helper()
	pages := map[string]page{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." && entry.Name() != ".github":
			return fs.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		name, err = filepath.Rel(root, name)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		pages[name] = newPage(name, read(t, filepath.Join(root, name)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 10 {
		t.Fatalf("only %d pages", len(pages))
	}
	return pages
}

// broken are the links of a page that lead nowhere; exists looks for other files.
func (p page) broken(pages map[string]page, exists func(name string) bool) (faults []string) {
	for _, to := range p.links {
		target, err := url.Parse(to)
		if err != nil {
			faults = append(faults, to)
			continue
		}
		if target.Scheme != "" {
			continue // not here
		}
		name := p.name
		if target.Path != "" {
			name = path.Join(path.Dir(p.name), target.Path)
		}
		other, isPage := pages[name]
		switch {
		case strings.HasPrefix(name, "..") || !isPage && !exists(name):
			faults = append(faults, to)
		case target.Fragment != "" && !slices.Contains(other.anchors, target.Fragment):
			faults = append(faults, to)
		}
	}
	return faults
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

// TestDocsLinks: every link within the repository leads to a file, and to a heading
// if it names one. Every page is linked from another one.
func TestDocsLinks(t *testing.T) {
	pages := readPages(t)
	linked := map[string]bool{"README.md": true}
	links := 0
	for name, p := range pages {
		for _, fault := range p.broken(pages, exists) {
			t.Errorf("%s: %s leads nowhere", name, fault)
		}
		for _, to := range p.links {
			target, _, _ := strings.Cut(to, "#")
			linked[path.Join(path.Dir(name), target)] = true
		}
		links += len(p.links)
	}
	if links < 100 {
		t.Errorf("only %d links", links)
	}
	for name := range pages {
		if !linked[name] && !strings.HasPrefix(name, ".github/") {
			t.Errorf("no page leads to %s", name)
		}
	}
}

// TestDocsLinksAreFound: the checker finds what it is there for.
func TestDocsLinksAreFound(t *testing.T) {
	pages := map[string]page{
		"a/b.md": newPage("a/b.md", "# One two\n## `client.js`, and *more*\n### One two\n\n    # code\n\n```\n# fenced\n```\n"),
	}
	if got, want := fmt.Sprint(pages["a/b.md"].anchors), "[one-two clientjs-and-more one-two-1]"; got != want {
		t.Errorf("anchors %s, want %s", got, want)
	}
	p := newPage("a/c.md", "[x](b.md#one-two) [x](b.md#one-two-1) [`x`](b.md) ![x](../d.png) [x](https://example.com/nowhere)\n"+
		"[a](b.md#one) [b](e.md) [c](#one-two) [d](../../d.png)\n1. first\n    and [e](f.md)\n\n    [code](g.md)\n\n`[code](h.md)`\n")
	if got, want := fmt.Sprint(p.broken(pages, func(name string) bool { return name == "d.png" })), "[b.md#one e.md #one-two ../../d.png f.md]"; got != want {
		t.Errorf("broken %s, want %s", got, want)
	}
}

var (
	namedTest = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	namedFunc = regexp.MustCompile("`(\\w+)\\.(\\w+)`\\s+in\\s+\\[[^\\]]+\\]\\(([\\w./]+\\.go)\\)")
	namedPath = regexp.MustCompile("(?:`|\\./)((?:cmd|web|chat|lobby|broker|client)(?:/[\\w.-]+)+)")
)

// eachSource calls f with each Go file of the repository.
func eachSource(t *testing.T, f func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" {
			f(name, read(t, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocsNameWhatThereIs: the tests, files and folders that pages speak of exist, and
// functions are where a page says that they are.
func TestDocsNameWhatThereIs(t *testing.T) {
	tests := map[string]bool{}
	eachSource(t, func(name, text string) {
		if strings.HasSuffix(name, "_test.go") {
			for _, found := range testFunc.FindAllStringSubmatch(text, -1) {
				tests[found[1]] = true
			}
		}
	})
	named, functions := 0, 0
	for name, p := range readPages(t) {
		for _, test := range namedTest.FindAllString(p.text, -1) {
			named++
			if !tests[test] {
				t.Errorf("%s names %s, which there is not", name, test)
			}
		}
		for _, found := range namedPath.FindAllStringSubmatch(p.text, -1) {
			named++
			if file := strings.TrimRight(strings.TrimSuffix(found[1], "/..."), "."); !exists(file) {
				t.Errorf("%s names %s, which there is not", name, file)
			}
		}
		for _, found := range namedFunc.FindAllStringSubmatch(p.text, -1) {
			functions++
			source := read(t, filepath.Join(root, filepath.Dir(name), found[3]))
			method := regexp.MustCompile(`(?m)^func \(\w+ \*?` + found[1] + `\) ` + found[2] + `\(`)
			exported := regexp.MustCompile(`(?s)^.*\npackage ` + found[1] + `\n.*\nfunc ` + found[2] + `\(`)
			if !method.MatchString(source) && !exported.MatchString("\n"+source) {
				t.Errorf("%s: %s.%s is not in %s", name, found[1], found[2], found[3])
			}
		}
	}
	if named < 150 || functions < 10 {
		t.Errorf("only %d names and %d functions", named, functions)
	}
}

var namedSection = regexp.MustCompile(`([\w/]+\.md)(?:, "([^"]+)")?`)

// TestDocsAreNamedRight: the pages and sections that comments speak of exist.
func TestDocsAreNamedRight(t *testing.T) {
	pages := readPages(t)
	named := 0
	eachSource(t, func(file, text string) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, comment := range parsed.Comments {
			for _, found := range namedSection.FindAllStringSubmatch(strings.ReplaceAll(comment.Text(), "\n", " "), -1) {
				named++
				p, ok := pages[found[1]]
				if beside, err := filepath.Rel(root, filepath.Join(filepath.Dir(file), found[1])); err == nil && !ok {
					p, ok = pages[filepath.ToSlash(beside)]
				}
				if !ok || found[2] != "" && !slices.Contains(p.anchors, anchor(found[2], map[string]int{})) {
					t.Errorf("%s: there is no %s", file, found[0])
				}
			}
		}
	})
	if named < 40 {
		t.Errorf("only %d names", named)
	}
}

// TestDocsStayShort: the README is for five minutes.
func TestDocsStayShort(t *testing.T) {
	if n := strings.Count(read(t, filepath.Join(root, "README.md")), "\n"); n > 200 {
		t.Errorf("README.md has %d lines: move some to the page of whoever needs them", n)
	}
}
