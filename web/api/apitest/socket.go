package apitest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// channel is the sockets of a route.
type channel struct {
	document *document
	path     *regexp.Regexp
	sends    messages // what a server sends
	takes    messages // what a client may send
}

// messages are those of one direction: by their type, the bare one by "".
type messages struct {
	typed map[string]*message
	words []*message
}

type message struct {
	key     string // in the report of what was seen
	payload object // its schema as it stands in the document
	schema  *jsonschema.Schema
	feature []string // any of which must be listed for it; nil for none
}

func newChannel(d *document, name string) *channel {
	node, _ := d.get(at("channels", name))
	c := &channel{document: d, path: template(node["address"].(string))}
	for operation := range d.whole["operations"].(object) {
		o, place := d.get(at("operations", operation))
		if o["channel"].(object)["$ref"] != "#"+at("channels", name) {
			continue
		}
		direction := &c.takes
		if o["action"] == "send" {
			direction = &c.sends
		}
		for i := range o["messages"].([]any) {
			direction.add(d, name+" "+o["action"].(string), place+at("messages", strconv.Itoa(i)))
		}
	}
	return c
}

func (m *messages) add(d *document, key, place string) {
	if m.typed == nil {
		m.typed = map[string]*message{}
	}
	node, place := d.get(place)
	payload, _ := d.get(place + "/payload")
	one := &message{
		key: key + " " + node["name"].(string), payload: payload, schema: d.schema(place + "/payload"), feature: featuresOf(node),
	}
	expect(one.key)
	properties, _ := payload["properties"].(object)
	kind, typed := properties["type"].(object)
	switch {
	case node["contentType"] == "text/plain":
		m.words = append(m.words, one)
	case typed:
		m.typed[kind["const"].(string)] = one
	default:
		m.typed[""] = one
	}
}

// featuresOf are those of which one must be listed to get something.
func featuresOf(node object) (features []string) {
	switch feature := node["x-feature"].(type) {
	case string:
		return []string{feature}
	case []any:
		for _, one := range feature {
			features = append(features, one.(string))
		}
	}
	return features
}

// find returns the message that a frame is, and the frame's value; nil if none is.
func (m *messages) find(frame string) (*message, any) {
	for _, one := range m.words {
		if one.schema.Validate(frame) == nil {
			return one, frame
		}
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(frame))
	if err != nil {
		return nil, nil
	}
	whole, isObject := value.(object)
	kind, isString := whole["type"].(string)
	if _, has := whole["type"]; !isObject || has && !isString {
		return nil, value
	}
	return m.typed[kind], value
}

// Socket holds the frames of one socket against the contract. Its methods may be called
// concurrently.
type Socket struct {
	channel *channel

	mu     sync.Mutex
	listed map[string]bool // in a Join or any Load
	unfit  []string        // frames of the client that no schema has
	errors int             // refusals that have come
	strays bool
}

// NewSocket is for a socket that was opened at a path. It is nil, which takes
// everything, if the contract has no such socket.
func NewSocket(path string) *Socket {
	path, _, _ = strings.Cut(path, "?")
	for _, c := range theContract().channels {
		if c.path.MatchString(path) {
			return &Socket{channel: c, listed: map[string]bool{}}
		}
	}
	return nil
}

// Sent notes a text frame that the client sends. One that does not fit must be refused:
// see Ended.
func (s *Socket) Sent(frame string) {
	if s == nil {
		return
	}
	one, value := s.channel.takes.find(frame)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list(value)
	if one == nil || one.schema.Validate(value) != nil {
		s.unfit = append(s.unfit, frame)
		return
	}
	see(one.key)
}

// list notes what a Join or a Load lists. The caller holds mu.
func (s *Socket) list(value any) {
	whole, _ := value.(object)
	args, _ := whole["args"].(object)
	features, _ := args["features"].([]any)
	for _, feature := range features {
		if name, ok := feature.(string); ok {
			s.listed[name] = true
		}
	}
}

// Got checks a text frame of the server's.
func (s *Socket) Got(frame string) error {
	if s == nil {
		return nil
	}
	one, value := s.channel.sends.find(frame)
	if one == nil {
		return fail("no schema names the frame %.300s", frame)
	}
	if err := one.schema.Validate(value); err != nil {
		return fail("the frame %.300s: %v", frame, err)
	}
	see(one.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if whole, ok := value.(object); ok && whole["type"] == "Error" {
		s.errors++
	}
	var unlisted error
	needs := func(features []string) {
		if features != nil && !slices.ContainsFunc(features, func(name string) bool { return s.listed[name] }) {
			unlisted = fail("the frame %.300s has what is for %q alone, and the socket has listed %v", frame, features, s.listed)
		}
	}
	needs(one.feature)
	s.channel.document.walk(one.payload, value, needs)
	return unlisted
}

// walk calls needs for the features of all fields that a value has.
func (d *document) walk(node object, value any, needs func([]string)) {
	node = d.behind(node)
	if choices, ok := node["anyOf"].([]any); ok && len(choices) == 1 {
		d.walk(choices[0].(object), value, needs)
	}
	switch value := value.(type) {
	case object:
		properties, _ := node["properties"].(object)
		for name, below := range value {
			if property, ok := properties[name].(object); ok {
				needs(featuresOf(property))
				d.walk(property, below, needs)
			}
		}
	case []any:
		if items, ok := node["items"].(object); ok {
			for _, below := range value {
				d.walk(items, below, needs)
			}
		}
	}
}

// Strays says that the client sends on purpose what no schema has, such as fields that the
// server ignores, or that it is cut for it.
func (s *Socket) Strays() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strays = true
}

// Ended says that all frames of a socket have been read: each of the client's that did
// not fit has been refused by then.
func (s *Socket) Ended() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strays || len(s.unfit) <= s.errors {
		return nil
	}
	return fail("the server has taken one of these frames, which no schema has: %.300q", s.unfit)
}
