package backend

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// maxDoubts is the maximum number of warnings about a configuration.
const maxDoubts = 20

// doubts returns warnings about settings that are probably mistakes. None of them stops
// the start. environ is the result of os.Environ.
func (c Config) doubts(environ []string) []string {
	known := variablesOf()
	set := map[string]bool{}
	var doubts []string
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if strings.TrimSpace(value) == "" || slices.Contains(known, name) {
			set[name] = strings.TrimSpace(value) != ""
			continue
		}
		// For a service called "chat", Kubernetes sets CHAT_PORT=tcp://….
		if strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://") {
			continue
		}
		if meant := resembles(name, known); meant != "" {
			doubts = append(doubts, fmt.Sprintf("%s is set, but has no effect: did you mean %s?", name, meant))
		}
	}
	for variable := range c.given {
		set[variable] = true
	}
	doubts = append(doubts, c.idle(set)...)
	doubts = append(doubts, c.odd()...)
	doubts = append(doubts, c.unwrapped...)
	return doubts[:min(len(doubts), maxDoubts)]
}

// idle names variables that are set but have no effect because of another one.
func (c Config) idle(set map[string]bool) []string {
	var doubts []string
	for _, rule := range []struct {
		off       bool
		why       string
		variables []string
	}{
		{!c.usesNATS(), "BROKER is not nats", []string{"NATS_URL", "NATS_REPLICAS", "NATS_STORAGE", "NATS_CREDS", "NATS_CA", "NATS_CERT", "NATS_KEY"}},
		{c.MessageRate == 0, "MESSAGE_RATE is 0", []string{"MESSAGE_BURST", "FRAME_RATE", "BYTE_RATE"}},
		{c.RegisterRate == 0 && c.SocketsPerAddress == 0, "neither REGISTER_RATE nor SOCKETS_PER_ADDRESS is set", []string{"TRUSTED_PROXIES"}},
	} {
		for _, variable := range rule.variables {
			if rule.off && set[variable] {
				doubts = append(doubts, fmt.Sprintf("%s is set, but has no effect: %s", c.name(variable), rule.why))
			}
		}
	}
	return doubts
}

// odd names pairs of durations that contradict each other.
func (c Config) odd() []string {
	var doubts []string
	for _, pair := range []struct {
		off               bool
		low, high, effect string
		lowIs, highIs     time.Duration
	}{
		{c.IdleTimeout < 2*c.PingInterval, "IDLE_TIMEOUT", "twice PING_INTERVAL", "sockets are closed before they can answer", c.IdleTimeout, 2 * c.PingInterval},
		{c.ChatTTL < c.LeaveGrace, "CHAT_TTL", "LEAVE_GRACE", "a waiting user leaves the queue when the chat expires", c.ChatTTL, c.LeaveGrace},
		{c.ChatTTL < c.ClaimTTL, "CHAT_TTL", "CLAIM_TTL", "a chat may expire while an agent has claimed it", c.ChatTTL, c.ClaimTTL},
	} {
		if pair.off {
			doubts = append(doubts, fmt.Sprintf("%s (%s) is less than %s (%s): %s", pair.low, pair.lowIs, pair.high, pair.highIs, pair.effect))
		}
	}
	return doubts
}

// variablesOf lists the variables that Config's tags name.
func variablesOf() []string {
	config := reflect.TypeFor[Config]()
	var variables []string
	for i := range config.NumField() {
		if variable := config.Field(i).Tag.Get("env"); variable != "" {
			variables = append(variables, variable)
		}
	}
	return variables
}

// otherNames maps names that other programs use to our variables. resembles removes a
// prefix, as in LIVESUPPORT_REDIS_URL, before it looks here.
var otherNames = map[string]string{
	"PORT": "CHAT_ADDR", "LISTEN_ADDR": "CHAT_ADDR", "HTTP_PORT": "CHAT_ADDR", "USER_PORT": "CHAT_ADDR",
	"AGENT_PORT": "LOBBY_ADDR", "AGENTS_PORT": "LOBBY_ADDR", "SUBSCRIBER_PORT": "LOBBY_ADDR", "SUBSCRIBER_ADDR": "LOBBY_ADDR", "USERS_PORT": "LOBBY_ADDR",
	"REDIS": "REDIS_URL", "REDIS_PASSWORD": "REDIS_URL", "REDIS_DB": "REDIS_URL", "STORE_URL": "REDIS_URL",
	"NATS": "NATS_URL", "NATS_USER": "NATS_URL", "NATS_PASSWORD": "NATS_URL", "NATS_TOKEN": "NATS_URL",
	"BROKER_URL": "NATS_URL", "BROKER_TYPE": "BROKER", "MESSAGE_BROKER": "BROKER",
	"REDIS_PREFIX": "PREFIX", "KEY_PREFIX": "PREFIX", "NATS_PREFIX": "PREFIX",
	"ORIGINS": "ALLOWED_ORIGINS", "ORIGIN": "ALLOWED_ORIGINS", "CORS": "ALLOWED_ORIGINS", "CORS_ORIGIN": "ALLOWED_ORIGINS", "CORS_ORIGINS": "ALLOWED_ORIGINS",
	"CORS_ALLOWED_ORIGINS": "ALLOWED_ORIGINS", "CORS_ALLOW_ORIGINS": "ALLOWED_ORIGINS", "CORS_ALLOW_ORIGIN": "ALLOWED_ORIGINS", "ALLOWED_HOSTS": "ALLOWED_ORIGINS", "ALLOWED_DOMAINS": "ALLOWED_ORIGINS",
	"SECRET": "AGENT_SECRET", "JWT_SECRET": "AGENT_SECRET", "TOKEN_SECRET": "AGENT_SECRET", "SECRET_KEY": "AGENT_SECRET",
	"AGENT_JWT_SECRET": "AGENT_SECRET", "SUPPORT_SECRET": "AGENT_SECRET",
	"USER_SECRET": "VISITOR_SECRET", "VISITOR_JWT_SECRET": "VISITOR_SECRET", "VISITOR_TOKEN": "VISITOR_SECRET",
	"JWKS_URL": "AGENT_JWKS_URL", "JWT_AUDIENCE": "AGENT_AUDIENCE", "JWT_ISSUER": "AGENT_ISSUER", "AGENT_JWKS": "AGENT_JWKS_URL",
	"HEARTBEAT": "PING_INTERVAL", "HEARTBEAT_INTERVAL": "PING_INTERVAL", "PING": "PING_INTERVAL",
	"CHAT_TIMEOUT": "CHAT_TTL", "CHAT_EXPIRY": "CHAT_TTL", "CHAT_EXPIRATION": "CHAT_TTL", "TTL": "CHAT_TTL",
	"MAX_CONNECTIONS": "MAX_SOCKETS", "MAX_CLIENTS": "MAX_SOCKETS", "RATE_LIMIT": "MESSAGE_RATE",
	"TRUST_PROXY": "TRUSTED_PROXIES", "TRUSTED_PROXY": "TRUSTED_PROXIES", "PROXY_ADDRESSES": "TRUSTED_PROXIES",
	"PUBLIC_URL": "CHAT_PUBLIC_URL", "CHAT_URL": "CHAT_PUBLIC_URL", "BASE_URL": "CHAT_PUBLIC_URL",
	"METRICS_URL": "METRICS_ADDR", "LOG_LVL": "LOG_LEVEL", "LOGGING_LEVEL": "LOG_LEVEL", "LOG_TYPE": "LOG_FORMAT",
	"SETTINGS_FILE": "SETTINGS", "SETTINGS_PATH": "SETTINGS", "SETTINGS_JSON": "SETTINGS",
	"SHUTDOWN_DELAY": "DRAIN_DELAY", "NATS_DIR": "DATA_DIR", "DATA_PATH": "DATA_DIR", "KEEPALIVE_TIMEOUT": "KEEP_ALIVE",
}

// sameWords are pairs of endings that people confuse: a wrong one and ours.
var sameWords = []string{
	"_URI", "_URL", "_HOST", "_URL", "_SERVER", "_URL", "_SERVERS", "_URL", "_ADDRESS", "_URL", "_ADDR", "_URL", "_ENDPOINT", "_URL", "_PORT", "_URL",
	"_URI", "_ADDR", "_URL", "_ADDR", "_HOST", "_ADDR", "_PORT", "_ADDR", "_ADDRESS", "_ADDR", "_LISTEN", "_ADDR", "_BIND", "_ADDR",
	"_KEY", "_SECRET", "_PASSWORD", "_SECRET", "_LIMIT", "_RATE", "_ADDR", "_ADDRESS", "_TIMEOUT", "_TTL", "_FOLDER", "_DIR", "_DIRECTORY", "_DIR",
}

// maxSlips is how many wrong letters in a name are taken for a typing mistake.
const maxSlips = 2

// resembles returns the known variable that an unknown name probably means, or "".
func resembles(name string, known []string) string {
	name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	name = strings.TrimPrefix(strings.TrimPrefix(name, "LIVESUPPORT_"), "CHATSERVER_")
	if slices.Contains(known, name) {
		return name
	}
	if meant := otherNames[name]; slices.Contains(known, meant) {
		return meant
	}
	for i := 0; i < len(sameWords); i += 2 {
		if head, ok := strings.CutSuffix(name, sameWords[i]); ok && slices.Contains(known, head+sameWords[i+1]) {
			return head + sameWords[i+1]
		}
	}
	bare := strings.ReplaceAll(name, "_", "")
	best, least := "", maxSlips+1
	for _, variable := range known {
		if longer := len(name) - len(variable); longer > maxSlips || longer < -maxSlips-strings.Count(variable, "_") {
			continue
		}
		d := min(distance(name, variable), distance(bare, strings.ReplaceAll(variable, "_", "")))
		if d < least && d <= len(variable)/4 { // two wrong letters out of six make another word
			best, least = variable, d
		}
	}
	return best
}

// distance counts the letters that were added, left out, replaced or swapped.
func distance(a, b string) int {
	d := make([][]int, len(a)+1) // between the beginnings of a and b
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			if i == 0 || j == 0 {
				d[i][j] = i + j
				continue
			}
			replaced := 1
			if a[i-1] == b[j-1] {
				replaced = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
