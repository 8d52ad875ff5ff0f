// Package api is the contract of both ports for machines: AsyncAPI of the sockets,
// OpenAPI of HTTP and webhooks, JSON Schema of the settings. Package apitest holds what
// the servers send against it.
package api

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

//go:embed *.json
var parts embed.FS

// AsyncAPI describes the sockets of both ports (AsyncAPI 3).
var AsyncAPI = sync.OnceValue(func() []byte {
	return join("asyncapi.json", "asyncapi.chat.json", "asyncapi.chat.client.json", "asyncapi.chat.server.json", "asyncapi.lobby.json", "shared.json")
})

// OpenAPI describes the HTTP routes of both ports and the webhooks (OpenAPI 3.1).
var OpenAPI = sync.OnceValue(func() []byte {
	return join("openapi.json", "openapi.chat.json", "openapi.lobby.json", "openapi.archive.json", "openapi.both.json", "openapi.webhooks.json", "shared.json")
})

// Settings is the JSON Schema of the file that SETTINGS names, for editors and for checks
// before a deployment. Package settings demands more than a schema can say: that zones
// and dates exist, and that ids are unique.
var Settings = sync.OnceValue(func() []byte { return read("settings.schema.json") })

func read(name string) []byte {
	text, err := parts.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return text
}

// join makes one document of several: what has the same name is joined, too.
func join(names ...string) []byte {
	var whole jsontext.Value
	for _, name := range names {
		part := jsontext.Value(read(name))
		if whole == nil {
			whole = part
			continue
		}
		joined, err := joinObjects(whole, part, 1)
		if err != nil {
			panic(fmt.Sprintf("api: %s: %v", name, err)) // the tests join all
		}
		whole = joined
	}
	return append(whole, '\n')
}

type member struct {
	name  string
	value jsontext.Value
}

// joinObjects keeps the order of names, and how values are written.
func joinObjects(a, b jsontext.Value, depth int) (jsontext.Value, error) {
	all, err := members(a)
	if err != nil {
		return nil, err
	}
	more, err := members(b)
	if err != nil {
		return nil, err
	}
	for _, m := range more {
		i := slices.IndexFunc(all, func(known member) bool { return known.name == m.name })
		if i < 0 {
			all = append(all, m)
			continue
		}
		if all[i].value, err = joinObjects(all[i].value, m.value, depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	indent := "\n" + strings.Repeat("  ", depth)
	joined := jsontext.Value("{")
	for i, m := range all {
		if i > 0 {
			joined = append(joined, ',')
		}
		joined = append(joined, indent...)
		if joined, err = jsontext.AppendQuote(joined, m.name); err != nil {
			return nil, err
		}
		joined = append(append(joined, ": "...), m.value...)
	}
	return append(append(joined, indent[:len(indent)-2]...), '}'), nil
}

func members(object jsontext.Value) (all []member, err error) {
	if object.Kind() != '{' {
		return nil, fmt.Errorf("it stands in two places, and is no object: %.50s", object)
	}
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value = value.Clone()
		all = append(all, m)
	}
	_, err = d.ReadToken()
	return all, err
}
