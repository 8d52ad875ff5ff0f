package files_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"livesupport/chat/files"
)

func TestName(t *testing.T) {
	for escaped, want := range map[string]string{
		"photo.png":                           "photo.png",
		"a%20b.png":                           "a b.png",
		"a+b.png":                             "a+b.png",
		"%20a%20":                             "a",
		"..%2F..%2Fetc%2Fpasswd":              "passwd",
		"C:%5CWindows%5Cstart.bat":            "start.bat",
		"a/b\\c.png":                          "c.png",
		"..":                                  "..",
		"%2E%2E%2F":                           "file.png",
		"":                                    "file.png",
		"%20%0A":                              "file.png",
		"a%00b%0D%0ASet-Cookie:%20x.png":      "abSet-Cookie: x.png",
		"a%C2%85b%E2%80%A8c%E2%80%A9d":        "abcd",
		"gpj%E2%80%AEexe.png":                 "gpjexe.png",
		"%E2%81%A6a%E2%81%A9%E2%80%8F%D8%9Cb": "ab",
		"%22quoted%22%27.png":                 `"quoted"'.png`,
		"%3Cimg%20src=x%3E.png":               "<img src=x>.png",
		"invoice.pdf.exe":                     "invoice.pdf.exe",
		strings.Repeat("%F0%9F%98%80", 255):   strings.Repeat("😀", 255),
		strings.Repeat("%F0%9F%98%80", 300):   strings.Repeat("😀", 255),
		strings.Repeat("x", 254) + "%20" + "tail": strings.Repeat("x", 254),
		"%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB.png":   "👩\u200d💻.png",
		"%D9%85%D9%84%D9%81.png":                  "ملف.png",
	} {
		got, ok := files.Name(escaped, "image/png")
		require.True(t, ok, escaped)
		require.Equal(t, want, got, escaped)
	}
	for _, escaped := range []string{"%", "%zz", "a%2", "%FF", "a%C3", "%ED%A0%80"} {
		_, ok := files.Name(escaped, "image/png")
		require.False(t, ok, escaped)
	}
	for kind, want := range map[string]string{"application/pdf": "file.pdf", "text/plain": "file.txt", "image/jpeg": "file.jpg", "": "file"} {
		got, _ := files.Name("/", kind)
		require.Equal(t, want, got)
	}
}

func FuzzName(f *testing.F) {
	for _, seed := range []string{"a.png", "%2e%2e%2f", "%E2%80%AE", "a%0d%0ab", strings.Repeat("%F0%9F%98%80", 256), "\u202e \\", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		name, ok := files.Name(escaped, "image/png")
		if !ok {
			return
		}
		if !utf8.ValidString(name) || name == "" || utf8.RuneCountInString(name) > 255 || strings.TrimSpace(name) != name ||
			strings.ContainsAny(name, "/\\\u2028\u2029") || strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
			t.Fatalf("%q of %q", name, escaped)
		}
		if again, ok := files.Name(url.PathEscape(name), "image/png"); !ok || again != name {
			t.Fatalf("%q the second time, %q the first", again, name)
		}
		header := files.Disposition(name, "text/plain")
		for _, c := range []byte(header) {
			if c < ' ' || c > '~' {
				t.Fatalf("the header has %q", header)
			}
		}
		if strings.Count(header, `"`) != 2 {
			t.Fatalf("the header has %q", header)
		}
	})
}

func TestDisposition(t *testing.T) {
	for _, test := range []struct{ name, kind, want string }{
		{"a.png", "image/png", `inline; filename="a.png"`},
		{"a.pdf", "application/pdf", `attachment; filename="a.pdf"`},
		{`a"b\c.txt`, "text/plain", `attachment; filename="a_b_c.txt"; filename*=UTF-8''a%22b%5Cc.txt`},
		{"é.txt", "text/plain", `attachment; filename="__.txt"; filename*=UTF-8''%C3%A9.txt`},
		{"100%41.txt", "text/plain", `attachment; filename="100_41.txt"; filename*=UTF-8''100%2541.txt`},
		{"start.bat", "text/plain", `attachment; filename="start.bat.txt"`},
		{"start.BAT. ", "text/plain", `attachment; filename="start.BAT.txt"`},
		{"invoice.pdf.exe", "application/pdf", `attachment; filename="invoice.pdf.exe.pdf"`},
		{"page.svg", "image/svg+xml", `attachment; filename="page.svg.svg"`},
		{"notes.md", "text/plain", `attachment; filename="notes.md"`},
	} {
		require.Equal(t, test.want, files.Disposition(test.name, test.kind))
	}
}
