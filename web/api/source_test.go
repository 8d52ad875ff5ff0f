package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is the Go code of a package, without its tests.
type source struct {
	files  []*ast.File
	consts map[string]string
}

func read(t *testing.T, folder string) *source {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	s := &source{consts: map[string]string{}}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		s.files = append(s.files, file)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
				for i, name := range spec.Names {
					if value, ok := spec.Values[i].(*ast.BasicLit); ok && value.Kind == token.STRING {
						s.consts[name.Name], _ = strconv.Unquote(value.Value)
					}
				}
			}
			return true
		})
	}
	return s
}

// text is the value of a constant expression, as far as this has to know any.
func (s *source) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		return value, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		value, ok := s.consts[e.Name]
		return value, ok
	case *ast.SelectorExpr:
		return s.text(e.Sel)
	}
	return "", false
}

func (s *source) each(f func(ast.Node)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			f(n)
			return true
		})
	}
}

var envelope = regexp.MustCompile(`^\{"type":"(\w+)"`)

// sent are the types of the messages that a package makes: by wire.Encode, or by hand.
func (s *source) sent() map[string]bool {
	types := map[string]bool{}
	s.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.CallExpr:
			function, ok := n.Fun.(*ast.SelectorExpr)
			if ok && function.Sel.Name == "Encode" && len(n.Args) == 2 {
				if name, ok := s.text(n.Args[0]); ok {
					types[name] = true
				}
			}
		case *ast.BasicLit:
			if value, ok := s.text(n); ok {
				if found := envelope.FindStringSubmatch(value); found != nil {
					types[found[1]] = true
				}
			}
		}
	})
	return types
}

// taken are the types that a package's Receive has a case for.
func (s *source) taken() map[string]bool {
	types := map[string]bool{}
	s.each(func(n ast.Node) {
		function, ok := n.(*ast.FuncDecl)
		if !ok || function.Name.Name != "Receive" {
			return
		}
		ast.Inspect(function, func(n ast.Node) bool {
			if clause, ok := n.(*ast.CaseClause); ok {
				for _, e := range clause.List {
					if name, ok := s.text(e); ok {
						types[name] = true
					}
				}
			}
			return true
		})
	})
	return types
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// TestEveryMessageIsNamed: the code makes and takes no message that the contract does
// not have, and all that it has.
func TestEveryMessageIsNamed(t *testing.T) {
	wire := read(t, "../../lobby/wire")
	without := func(names []string, others ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(others, name) })
	}
	for folder, channel := range map[string]string{"../../chat": "chat", "../../lobby": "users"} {
		code := read(t, folder)
		code.consts["KindPong"] = wire.consts["KindPong"]
		sent := code.sent()
		sent["Error"] = true // wire makes it
		if channel == "users" {
			for name, value := range code.consts { // those of its events, see event.payload
				if strings.HasPrefix(name, "kind") {
					sent[value] = true
				}
			}
		}
		require.Equal(t, without(messages(t, channel, "send"), "ping", "PendingUser"), sorted(sent), folder)
		require.Equal(t, without(messages(t, channel, "receive"), "pong"), sorted(code.taken()), folder)
	}
}

// TestEveryEventIsNamed, of webhooks and of the archive's logs.
func TestEveryEventIsNamed(t *testing.T) {
	events, entries := map[string]bool{"test": true}, map[string]bool{}
	read(t, "../../chat/webhook").each(func(n ast.Node) {
		if literal, ok := n.(*ast.BasicLit); ok && regexp.MustCompile(`^"(chat|message)\.[a-z]+"$`).MatchString(literal.Value) {
			events[strings.Trim(literal.Value, `"`)] = true
		}
	})
	archive := read(t, "../../chat/archive")
	archive.each(func(n ast.Node) {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || len(literal.Elts) != 2 {
			return
		}
		if name, ok := literal.Type.(*ast.Ident); ok && name.Name == "frame" {
			value, ok := archive.text(literal.Elts[0])
			require.True(t, ok)
			entries[value] = true
		}
	})
	whole := documents(t)["openapi"]
	require.Equal(t, slices.Sorted(maps.Keys(whole["webhooks"].(object))), sorted(events))
	logged := map[string]bool{}
	for _, one := range get(whole, "/components/schemas/LogEntry/oneOf").([]any) {
		one := one.(object)
		if ref, ok := one["$ref"].(string); ok {
			one = get(whole, strings.TrimPrefix(ref, "#")).(object)
		}
		logged[get(one, "/properties/type/const").(string)] = true
	}
	require.Equal(t, sorted(logged), sorted(entries))
}

// TestEveryCodeIsNamed: each code of an Error is in one of the documents.
func TestEveryCodeIsNamed(t *testing.T) {
	named := map[string]bool{}
	for _, whole := range documents(t) {
		every(whole, "", func(_ string, node object) {
			for _, code := range list(get(node, "/properties/code/enum")) {
				named[code.(string)] = true
			}
		})
	}
	read(t, "../../lobby/wire").each(func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			for _, value := range spec.Values {
				code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				require.True(t, named[code], code)
			}
		}
	})
	require.Contains(t, named, "bad_type")
}
