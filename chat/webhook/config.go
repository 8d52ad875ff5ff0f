package webhook

import (
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// ParseURLs parses a list of URLs that are separated by commas. A comma in a URL is %2C.
func ParseURLs(list string) ([]string, error) {
	want := errors.New("want URLs such as https://example.com/hook, comma-separated, a comma inside as %2C")
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		u, err := url.Parse(part)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" {
			return nil, want
		}
		if !slices.Contains(all, part) {
			all = append(all, part)
		}
	}
	return all, nil
}

// ParseSecrets parses a list of secrets that are separated by spaces.
func ParseSecrets(list string) ([]string, error) {
	want := errors.New("want whsec_ and 24 to 64 bytes in base64, several separated by a space, such as whsec_$(openssl rand -base64 32)")
	all := strings.Fields(list)
	for _, secret := range all {
		encoded, ok := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, want
		}
	}
	return all, nil
}
