// Package apitest holds what servers and clients send in tests against the contract of
// package api: each frame of a socket, each answer over HTTP, each event of a webhook.
// What does not fit fails the package's tests in the end (Exit), and so does what the
// contract has and nothing has sent, where all tests have run.
package apitest

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"livesupport/web/api"
)

type object = map[string]any

// document is one of the contract's.
type document struct {
	name     string
	whole    object
	compiler *jsonschema.Compiler
	resolved sync.Map // objects by the references that lead to them
}

const base = "http://contract.example/"

func newDocument(name string, text []byte, draft *jsonschema.Draft) *document {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(draft)
	d := &document{name: name, compiler: compiler, whole: parse(text).(object)}
	for file, value := range map[string]any{name: d.whole, "settings.schema.json": parse(api.Settings())} {
		if err := compiler.AddResource(base+file, value); err != nil {
			panic(err)
		}
	}
	return d
}

func parse(text []byte) any {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err) // the document is broken
	}
	return value
}

var (
	escapes   = strings.NewReplacer("~", "~0", "/", "~1")
	unescapes = strings.NewReplacer("~1", "/", "~0", "~")
)

// at is a place in the document.
func at(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("/" + escapes.Replace(name))
	}
	return b.String()
}

// get returns what stands at a place, and where it stands behind all references.
func (d *document) get(place string) (object, string) {
	node := any(d.whole)
	for name := range strings.SplitSeq(strings.TrimPrefix(place, "/"), "/") {
		name = unescapes.Replace(name)
		if list, ok := node.([]any); ok {
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(list) {
				panic(d.name + " has no " + place)
			}
			node = list[i]
			continue
		}
		below, ok := node.(object)[name]
		if !ok {
			panic(d.name + " has no " + place)
		}
		node = below
	}
	found := node.(object)
	if ref, ok := found["$ref"].(string); ok && strings.HasPrefix(ref, "#") {
		return d.get(strings.TrimPrefix(ref, "#"))
	}
	return found, place
}

// behind is what an object refers to, or the object if it does not.
func (d *document) behind(node object) object {
	ref, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	if known, ok := d.resolved.Load(ref); ok {
		return known.(object)
	}
	found, _ := d.get(strings.TrimPrefix(ref, "#"))
	d.resolved.Store(ref, found)
	return found
}

// schema compiles the one at a place.
func (d *document) schema(place string) *jsonschema.Schema {
	schema, err := d.compiler.Compile(base + d.name + "#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(place))
	if err != nil {
		panic(err)
	}
	return schema
}

var parameter = regexp.MustCompile(`\\\{([^}]*)\\\}`)

// template makes what matches a path with parameters. A file may be in folders, for
// which OpenAPI has no word.
func template(path string) *regexp.Regexp {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(path), `\{file\}`, ".+")
	return regexp.MustCompile("^" + parameter.ReplaceAllString(pattern, "[^/]+") + "$")
}

// contract is all that can be checked.
type contract struct {
	sockets  *document
	channels []*channel
	routes   []*route
	generic  *answer
	events   map[string]*jsonschema.Schema
}

var theContract = sync.OnceValue(func() *contract {
	c := &contract{events: map[string]*jsonschema.Schema{}}
	c.sockets = newDocument("asyncapi.json", api.AsyncAPI(), jsonschema.Draft7)
	for name := range c.sockets.whole["channels"].(object) {
		c.channels = append(c.channels, newChannel(c.sockets, name))
	}
	d := newDocument("openapi.json", api.OpenAPI(), jsonschema.Draft2020)
	c.generic = newAnswer(d, at("components", "responses", "Error"))
	for path := range d.whole["paths"].(object) {
		c.routes = append(c.routes, newRoute(d, path))
	}
	// A path without parameters comes before the templates that match it, too.
	slices.SortFunc(c.routes, func(a, b *route) int { return strings.Count(a.path, "{") - strings.Count(b.path, "{") })
	for name := range d.whole["webhooks"].(object) {
		c.events[name] = d.schema(at("webhooks", name, "post", "requestBody", "content", "application/json", "schema"))
		expect("event " + name)
	}
	return c
})

// Event holds the body of a webhook's request against the contract.
func Event(body []byte) error {
	c := theContract()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fail("an event is no JSON: %.300s", body)
	}
	event, _ := value.(object)
	name, _ := event["type"].(string)
	schema := c.events[name]
	if schema == nil {
		return fail("no schema names the event %.300s", body)
	}
	if err := schema.Validate(value); err != nil {
		return fail("the event %.300s: %v", body, err)
	}
	see("event " + name)
	return nil
}
