package backend

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"livesupport/chat/archive"
	"livesupport/chat/webhook"
)

func keysURL(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err != nil || !isServer(u, "https", "http") {
		return "", errors.New("want a URL such as https://login.example.com/keys")
	}
	return value, nil
}

// archiveOff is the ARCHIVE_URL of a deployment without an archive.
const archiveOff = "off"

func archiveURL(value string) (string, error) {
	if value == "" || value == archiveOff {
		return value, nil
	}
	return value, archive.CheckURL(value)
}

func webhookURLs(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	return webhook.ParseURLs(value)
}

func redisURL(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err == nil && (isServer(u, "redis", "rediss") || u.Scheme == "unix" && u.Path != "") {
		return value, nil
	}
	return "", errors.New("want a URL such as redis://localhost:6379 or rediss://user:password@host:6379/0")
}

func natsURLs(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	for server := range strings.SplitSeq(value, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || !isServer(u, "nats", "tls", "ws", "wss") {
			return "", errors.New("want comma-separated URLs such as nats://localhost:4222")
		}
	}
	return value, nil
}

func isServer(u *url.URL, schemes ...string) bool {
	return slices.Contains(schemes, u.Scheme) && u.Host != "" && (u.Port() == "" || isPort(u.Port()))
}

// publicPath matches paths that need no escaping, neither in URLs nor in HTML.
var publicPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)

// publicURL returns the URL in the form that browsers show, without a trailing slash.
func publicURL(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	value = strings.TrimRight(value, "/")
	scheme, rest, _ := strings.Cut(value, "://")
	host, path := rest, ""
	if slash := strings.Index(rest, "/"); slash >= 0 {
		host, path = rest[:slash], rest[slash:]
	}
	origin, err := origins(scheme + "://" + host)
	scheme = strings.ToLower(scheme)
	if err != nil || scheme != "http" && scheme != "https" || !publicPath.MatchString(path) || strings.ContainsAny(host, `*,<>"'&;`) {
		return "", errors.New("want a URL such as https://example.com or https://example.com/chat")
	}
	return origin[0] + path, nil
}

// origins returns the list in the form that browsers send: lower case, in ASCII,
// without the scheme's default port.
func origins(value string) ([]string, error) {
	var list []string
	for origin := range strings.SplitSeq(value, ",") {
		origin = strings.TrimSpace(origin)
		wrong := errors.New(wantOrigins)
		if strings.Contains(value, ",") {
			wrong = fmt.Errorf("%q is not an origin: %s", mask(origin), wantOrigins)
		}
		if origin == "*" {
			list = append(list, origin)
			continue
		}
		// https://*.example.com: without the wildcard, the same rules apply as for any origin.
		scheme, domain, wildcard := strings.Cut(origin, "://*.")
		if wildcard {
			origin = scheme + "://" + domain
		}
		origin = inASCII(origin)
		u, err := url.Parse(strings.ToLower(origin))
		if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != strings.ToLower(origin) ||
			strings.ContainsAny(u.Host, "* ") || strings.ContainsFunc(u.Host, isNotASCII) || strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()) {
			return nil, wrong
		}
		if u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" {
			u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
		}
		if wildcard {
			u.Host = "*." + u.Host
		}
		list = append(list, u.Scheme+"://"+u.Host)
	}
	return list, nil
}

const wantOrigins = "want * or origins without a path, comma-separated, such as https://example.com,https://*.example.com,http://localhost:3000"

// inASCII returns an origin with its internationalised domain in ASCII, as browsers
// send it.
func inASCII(origin string) string {
	scheme, authority, found := strings.Cut(origin, "://")
	if !found || !strings.ContainsFunc(authority, isNotASCII) {
		return origin
	}
	host, port := authority, ""
	if i := strings.LastIndex(authority, ":"); i >= 0 {
		host, port = authority[:i], authority[i:]
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return origin
	}
	return scheme + "://" + ascii + port
}

func isNotASCII(r rune) bool { return r > unicode.MaxASCII }

var passwordParameter = regexp.MustCompile(`(?i)(password=)[^&]*`)

// mask hides the passwords of URLs in s. The URLs need not be well-formed: mask hides
// too much rather than showing half a password.
func mask(s string) string {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		scheme, _, found := strings.Cut(s[:at], "://")
		if found {
			scheme += "://"
		} else {
			scheme = ""
		}
		s = scheme + "***" + s[at:]
	} else {
		servers := strings.Split(s, ",")
		for i, server := range servers {
			scheme, _, found := strings.Cut(server, "://")
			if _, err := url.Parse(server); found && err != nil {
				servers[i] = scheme + "://***"
			}
		}
		s = strings.Join(servers, ",")
	}
	return passwordParameter.ReplaceAllString(s, "${1}***")
}
