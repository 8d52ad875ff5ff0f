package lobby

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

var (
	luaComment  = regexp.MustCompile(`--[^\n]*`)
	luaFunction = regexp.MustCompile(`\bfunction (\w+)\(`)
	luaCall     = regexp.MustCompile(`(?:function )?\b(\w+)\(`)
	luaText     = regexp.MustCompile(`'[^'\n]*'`)
)

// TestScripts: each script has the functions that it calls, each before its callers. A
// script for a queue without agents only lacks those about agents.
func TestScripts(t *testing.T) {
	home := map[string]string{} // the file that has a function
	files, err := fs.Glob(scriptFiles, "script/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := scriptFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(file, "script/"), ".lua")
		for _, found := range luaFunction.FindAllStringSubmatch(luaComment.ReplaceAllString(string(source), ""), -1) {
			if other, twice := home[found[1]]; twice {
				t.Errorf("%s and %s have %s", other, name, found[1])
			}
			home[found[1]] = name
		}
	}
	check := func(operation, text string, lacking []string) {
		defined := map[string]bool{}
		text = luaText.ReplaceAllString(luaComment.ReplaceAllString(text, ""), "")
		if !strings.Contains(text, "freed[") {
			defined["settle"] = true // which is not called then
		}
		for _, found := range luaCall.FindAllStringSubmatch(text, -1) {
			name := found[1]
			switch file, ours := home[name]; {
			case strings.HasPrefix(found[0], "function "):
				defined[name] = true
			case ours && !defined[name] && !slices.Contains(lacking, file):
				t.Errorf("%s has no %s, which is in %s.lua", operation, name, file)
			}
		}
		if !defined[operation] {
			t.Errorf("%s has no operation", operation)
		}
	}
	for operation, files := range operations {
		check(operation, text(operation, agentFiles+" "+files), nil)
		if scripts[operation].alone != nil {
			check(operation, text(operation, "alone "+files), []string{"agents", "chats", "seats", "news", "assign"})
		}
	}
}

// TestAgentsComeAndGo: a server whose scripts know no agents notices that there are some by
// the next call, and that they have gone.
func TestAgentsComeAndGo(t *testing.T) {
	onEachStore(t, assigning(AssignRoundRobin), func(t *testing.T, q *Queue, store redis.UniversalClient) {
		knows := func(want bool) {
			t.Helper()
			if got := q.agents.Load(); got != want {
				t.Fatalf("knows of agents: %t", got)
			}
		}
		other := NewQueue(q.cfg)
		defer other.Close()
		add := func(n int) {
			t.Helper()
			if fresh, err := q.Put(t.Context(), user(n)); err != nil || !fresh {
				t.Fatal(fresh, err)
			}
		}
		add(1)
		knows(false)
		sits(t, other, "vika", nil)
		knows(false)
		add(2)
		knows(true)
		if got := offers(t, other); got != "user 1 to vika, user 2 to vika" {
			t.Fatalf("offered: %s", got)
		}
		if err := store.Del(t.Context(), queueKeys[staffKey:]...).Err(); err != nil {
			t.Fatal(err)
		}
		add(3)
		knows(false)
		wait(t, q, 3) // the others still have the claims of their offers
	})
}
