package deploy

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestModulesAreJustified: CONTRIBUTING.md says of every module that go.mod asks for
// what it is there for.
func TestModulesAreJustified(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "../../CONTRIBUTING.md"), "## What it is built on")
	reasons, _, found := strings.Cut(rest, "All else in `go.sum`")
	if !found {
		t.Fatal("CONTRIBUTING.md has no list of modules")
	}
	direct, _, _ := strings.Cut(read(t, "../../go.mod"), "\n)") // the second block is what these bring along
	modules := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(direct, -1)
	if len(modules) < 20 {
		t.Fatalf("only %d modules", len(modules))
	}
	for _, module := range modules {
		name := path.Base(regexp.MustCompile(`/v\d+$`).ReplaceAllString(module[1], ""))
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(reasons) {
			t.Errorf("CONTRIBUTING.md does not say what %s is for", module[1])
		}
	}
}
