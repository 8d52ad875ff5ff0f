package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

//go:embed pages
var pages embed.FS

// Site is what the pages are told about the deployment.
type Site struct {
	// ChatURL is where browsers reach the chat server, without a slash at the
	// end. If empty, pages take their own address with ChatPort.
	ChatURL string
	// ChatPort and LobbyPort are the ports on which the servers listen.
	ChatPort, LobbyPort string
	// ChatTTL is how long a chat lives without a message.
	ChatTTL time.Duration
	// TypingPreview makes the widget tell visitors that agents see what they
	// type, and send it.
	TypingPreview bool
	// AgentsNeedToken makes the console ask for a token instead of a name.
	AgentsNeedToken bool
}

const (
	// revisit makes browsers ask each time whether a file is still the same.
	revisit = "no-cache"
	// brief is for the one file whose address other sites have: they need not
	// ask on every page, and a new version is there within minutes.
	brief = "public, max-age=300, stale-while-revalidate=86400"
	// forever is for files whose address changes with them.
	forever = "public, max-age=31536000, immutable"
)

// A file of the pages, as it is sent.
type file struct {
	kind   string
	body   []byte
	zipped func() []byte // made when first asked for: it takes longer than all else of a start
	etag   string
}

// servePages serves the page of a port and what it loads. Everything that a page
// names is relative to it, so a proxy may put it under any path.
func (s *Server) servePages(page string) {
	files, version := loadPages(s.options.Site)
	s.app.Get("/", func(c *fiber.Ctx) error {
		// The visitor's page may stand in a frame of any site, as the widget may
		// stand on it. In the console a click of an agent must be theirs.
		ancestors := "*"
		if page == lobbyPage {
			ancestors = "'none'"
			c.Set(fiber.HeaderXFrameOptions, "DENY")
		}
		c.Set(fiber.HeaderContentSecurityPolicy, policy(c.Hostname(), s.options.Site.ChatURL, ancestors))
		return files[page].send(c, revisit)
	})
	s.app.Get("/assets/:version/:file", func(c *fiber.Ctx) error {
		f, ok := files[c.Params("file")]
		if !ok || strings.HasSuffix(c.Params("file"), ".html") {
			return fiber.ErrNotFound
		}
		// Another version is asked for while servers are being replaced.
		if c.Params("version") != version {
			return f.send(c, revisit)
		}
		return f.send(c, forever)
	})
	if page != chatPage {
		return
	}
	var latest atomic.Pointer[hosted] // one name is the rule
	s.app.Get("/widget.js", func(c *fiber.Ctx) error {
		// Not Hostname: a cache that knows nothing of X-Forwarded-Host would give
		// one visitor's answer to all.
		host := string(c.Request().Host())
		if !nameableHost.MatchString(host) {
			host = "unknown.invalid"
		}
		of := latest.Load()
		if of == nil || of.host != host {
			body := bytes.ReplaceAll(files["widget.js"].body, []byte("{{host}}"), []byte(host))
			of = &hosted{host, newFile(".js", body)}
			latest.Store(of)
		}
		return of.file.send(c, brief)
	})
	for _, name := range []string{
		"client.js", "connection.js", "delivery.js", "lobby.js", "native.js", "presence.js", "receipts.js", "refusal.js",
		"registration.js", "requests.js", "typing.js",
	} {
		s.app.Get("/"+name, func(c *fiber.Ctx) error { return files[name].send(c, revisit) })
	}
}

// hosted is the widget's script, which is told the host that it was asked of: where
// it is a part of another script it has no other way to know.
type hosted struct {
	host string
	file *file
}

var nameableHost = regexp.MustCompile(`^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?$`)

// isStatic reports whether a path is that of a page or of what pages load.
func isStatic(path string) bool {
	switch path {
	case "/", "/widget.js", "/client.js", "/connection.js":
		return true
	}
	return strings.HasPrefix(path, "/assets/")
}

const (
	chatPage  = "visitor.html"
	lobbyPage = "agent.html"
)

// loadPages reads the embedded files, fills in what they are told, and returns
// them with their version, which changes with any of them.
func loadPages(site Site) (map[string]*file, string) {
	names, err := fs.Glob(pages, "pages/*")
	if err != nil {
		panic(err) // the pattern is right
	}
	hash := sha256.New()
	bodies := make(map[string][]byte)
	for _, name := range names {
		body, err := pages.ReadFile(name)
		if err != nil {
			panic(err) // the folder is embedded
		}
		hash.Write(body)
		bodies[path.Base(name)] = body
	}
	version := hex.EncodeToString(hash.Sum(nil)[:8])
	signIn := "name"
	if site.AgentsNeedToken {
		signIn = "token"
	}
	fill := strings.NewReplacer(
		"{{signIn}}", signIn,
		"{{version}}", version,
		"{{chatURL}}", site.ChatURL, // Config has checked that it is safe in HTML
		"{{chatPort}}", site.ChatPort,
		"{{lobbyPort}}", site.LobbyPort,
		"{{preview}}", strconv.FormatBool(site.TypingPreview),
		"{{ttl}}", strconv.FormatInt(site.ChatTTL.Milliseconds(), 10),
	)
	files := make(map[string]*file)
	for name, body := range bodies {
		if path.Ext(name) == ".html" {
			body = preload(body, bodies)
		}
		if name == "widget.js" || path.Ext(name) == ".html" {
			body = []byte(fill.Replace(string(body)))
		}
		files[name] = newFile(path.Ext(name), body)
	}
	return files, version
}

func newFile(extension string, body []byte) *file {
	kinds := map[string]string{
		".html": fiber.MIMETextHTMLCharsetUTF8,
		".js":   fiber.MIMETextJavaScriptCharsetUTF8,
		".css":  "text/css; charset=utf-8",
	}
	sum := sha256.Sum256(body)
	return &file{
		kind:   kinds[extension],
		body:   body,
		zipped: sync.OnceValue(func() []byte { return zip(body) }),
		etag:   `W/"` + hex.EncodeToString(sum[:8]) + `"`,
	}
}

var (
	pageModule   = regexp.MustCompile(`<script type="module" src="assets/\{\{version\}\}/([^"]+)"`)
	moduleImport = regexp.MustCompile(`(?m)^(?:import|export)\b[^"\n]*"\./([^"]+)";$`)
)

// preload names all that a page's module imports in the page, where it says
// {{modules}}: else a browser learns of each only from the one that imports it.
func preload(page []byte, bodies map[string][]byte) []byte {
	entry := pageModule.FindSubmatch(page)
	if entry == nil {
		return page
	}
	names := []string{string(entry[1])}
	for i := 0; i < len(names); i++ {
		for _, found := range moduleImport.FindAllSubmatch(bodies[names[i]], -1) {
			if name := string(found[1]); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var links []string
	for _, name := range names[1:] {
		links = append(links, `<link rel="modulepreload" href="assets/{{version}}/`+name+`">`)
	}
	return bytes.ReplaceAll(page, []byte("{{modules}}"), []byte(strings.Join(links, "\n  ")))
}

func zip(body []byte) []byte {
	var zipped bytes.Buffer
	w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // a level that there is
	_, _ = w.Write(body)                                       // memory takes it
	_ = w.Close()
	return zipped.Bytes()
}

func (f *file) send(c *fiber.Ctx, caching string) error {
	c.Set(fiber.HeaderContentType, f.kind)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	// Other sites load the widget, even those that are isolated from others.
	c.Set("Cross-Origin-Resource-Policy", "cross-origin")
	c.Set(fiber.HeaderCacheControl, caching)
	c.Set(fiber.HeaderETag, f.etag)
	c.Vary(fiber.HeaderAcceptEncoding)
	if c.Fresh() {
		return c.SendStatus(fiber.StatusNotModified)
	}
	// Who says nothing may get anything (RFC 9110, section 12.5.3), but seldom unzips.
	if c.Get(fiber.HeaderAcceptEncoding) != "" && c.AcceptsEncodings("gzip", "identity") == "gzip" {
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return c.Send(f.zipped())
	}
	return c.Send(f.body)
}

// plainHost is a host that a content security policy can name.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)

// policy lets a page load its own files, and connect to its own host on any port
// and to the chat server's URL. A proxy may have taken TLS away from the request,
// so either scheme may be the page's.
func policy(host, chatURL, ancestors string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	connect := "'self'"
	if plainHost.MatchString(host) {
		for _, scheme := range []string{"http", "https", "ws", "wss"} {
			connect += " " + scheme + "://" + host + ":*"
		}
	} else {
		connect += " http: https: ws: wss:" // an IPv6 address cannot be named
	}
	if u, err := url.Parse(chatURL); err == nil && u.Host != "" {
		connect += " " + u.Scheme + "://" + u.Host + " " + strings.Replace(u.Scheme, "http", "ws", 1) + "://" + u.Host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
}
