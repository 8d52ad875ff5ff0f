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

// What browsers load, and not the README.
//
//go:embed pages/*.html pages/*.css pages/*.js pages/languages/*.js pages/languages/console/*.js
var pages embed.FS

// Site has the facts about the deployment that the pages need.
type Site struct {
	// ChatURL is where browsers reach the chat server, without a trailing slash. If it is
	// empty, pages use their own host with ChatPort.
	ChatURL string
	// FilesOrigin is where browsers get files from, without a trailing slash. If it is
	// empty, they get files from where they send them.
	FilesOrigin string
	// ChatPort and LobbyPort are the ports on which the servers listen.
	ChatPort, LobbyPort string
	// ChatTTL is how long a chat lives without a message.
	ChatTTL time.Duration
	// TypingPreview makes the widget send what visitors type, and tell them that agents
	// see it.
	TypingPreview bool
	// AgentsNeedToken makes the console ask for a token instead of a name.
	AgentsNeedToken bool
}

const (
	// revisit makes browsers ask every time whether a file has changed.
	revisit = "no-cache"
	// brief is for the one file that other sites link to: browsers need not ask on every
	// page, and get a new version within minutes.
	brief = "public, max-age=300, stale-while-revalidate=86400"
	// forever is for files whose URL changes when they change.
	forever = "public, max-age=31536000, immutable"
)

// file is a file of the pages, as it is sent.
type file struct {
	kind   string
	body   []byte
	zipped func() []byte // compressed on first use, because it would take most of the time of a start
	etag   string
}

// servePages serves the page of a port and the files that it loads. All URLs in a page are
// relative, so a proxy can put it under any path.
func (s *Server) servePages(page string) {
	files, version := loadPages(s.options.Site)
	s.app.Get("/", func(c *fiber.Ctx) error {
		// Any site may show the visitors' page in a frame. The console must not be framed,
		// to protect agents from clickjacking.
		ancestors := "*"
		if page == lobbyPage {
			ancestors = "'none'"
			c.Set(fiber.HeaderXFrameOptions, "DENY")
		}
		c.Set(fiber.HeaderContentSecurityPolicy, policy(c.Hostname(), &s.options.Site, ancestors))
		return files[page].send(c, revisit)
	})
	s.app.Get("/assets/:version/*", func(c *fiber.Ctx) error {
		f, ok := files[c.Params("*")]
		if !ok || strings.HasSuffix(c.Params("*"), ".html") {
			return fiber.ErrNotFound
		}
		// Browsers may ask for another version while servers are being replaced.
		if c.Params("version") != version {
			return f.send(c, revisit)
		}
		return f.send(c, forever)
	})
	s.serveReference(files["reference.html"])
	if page != chatPage {
		return
	}
	var latest atomic.Pointer[hosted] // there is usually only one host
	s.app.Get("/widget.js", func(c *fiber.Ctx) error {
		// Not Hostname, which reads X-Forwarded-Host: a cache that ignores that header
		// would give one visitor's response to all.
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
		"agents.js", "availability.js", "client.js", "connection.js", "delivery.js", "lobby.js", "metadata.js", "native.js", "notes.js", "presence.js", "receipts.js", "refusal.js",
		"registration.js", "requests.js", "typing.js", "uploads.js",
	} {
		s.app.Get("/"+name, func(c *fiber.Ctx) error { return files[name].send(c, revisit) })
	}
}

// hosted is the widget's script with the host that it was requested from. Bundled into
// another script, the widget cannot find that out otherwise.
type hosted struct {
	host string
	file *file
}

var nameableHost = regexp.MustCompile(`^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?$`)

// isStatic reports whether a path is that of a page or of a file that pages load.
func isStatic(path string) bool {
	switch path {
	case "/", "/widget.js", "/client.js", "/connection.js", "/api", "/asyncapi.json", "/openapi.json", "/settings.schema.json":
		return true
	}
	return strings.HasPrefix(path, "/assets/")
}

const (
	chatPage  = "visitor.html"
	lobbyPage = "agent.html"
)

// loadPages reads the embedded files, fills in the facts of the site, and returns the files
// with their version, which changes when any of them changes.
func loadPages(site Site) (map[string]*file, string) {
	hash := sha256.New()
	bodies := make(map[string][]byte)
	for _, name := range pageFiles() {
		body, err := pages.ReadFile("pages/" + name)
		if err != nil {
			panic(err) // the folder is embedded
		}
		hash.Write(body)
		bodies[name] = body
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

// pageFiles returns the names of the pages' files, those in folders as "languages/en.js".
func pageFiles() []string {
	var names []string
	err := fs.WalkDir(pages, "pages", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(name, "pages/"))
		}
		return err
	})
	if err != nil {
		panic(err) // the folder is embedded
	}
	return names
}

func newFile(extension string, body []byte) *file {
	kinds := map[string]string{
		".html":        fiber.MIMETextHTMLCharsetUTF8,
		".js":          fiber.MIMETextJavaScriptCharsetUTF8,
		".css":         "text/css; charset=utf-8",
		".json":        fiber.MIMEApplicationJSON,
		".schema.json": "application/schema+json",
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

// preload replaces {{modules}} in a page by links to all modules that the page's module
// imports. Otherwise a browser would find each module only after loading its importer.
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
	w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // the level is valid
	_, _ = w.Write(body)                                       // writing to memory cannot fail
	_ = w.Close()
	return zipped.Bytes()
}

func (f *file) send(c *fiber.Ctx, caching string) error {
	c.Set(fiber.HeaderContentType, f.kind)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	// Other sites load the widget, even cross-origin isolated ones.
	c.Set("Cross-Origin-Resource-Policy", "cross-origin")
	c.Set(fiber.HeaderCacheControl, caching)
	c.Set(fiber.HeaderETag, f.etag)
	c.Vary(fiber.HeaderAcceptEncoding)
	if c.Fresh() {
		return c.SendStatus(fiber.StatusNotModified)
	}
	// A client without Accept-Encoding may get any encoding (RFC 9110, section 12.5.3), but
	// can seldom decompress.
	if c.Get(fiber.HeaderAcceptEncoding) != "" && c.AcceptsEncodings("gzip", "identity") == "gzip" {
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return c.Send(f.zipped())
	}
	return c.Send(f.body)
}

// plainHost matches hosts that a content security policy can name.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)

// policy returns the content security policy of a page. The page can load its own files,
// and connect to its own host on any port and to the chat server's URL. Pictures can also
// come from FilesOrigin. A proxy may have terminated TLS, so the policy allows both schemes.
func policy(host string, site *Site, ancestors string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	connect, images := "'self'", "data: 'self'"
	if plainHost.MatchString(host) {
		for _, scheme := range []string{"http", "https", "ws", "wss"} {
			source := " " + scheme + "://" + host + ":*"
			connect += source
			if strings.HasPrefix(scheme, "http") {
				images += source
			}
		}
	} else {
		connect += " http: https: ws: wss:" // a policy cannot name an IPv6 address
		images += " http: https:"
	}
	if u, err := url.Parse(site.ChatURL); err == nil && u.Host != "" {
		connect += " " + u.Scheme + "://" + u.Host + " " + strings.Replace(u.Scheme, "http", "ws", 1) + "://" + u.Host
		images += " " + u.Scheme + "://" + u.Host
	}
	if u, err := url.Parse(site.FilesOrigin); err == nil && u.Host != "" {
		images += " " + u.Scheme + "://" + u.Host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src " + images + "; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
}
