package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"livesupport/web/api"
	"livesupport/web/api/apitest"
)

type object = map[string]any

func documents(t *testing.T) map[string]object {
	t.Helper()
	all := map[string]object{}
	for name, text := range map[string][]byte{"asyncapi": api.AsyncAPI(), "openapi": api.OpenAPI(), "settings": api.Settings()} {
		var whole object
		require.NoError(t, json.Unmarshal(text, &whole), name)
		all[name] = whole
	}
	return all
}

// every calls f for each object of a document, with its place.
func every(node any, place string, f func(place string, node object)) {
	switch node := node.(type) {
	case object:
		f(place, node)
		for name, below := range node {
			every(below, place+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), f)
		}
	case []any:
		for i, below := range node {
			every(below, fmt.Sprintf("%s/%d", place, i), f)
		}
	}
}

func get(whole any, pointer string) any {
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch node := whole.(type) {
		case object:
			whole = node[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
		default:
			return nil
		}
	}
	return whole
}

// TestReferences: each leads to something, and every component is used. Beside one
// stands nothing, for tools differ in what they make of it.
func TestReferences(t *testing.T) {
	all := documents(t)
	for name, whole := range all {
		used := map[string]bool{}
		every(whole, "", func(place string, node object) {
			ref, ok := node["$ref"].(string)
			if !ok {
				return
			}
			file, pointer, _ := strings.Cut(ref, "#")
			target := any(whole)
			if file != "" {
				require.Equal(t, "settings.schema.json", file, place)
				target = all["settings"]
			} else {
				used[pointer] = true
			}
			require.NotNil(t, get(target, pointer), "%s: %s leads nowhere: %s", name, place, ref)
			if name != "settings" {
				require.Len(t, node, 1, "%s: %s", name, place)
			}
		})
		components, _ := whole["components"].(object)
		for kind, list := range components {
			for one := range list.(object) {
				if kind != "securitySchemes" {
					require.True(t, used["/components/"+kind+"/"+one], "%s: nothing refers to %s of %s", name, one, kind)
				}
			}
		}
	}
}

// TestObjectsAreClosed: a field that no schema names is a fault.
func TestObjectsAreClosed(t *testing.T) {
	open := []string{"/components/schemas/Figures", "/components/schemas/ArchivedChat"} // closed where they are used
	for name, whole := range documents(t) {
		every(whole, "", func(place string, node object) {
			if _, ok := node["properties"].(object); !ok || slices.Contains(open, place) ||
				regexp.MustCompile(`/(anyOf|allOf|if|then)(/|$)`).MatchString(place) {
				return
			}
			_, additional := node["additionalProperties"]
			_, unevaluated := node["unevaluatedProperties"]
			require.True(t, additional || unevaluated, "%s: %s takes any field", name, place)
			for _, required := range list(node["required"]) {
				if node["allOf"] == nil {
					require.Contains(t, node["properties"], required, "%s: %s", name, place)
				}
			}
		})
	}
}

func list(node any) []any {
	all, _ := node.([]any)
	return all
}

// TestSocketsKeepToDraft7, which AsyncAPI 3 takes everywhere, and to what means the same
// in the draft of OpenAPI 3.1.
func TestSocketsKeepToDraft7(t *testing.T) {
	every(documents(t)["asyncapi"], "", func(place string, node object) {
		for _, newer := range []string{"unevaluatedProperties", "unevaluatedItems", "$defs", "dependentRequired", "prefixItems", "$dynamicRef", "dependencies", "definitions", "nullable"} {
			require.NotContains(t, node, newer, place)
		}
	})
}

// messages are the names of the messages of a channel in one direction.
func messages(t *testing.T, channel, action string) (names []string) {
	t.Helper()
	whole := documents(t)["asyncapi"]
	for _, operation := range whole["operations"].(object) {
		operation := operation.(object)
		if operation["action"] != action || operation["channel"].(object)["$ref"] != "#/channels/"+channel {
			continue
		}
		for _, ref := range operation["messages"].([]any) {
			one := get(whole, strings.TrimPrefix(ref.(object)["$ref"].(string), "#")).(object)
			names = append(names, one["name"].(string))
		}
	}
	slices.Sort(names)
	return names
}

// TestEveryMessageIsInOneDirection: a message of a channel without an operation would be
// in no list.
func TestEveryMessageIsInOneDirection(t *testing.T) {
	whole := documents(t)["asyncapi"]
	for name, channel := range whole["channels"].(object) {
		n := len(messages(t, name, "send")) + len(messages(t, name, "receive"))
		require.Len(t, channel.(object)["messages"], n, name)
	}
}

// TestExamples fit what they are examples of.
func TestExamples(t *testing.T) {
	whole := documents(t)["asyncapi"]
	for name, channel := range whole["channels"].(object) {
		address := strings.ReplaceAll(channel.(object)["address"].(string), "{chatId}", strings.Repeat("a", 32))
		for key, one := range channel.(object)["messages"].(object) {
			for _, example := range list(one.(object)["examples"]) {
				frame, err := json.Marshal(example.(object)["payload"])
				require.NoError(t, err)
				socket := apitest.NewSocket(address)
				if strings.HasPrefix(key, "client.") {
					socket.Sent(string(frame))
					require.NoError(t, socket.Ended(), "%s: %s", name, frame)
					continue
				}
				socket.Sent(listing(address))
				require.NoError(t, socket.Got(string(frame)))
			}
		}
	}
}

// listing is a client's first frame that lists every feature.
func listing(address string) string {
	if address == "/users" {
		return `{"type":"Load","args":{"features":["verified","details","agents","offers","chats"]}}`
	}
	return `{"type":"Join","args":{"from":"Support","userId":"` + strings.Repeat("a", 32) +
		`","features":["messageId","receipts","typing","preview","presence","queue","close","rating","transfer","notes","files"]}}`
}

// TestGoldenFiles: what the servers make is as the contract has it.
func TestGoldenFiles(t *testing.T) {
	for folder, address := range map[string]string{"../../chat/testdata": "/chat/" + strings.Repeat("a", 32), "../../lobby/testdata": "/users"} {
		files, err := filepath.Glob(folder + "/*.json")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for frame := range strings.Lines(string(text)) {
				socket := apitest.NewSocket(address)
				socket.Sent(listing(address))
				require.NoError(t, socket.Got(strings.TrimSuffix(frame, "\n")), file)
			}
		}
	}
}

// TestUnnamedFails: what no schema names is found.
func TestUnnamedFails(t *testing.T) {
	chat := "/chat/" + strings.Repeat("a", 32)
	for frame, address := range map[string]string{
		`{"type":"Surprise","args":{}}`: chat,
		`{"type":"ChatExpired","args":{"chatId":"` + strings.Repeat("a", 32) + `","why":"idle"}}`: chat,
		`{"type":"ChatExpired","args":{"chatId":"` + strings.Repeat("a", 32) + `"},"seq":1}`:      chat,
		`{"type":"Queue","args":{"position":1,"waiting":1,"estimate":null}}`:                      chat, // not listed
		`{"username":"Nika"}`: chat,
		`{"username":"Nika","userId":"` + strings.Repeat("a", 32) + `","chatId":"` + strings.Repeat("b", 32) + `","team":"billing"}`: "/users",
		`pang`: "/users",
	} {
		require.Error(t, apitest.NewSocket(address).Got(frame), frame)
	}
	socket := apitest.NewSocket(chat)
	socket.Sent(`{"type":"Rate","args":{"score":6}}`)
	require.Error(t, socket.Ended())
	require.NoError(t, socket.Got(`{"type":"Error","args":{"code":"bad_request","message":"No."}}`))
	require.NoError(t, socket.Ended())
	require.Error(t, apitest.Event([]byte(`{"type":"chat.note","timestamp":"2023-10-22T18:18:59.360855Z","data":{}}`)))
	require.NotEmpty(t, slices.Collect(maps.Keys(documents(t)["openapi"]["webhooks"].(object))))
}
