package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// route is a path with its operations, by method.
type route struct {
	path       string
	pattern    *regexp.Regexp
	operations map[string]*operation
}

type operation struct {
	answers map[string]*answer // by status, or "default"
	body    *jsonschema.Schema // of a request in JSON; nil for none
	queries []string           // parameters
}

// answer is a response, as OpenAPI calls it.
type answer struct {
	statuses []int    // that the default stands for
	headers  []string // that must be there
	contents map[string]*jsonschema.Schema
}

func newRoute(d *document, path string) *route {
	r := &route{path: path, pattern: template(path), operations: map[string]*operation{}}
	item, _ := d.get(at("paths", path))
	for _, method := range []string{"get", "head", "post", "put", "patch", "delete"} {
		if _, ok := item[method]; !ok {
			continue
		}
		name := strings.ToUpper(method)
		place := at("paths", path, method)
		node, _ := d.get(place)
		o := &operation{answers: map[string]*answer{}}
		for status := range node["responses"].(object) {
			o.answers[status] = newAnswer(d, place+at("responses", status))
			if status[0] < '3' { // refusals are all of one schema
				expect(name + " " + path + " " + status)
			}
		}
		if _, ok := node["requestBody"]; ok {
			body, place := d.get(place + "/requestBody")
			if _, ok := body["content"].(object)["application/json"]; ok {
				o.body = d.schema(place + at("content", "application/json", "schema"))
			}
		}
		parameters, _ := node["parameters"].([]any)
		for i := range parameters {
			parameter, _ := d.get(place + "/parameters/" + strconv.Itoa(i))
			if parameter["in"] == "query" {
				o.queries = append(o.queries, parameter["name"].(string))
			}
		}
		r.operations[name] = o
	}
	return r
}

func newAnswer(d *document, place string) *answer {
	node, place := d.get(place)
	a := &answer{contents: map[string]*jsonschema.Schema{}}
	statuses, _ := node["x-statuses"].([]any)
	for _, status := range statuses {
		number, err := status.(json.Number).Int64()
		if err != nil {
			panic(err)
		}
		a.statuses = append(a.statuses, int(number))
	}
	headers, _ := node["headers"].(object)
	for name, header := range headers {
		if header.(object)["required"] == true {
			a.headers = append(a.headers, name)
		}
	}
	contents, _ := node["content"].(object)
	for kind, content := range contents {
		a.contents[kind] = nil
		if _, ok := content.(object)["schema"]; ok {
			a.contents[kind] = d.schema(place + at("content", kind, "schema"))
		}
	}
	return a
}

// Transport checks what answers come over another one.
func Transport(next http.RoundTripper) http.RoundTripper { return &transport{next} }

type transport struct{ next http.RoundTripper }

// RoundTrip leaves bodies alone that no schema is about: they may be large.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var sent []byte
	if request.GetBody != nil {
		if body, err := request.GetBody(); err == nil {
			sent, _ = io.ReadAll(body) // it is in memory
			_ = body.Close()
		}
	}
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	x := exchange{request.Method, request.URL.RequestURI(), sent, response.StatusCode, response.Header, nil}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind == "application/json" && request.Method != http.MethodHead {
		body, err := io.ReadAll(response.Body)
		response.Body = &again{io.MultiReader(bytes.NewReader(body), broken{err}), response.Body}
		if err != nil {
			return response, nil // which the test sees as well
		}
		x.body = body
	}
	_ = x.check() // Exit tells
	return response, nil
}

// again is a body that has been read.
type again struct {
	io.Reader
	io.Closer
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

// exchange is a request and its answer.
type exchange struct {
	method, uri string
	sent        []byte
	status      int
	header      http.Header
	body        []byte // if it is JSON
}

func (x *exchange) check() error {
	c := theContract()
	if x.method == http.MethodOptions && x.status == http.StatusNoContent { // a preflight
		return nil
	}
	path, query, _ := strings.Cut(x.uri, "?")
	i := slices.IndexFunc(c.routes, func(r *route) bool { return r.pattern.MatchString(path) })
	if i < 0 {
		return x.wrong(c.generic.fits(x, true))
	}
	r := c.routes[i]
	o := r.operations[x.method]
	if o == nil && x.method == http.MethodHead {
		o = r.operations[http.MethodGet]
	}
	if o == nil {
		return x.wrong(c.generic.fits(x, true))
	}
	status := strconv.Itoa(x.status)
	a := o.answers[status]
	if a == nil {
		return x.wrong(o.answers["default"].fits(x, true))
	}
	if err := a.fits(x, false); err != nil {
		return x.wrong(err)
	}
	see(x.method + " " + r.path + " " + status)
	if x.status/100 != 2 {
		return nil
	}
	return x.wrong(o.takes(x, query))
}

// takes checks what was sent in a request that has succeeded.
func (o *operation) takes(x *exchange, query string) error {
	if o.body != nil && len(x.sent) > 0 {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(x.sent))
		if err == nil {
			err = o.body.Validate(value)
		}
		if err != nil {
			return fmt.Errorf("its body %.300s: %w", x.sent, err)
		}
	}
	if o.queries == nil {
		return nil
	}
	values, err := url.ParseQuery(query)
	for name := range values {
		if !slices.Contains(o.queries, name) {
			err = errors.Join(err, fmt.Errorf("it has no parameter %q", name))
		}
	}
	return err
}

// fits checks an answer; byDefault, whether its status is one that the default has.
func (a *answer) fits(x *exchange, byDefault bool) error {
	if byDefault && !slices.Contains(a.statuses, x.status) {
		return errors.New("no schema names this status")
	}
	for _, name := range a.headers {
		if x.header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if len(a.contents) == 0 || x.method == http.MethodHead {
		return nil
	}
	kind, _, err := mime.ParseMediaType(x.header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the Content-Type %q: %w", x.header.Get("Content-Type"), err)
	}
	schema, ok := a.contents[kind]
	if _, any := a.contents["*/*"]; !ok && !any {
		return fmt.Errorf("no schema names the Content-Type %s", kind)
	}
	if schema == nil || kind != "application/json" {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(x.body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (x *exchange) wrong(err error) error {
	if err == nil {
		return nil
	}
	return fail("%s %s: %d %.300s: %v", x.method, x.uri, x.status, x.body, err)
}
