package files

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"
)

// maxName is the maximum number of characters in a file's name.
const maxName = 255

// Name decodes a file's name, which a client has sent percent-encoded, to the form that is
// stored and shown, and reports whether it is valid (web/api/README.md, "Files"). If nothing
// is left of the name, Name makes one from kind, the media type.
func Name(escaped, kind string) (name string, ok bool) {
	name, err := url.PathUnescape(escaped)
	if err != nil || !utf8.ValidString(name) {
		return "", false
	}
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if isDropped(r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n > maxName {
		name = strings.TrimSpace(string([]rune(name)[:maxName]))
	}
	if name == "" {
		name = "file" + extension(kind)
	}
	return name, true
}

// isDropped reports whether a character breaks lines, changes the direction of text or is a
// control character.
func isDropped(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return true
	}
	return unicode.Is(unicode.Bidi_Control, r)
}

// extension returns the extension of a media type with its dot, empty if there is none.
func extension(kind string) string {
	if found := mimetype.Lookup(kind); found != nil {
		return found.Extension()
	}
	return ""
}

// runs are extensions of files that systems and browsers execute when they open them.
var runs = []string{
	"app", "appimage", "application", "bat", "bash", "chm", "cmd", "com", "command", "cpl", "csh", "desktop", "dll", "dmg",
	"docm", "exe", "gadget", "hta", "htm", "html", "inf", "ins", "iso", "jar", "js", "jse", "ksh", "lnk", "mht", "mhtml", "mjs",
	"msc", "msi", "msp", "mst", "php", "pif", "pl", "pptm", "ps1", "psm1", "py", "rb", "reg", "scf", "scr", "sct", "sh", "shb",
	"shs", "shtml", "svg", "svgz", "terminal", "url", "vb", "vbe", "vbs", "webloc", "workflow", "ws", "wsc", "wsf", "wsh",
	"xht", "xhtml", "xlsm", "xml", "xsl", "xslt", "zsh",
}

// SavedName returns the name under which to save a file: a text called "start.bat" must not
// become a program by being downloaded.
func SavedName(name, kind string) string {
	// Windows ignores dots and spaces at the end.
	ending := strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimRight(name, ". ")), "."))
	if slices.Contains(runs, ending) {
		return strings.TrimRight(name, ". ") + extension(kind)
	}
	return name
}

// Disposition returns the Content-Disposition of a file (RFC 6266): inline only for pictures
// that no browser executes.
func Disposition(name, kind string) string {
	how := "attachment"
	if slices.Contains(pictures, kind) {
		how = "inline"
	}
	name = SavedName(name, kind)
	plain := []byte(name)
	simple := true
	for i, c := range plain {
		if c < ' ' || c > '~' || strings.IndexByte(`"\%`, c) >= 0 {
			plain[i], simple = '_', false
		}
	}
	header := how + `; filename="` + string(plain) + `"`
	if !simple {
		header += "; filename*=UTF-8''" + attributeEscape(name)
	}
	return header
}

// pictures are the media types that browsers only show.
var pictures = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// attributeEscape encodes s as the value of an extended parameter (RFC 8187).
func attributeEscape(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
