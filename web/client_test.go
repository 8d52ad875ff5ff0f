package web

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// requireNode is the environment variable that makes a missing Node.js a failure: 1.
const requireNode = "LIVESUPPORT_REQUIRE_NODE"

// TestClient runs the tests of client.js against a server and a clock that are
// theirs: testdata/client.
func TestClient(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	switch {
	case err == nil:
	case os.Getenv(requireNode) == "1":
		t.Fatalf("%s=1, but there is no node", requireNode)
	default:
		t.Skip("there is no node")
	}
	// A folder of its own says that the pages' files are modules, as a page does.
	folder := t.TempDir()
	for from, to := range map[string]string{"testdata/client": folder, "pages": filepath.Join(folder, "pages")} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob(filepath.Join(folder, "*.test.mjs"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	for _, test := range tests {
		t.Run(filepath.Base(test), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, node, test)
			run.Dir = folder
			if output, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}
