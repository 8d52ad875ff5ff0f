package backend

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"livesupport/chat/log"
	"livesupport/chat/webhook"
	"livesupport/web"
)

// badValue is the error of a mapper that refuses a value.
type badValue struct {
	flag, variable string
	value          string
	want           string
}

func (e badValue) Error() string { return e.want }

// mappers are the types that the tags of Config name.
func mappers() []kong.Option {
	return []kong.Option{
		mapper("address", address),
		mapper("optional-address", optionalAddress),
		mapper("prefix", prefix),
		mapper("broker", oneOf("redis", "nats")),
		mapper("assign", oneOf("off", "round_robin", "least_busy")),
		mapper("redis-url", redisURL),
		mapper("wait", wholeNumber(0, 5)),
		mapper("nats-url", natsURLs),
		mapper("replicas", wholeNumber(1, 5)),
		mapper("storage", oneOf("file", "memory")),
		mapper("folder", folder),
		mapper("file", file),
		mapper("time", duration),
		mapper("span", span),
		mapper("archive-url", archiveURL),
		mapper("retention", retention),
		mapper("webhook-urls", webhookURLs),
		mapper("webhook-secrets", webhookSecrets),
		mapper("rate", rate),
		mapper("frame-rate", frameRate),
		mapper("byte-rate", byteRate),
		mapper("burst", wholeNumber(1, math.MaxInt32)),
		mapper("sockets", wholeNumber(1, math.MaxInt32)),
		mapper("messages", wholeNumber(1, log.MaxMessages)),
		mapper("header-bytes", wholeNumber(1<<10, 64<<10)),
		mapper("body-bytes", wholeNumber(1, 1<<20)),
		mapper("public-url", publicURL),
		mapper("files-url", filesURL),
		mapper("file-size", wholeNumber(1, 1<<30)),
		mapper("files-per-chat", wholeNumber(1, 1000)),
		mapper("file-types", fileTypes),
		mapper("origins", origins),
		mapper("secret", secret),
		mapper("keys-url", keysURL),
		mapper("rate-per-minute", ratePerMinute),
		mapper("sockets-per-address", wholeNumber(0, math.MaxInt32)),
		mapper("networks", networks),
		mapper("level", level),
		mapper("format", oneOf("text", "json")),
	}
}

// mapper makes a kong type from a parser. The parser's error says what it wants.
func mapper[T any](name string, parse func(value string) (T, error)) kong.Option {
	return kong.NamedMapper(name, kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue(name)
		if err != nil {
			return err
		}
		if token.IsEOL() {
			return errors.New("want a value")
		}
		value, err := parse(token.String())
		if err != nil {
			bad := badValue{
				flag:     ctx.Value.Name,
				variable: ctx.Value.Flag.Envs[0],
				value:    token.String(),
				want:     err.Error(),
			}
			if name == "secret" || name == "webhook-secrets" {
				bad.value = "***"
			}
			return bad
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}))
}

func oneOf(words ...string) func(string) (string, error) {
	return func(value string) (string, error) {
		if !slices.Contains(words, value) {
			return "", errors.New("want " + strings.Join(words, " or "))
		}
		return value, nil
	}
}

var prefixForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_-]{0,31})?$`)

// prefix refuses the words that channels and subjects begin with if no prefix is set.
func prefix(value string) (string, error) {
	if !prefixForm.MatchString(value) || value == "chat" || value == "signal" {
		return "", errors.New("want 1 to 32 letters, digits, - or _, such as shop, but neither chat nor signal")
	}
	return value, nil
}

func wholeNumber(low, high int) func(string) (int, error) {
	return func(value string) (int, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("want a whole number from %d to %d", low, high)
		}
		return n, nil
	}
}

// Unwrap removes what files, shells and forms add around a secret: white space, a byte
// order mark, quotes. It reports whether it has removed anything.
func Unwrap(value string) (bare string, wrapped bool) {
	bare = value
	for again := true; again; {
		again = false
		bare = strings.Trim(bare, "\ufeff\u200b \t\r\n\v\f\u0085\u00a0")
		for _, quotes := range []string{`""`, "''", "``", "“”", "‘’"} {
			opening, size := utf8.DecodeRuneInString(quotes)
			closing := quotes[size:]
			if inner, ok := strings.CutSuffix(bare, closing); ok && strings.HasPrefix(inner, string(opening)) {
				bare, again = inner[size:], true
			}
		}
	}
	return bare, bare != value
}

// unwrap removes white space and quotes around values that must equal those of another
// system, and keeps a warning for each.
func (c *Config) unwrap() {
	for _, setting := range []struct {
		variable string
		value    *string
	}{
		{"AGENT_SECRET", &c.AgentSecret}, {"VISITOR_SECRET", &c.VisitorSecret},
		{"AGENT_AUDIENCE", &c.AgentAudience}, {"AGENT_ISSUER", &c.AgentIssuer},
	} {
		bare, wrapped := Unwrap(*setting.value)
		if *setting.value = bare; wrapped {
			c.unwrapped = append(c.unwrapped, c.name(setting.variable)+" has white space or quotes around it, which were removed: set it without them")
		}
	}
}

func secret(value string) (string, error) {
	if bare, _ := Unwrap(value); value != "" && len(bare) < web.MinSecret {
		return "", fmt.Errorf("want at least %d bytes, such as from openssl rand -hex 32", web.MinSecret)
	}
	return value, nil
}

func networks(value string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(value, ",") {
		text = strings.TrimSpace(text)
		prefix, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); addrErr == nil && a.Zone() == "" {
			prefix, err = a.Unmap().Prefix(a.Unmap().BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, errors.New("want addresses or networks, comma-separated, such as 10.0.0.0/8,fd00::/8")
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}

func ratePerMinute(value string) (float64, error) {
	r, err := rate(value)
	if err != nil {
		return 0, errors.New("want a number of registrations a minute such as 30, or 0 for no limit")
	}
	return r, nil
}

func rate(value string) (float64, error) {
	r, err := strconv.ParseFloat(value, 64)
	if err != nil || !(r >= 0) || math.IsInf(r, 0) {
		return 0, errors.New("want a number of messages a second such as 20, or 0 for no limit")
	}
	return r, nil
}

// frameRate leaves room for the heartbeat's answers.
func frameRate(value string) (float64, error) {
	r, err := rate(value)
	if err != nil || r > 0 && r < 2 {
		return 0, errors.New("want a number of frames a second, 2 or more, such as 100, or 0 for no limit")
	}
	return r, nil
}

// byteRate allows the largest frame.
func byteRate(value string) (float64, error) {
	r, err := rate(value)
	if err != nil || r > 0 && r < 16<<10 {
		return 0, errors.New("want a number of bytes a second, 16384 or more, such as 1048576, or 0 for no limit")
	}
	return r, nil
}

// minDuration keeps a mistaken unit from turning a timer into a busy loop.
const minDuration = 10 * time.Millisecond

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	switch {
	case err != nil || d <= 0:
		return 0, errors.New("want a duration above zero such as 120s")
	case d < minDuration:
		return 0, fmt.Errorf("want a duration of at least %s such as 120s", minDuration)
	}
	return d, nil
}

func span(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > time.Hour {
		return 0, errors.New("want a duration from 0s to 1h such as 5s")
	}
	return d, nil
}

func webhookSecrets(value string) ([]string, error) {
	bare, _ := Unwrap(value)
	return webhook.ParseSecrets(bare)
}

func retention(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > 0 && d < time.Second {
		return 0, errors.New("want a duration of at least 1s such as 2160h, or 0 for ever")
	}
	return d, nil
}

func level(value string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	l, ok := levels[value]
	if !ok {
		return 0, errors.New("want debug, info, warn or error")
	}
	return l, nil
}

func folder(value string) (string, error) {
	if value == "" {
		return "", errors.New("want a folder such as /var/lib/livesupport")
	}
	return value, nil
}

func file(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if _, err := os.ReadFile(value); err != nil {
		return "", errors.New("want the name of a file that can be read")
	}
	return value, nil
}

func address(value string) (string, error) {
	host, port, err := net.SplitHostPort(value)
	if err != nil || strings.ContainsAny(host, " \t/@") || !isPort(port) {
		return "", errors.New("want host:port or :port with a port from 0 to 65535, such as :9000")
	}
	return value, nil
}

func optionalAddress(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	return address(value)
}

func isPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}
