package backend

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// environment is what Parse looks its variables up in.
func environment(pairs ...string) func(string) (string, bool) {
	env := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(variable string) (string, bool) {
		value, ok := env[variable]
		return value, ok
	}
}

func TestParseDefaults(t *testing.T) {
	t.Setenv("CHAT_ADDR", ":1") // not the environment that is given
	cfg, err := Parse("livesupport", nil, environment())
	require.NoError(t, err)
	require.NotEmpty(t, cfg.DataDir)
	cfg.DataDir = ""
	require.Equal(t, Config{
		ChatAddr:       ":9000",
		LobbyAddr:      ":9001",
		Broker:         "redis",
		NATSReplicas:   1,
		NATSStorage:    "file",
		ChatTTL:        120 * time.Second,
		IdleTimeout:    120 * time.Second,
		PingInterval:   time.Second,
		ClaimTTL:       15 * time.Second,
		LeaveGrace:     10 * time.Second,
		SupportGrace:   60 * time.Second,
		Assign:         "off",
		OfferTTL:       20 * time.Second,
		MessageRate:    20,
		MessageBurst:   40,
		FrameRate:      500,
		ByteRate:       4 << 20,
		MaxSockets:     100_000,
		MaxMessages:    10_000,
		JoinTimeout:    60 * time.Second,
		MaxHeaderBytes: 8192,
		MaxBodyBytes:   4096,
		KeepAlive:      90 * time.Second,
		DrainSpread:    time.Second,
		AllowedOrigins: []string{"*"},

		FileSize: 10 << 20, FilesPerChat: 50,
		FileTypes:        []string{"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"},
		ArchiveRetention: 90 * 24 * time.Hour,
		ArchiveGrace:     24 * time.Hour,

		LogLevel:  slog.LevelInfo,
		LogFormat: "text",
		given:     map[string]string{},
	}, cfg)
}

// variables has, for every variable, values that are right and what they give,
// and values that are wrong and what the one line says is right.
var variables = []struct {
	variable string
	field    func(Config) any
	good     map[string]any
	bad      []string
	want     string
}{
	{
		"CHAT_ADDR", func(c Config) any { return c.ChatAddr },
		map[string]any{":0": ":0", "127.0.0.1:80": "127.0.0.1:80", "[::1]:65535": "[::1]:65535", "chat.example:9000": "chat.example:9000"},
		[]string{"", "9000", ":", "::1:9000", ":65536", ":-1", ":http", "http://localhost:9000", "a b:1", ":9000/"},
		"want host:port or :port with a port from 0 to 65535, such as :9000",
	},
	{
		"LOBBY_ADDR", func(c Config) any { return c.LobbyAddr },
		map[string]any{"localhost:0": "localhost:0"},
		[]string{"localhost", "x:y"},
		"want host:port or :port with a port from 0 to 65535, such as :9000",
	},
	{
		"BROKER", func(c Config) any { return c.Broker },
		map[string]any{"redis": "redis", "nats": "nats"},
		[]string{"", "kafka", "Redis"},
		"want redis or nats",
	},
	{
		"REDIS_URL", func(c Config) any { return c.RedisURL },
		map[string]any{
			"":                       "",
			"redis://localhost":      "redis://localhost",
			"redis://u:p@h:6379/3":   "redis://u:p@h:6379/3",
			"rediss://h:6379":        "rediss://h:6379",
			"unix:///run/redis.sock": "unix:///run/redis.sock",
			"redis://h:26379?master_name=m&addr=h2:26379": "redis://h:26379?master_name=m&addr=h2:26379",
			"redis://[::1]:7000?addr=h2:7000":             "redis://[::1]:7000?addr=h2:7000",
		},
		[]string{"localhost:6379", "http://localhost", "redis:", "redis://", "redis://h:99999", "redis://h:x", "redis", "unix://"},
		"want a URL such as redis://localhost:6379 or rediss://user:password@host:6379/0",
	},
	{
		"NATS_URL", func(c Config) any { return c.NATSURL },
		map[string]any{
			"": "", "nats://localhost:4222": "nats://localhost:4222",
			"nats://u:p@a:4222, tls://b": "nats://u:p@a:4222, tls://b",
		},
		[]string{"localhost:4222", "redis://localhost", "nats://a:4222,", "nats://a:x", "nats://"},
		"want comma-separated URLs such as nats://localhost:4222",
	},
	{
		"REDIS_WAIT", func(c Config) any { return c.RedisWait },
		map[string]any{"0": 0, "2": 2, "5": 5},
		[]string{"", "6", "-1", "1.5", "one"},
		"want a whole number from 0 to 5",
	},
	{
		"NATS_REPLICAS", func(c Config) any { return c.NATSReplicas },
		map[string]any{"1": 1, "5": 5},
		[]string{"", "0", "6", "-1", "1.5", "three"},
		"want a whole number from 1 to 5",
	},
	{
		"NATS_STORAGE", func(c Config) any { return c.NATSStorage },
		map[string]any{"file": "file", "memory": "memory"},
		[]string{"", "disk"},
		"want file or memory",
	},
	{
		"NATS_CREDS", func(c Config) any { return c.NATSCreds },
		map[string]any{"": "", "config_test.go": "config_test.go"},
		[]string{"nowhere.pem", "."},
		"want the name of a file that can be read",
	},
	{
		"NATS_CA", func(c Config) any { return c.NATSCA },
		map[string]any{"": "", "config_test.go": "config_test.go"},
		[]string{"nowhere.pem", "."},
		"want the name of a file that can be read",
	},
	{
		"NATS_CERT", func(c Config) any { return c.NATSCert },
		map[string]any{"": "", "config_test.go": "config_test.go"},
		[]string{"nowhere.pem", "."},
		"want the name of a file that can be read",
	},
	{
		"NATS_KEY", func(c Config) any { return c.NATSKey },
		map[string]any{"": "", "config_test.go": "config_test.go"},
		[]string{"nowhere.pem", "."},
		"want the name of a file that can be read",
	},
	{
		"DATA_DIR", func(c Config) any { return c.DataDir },
		map[string]any{"/var/lib/livesupport": "/var/lib/livesupport"},
		[]string{""},
		"want a folder such as /var/lib/livesupport",
	},
	{
		"ARCHIVE_URL", func(c Config) any { return c.ArchiveURL },
		map[string]any{
			"": "", "off": "off", "sqlite:/var/lib/archive.db": "sqlite:/var/lib/archive.db",
			"postgres://u:p@h/db?sslmode=disable": "postgres://u:p@h/db?sslmode=disable",
		},
		[]string{"on", "sqlite:", "/var/lib/archive.db", "mysql://h/db", "postgres://h:x/db", "postgres://"},
		"want sqlite:/path/to/file or postgres://user:password@host:5432/database, or off",
	},
	{
		"ARCHIVE_RETENTION", func(c Config) any { return c.ArchiveRetention },
		map[string]any{"0": time.Duration(0), "1s": time.Second, "2160h": 2160 * time.Hour},
		[]string{"", "-1s", "90d", "1", "999ms"},
		"want a duration of at least 1s such as 2160h, or 0 for ever",
	},
	{
		"ARCHIVE_GRACE", func(c Config) any { return c.ArchiveGrace },
		map[string]any{"24h": 24 * time.Hour},
		[]string{"", "0s", "-1s", "1d"},
		"want a duration above zero such as 120s",
	},
	{
		"FILES_URL", func(c Config) any { return c.FilesURL },
		map[string]any{
			"": "", "off": "off", "file:///var/lib/files": "file:///var/lib/files",
			"s3://bucket?region=eu-central-1": "s3://bucket?region=eu-central-1",
		},
		[]string{"on", "/var/lib/files", "file://", "file:///", "file://host/files", "s3://", "gs://bucket", "mem://"},
		"want file:///folder, s3://bucket?region=eu-central-1 or off",
	},
	{
		"FILE_SIZE", func(c Config) any { return c.FileSize },
		map[string]any{"1": 1, "10485760": 10485760},
		[]string{"", "0", "10MB", "1073741825"},
		"want a whole number from 1 to 1073741824",
	},
	{
		"FILES_PER_CHAT", func(c Config) any { return c.FilesPerChat },
		map[string]any{"1": 1, "50": 50},
		[]string{"", "0", "1001"},
		"want a whole number from 1 to 1000",
	},
	{
		"FILE_TYPES", func(c Config) any { return c.FileTypes },
		map[string]any{"image/png, Text/Plain": []string{"image/png", "text/plain"}},
		[]string{"", "png", "image/*", "image/png,", "text/plain; charset=utf-8"},
		"want comma-separated types of content such as image/png,application/pdf",
	},
	{
		"FILES_ORIGIN", func(c Config) any { return c.FilesOrigin },
		map[string]any{"": "", "https://files.example.com/": "https://files.example.com"},
		[]string{"files.example.com", "https://"},
		"want a URL such as https://example.com or https://example.com/chat",
	},
	{
		"CHAT_TTL", func(c Config) any { return c.ChatTTL },
		map[string]any{"10ms": 10 * time.Millisecond, "1h30m": 90 * time.Minute},
		[]string{"", "2 minutes", "120", "0s", "-1s", "1d"},
		"want a duration above zero such as 120s",
	},
	{
		"IDLE_TIMEOUT", func(c Config) any { return c.IdleTimeout },
		map[string]any{"3s": 3 * time.Second},
		[]string{"9ms", "1ns"},
		"want a duration of at least 10ms such as 120s",
	},
	{
		"PING_INTERVAL", func(c Config) any { return c.PingInterval },
		map[string]any{"500ms": 500 * time.Millisecond},
		[]string{"0", "second"},
		"want a duration above zero such as 120s",
	},
	{
		"CLAIM_TTL", func(c Config) any { return c.ClaimTTL },
		map[string]any{"1s": time.Second},
		[]string{"0s"},
		"want a duration above zero such as 120s",
	},
	{
		"LEAVE_GRACE", func(c Config) any { return c.LeaveGrace },
		map[string]any{"1s": time.Second},
		[]string{"-10s"},
		"want a duration above zero such as 120s",
	},
	{
		"SUPPORT_GRACE", func(c Config) any { return c.SupportGrace },
		map[string]any{"0": time.Duration(0), "90s": 90 * time.Second},
		[]string{"-1s", "60", "2h"},
		"want a duration from 0s to 1h such as 5s",
	},
	{
		"ASSIGN", func(c Config) any { return c.Assign },
		map[string]any{"off": "off", "round_robin": "round_robin", "least_busy": "least_busy"},
		[]string{"", "on", "Off"},
		"want off or round_robin or least_busy",
	},
	{
		"OFFER_TTL", func(c Config) any { return c.OfferTTL },
		map[string]any{"1s": time.Second},
		[]string{"0s"},
		"want a duration above zero such as 120s",
	},
	{
		"MESSAGE_RATE", func(c Config) any { return c.MessageRate },
		map[string]any{"0": 0.0, "0.5": 0.5, "1000": 1000.0},
		[]string{"", "-1", "NaN", "+Inf", "fast"},
		"want a number of messages a second such as 20, or 0 for no limit",
	},
	{
		"MESSAGE_BURST", func(c Config) any { return c.MessageBurst },
		map[string]any{"1": 1, "500": 500},
		[]string{"", "0", "-3", "2.5", "99999999999"},
		"want a whole number from 1 to 2147483647",
	},
	{
		"FRAME_RATE", func(c Config) any { return c.FrameRate },
		map[string]any{"0": 0.0, "2": 2.0, "2.5": 2.5, "1e3": 1000.0},
		[]string{"", "-1", "1", "many", "NaN", "Inf"},
		"want a number of frames a second, 2 or more, such as 100, or 0 for no limit",
	},
	{
		"BYTE_RATE", func(c Config) any { return c.ByteRate },
		map[string]any{"0": 0.0, "16384": 16384.0},
		[]string{"", "-1", "16383", "1MB", "NaN"},
		"want a number of bytes a second, 16384 or more, such as 1048576, or 0 for no limit",
	},
	{
		"MAX_SOCKETS", func(c Config) any { return c.MaxSockets },
		map[string]any{"1": 1, "20000": 20_000},
		[]string{"", "0", "-3", "many"},
		"want a whole number from 1 to 2147483647",
	},
	{
		"MAX_MESSAGES", func(c Config) any { return c.MaxMessages },
		map[string]any{"1": 1, "10000": 10_000},
		[]string{"", "0", "10001"},
		"want a whole number from 1 to 10000",
	},
	{
		"JOIN_TIMEOUT", func(c Config) any { return c.JoinTimeout },
		map[string]any{"5s": 5 * time.Second},
		[]string{"", "0s", "60"},
		"want a duration above zero such as 120s",
	},
	{
		"MAX_HEADER_BYTES", func(c Config) any { return c.MaxHeaderBytes },
		map[string]any{"1024": 1024, "65536": 65_536},
		[]string{"", "1023", "65537", "8k"},
		"want a whole number from 1024 to 65536",
	},
	{
		"PREFIX", func(c Config) any { return c.Prefix },
		map[string]any{"": "", "shop": "shop", "Shop_2-b": "Shop_2-b", strings.Repeat("x", 32): strings.Repeat("x", 32), "chats": "chats"},
		[]string{"chat", "signal", "a.b", "a:b", "{a}", "*", ">", "a b", "-a", "_a", "é", "shop ", strings.Repeat("x", 33)},
		"want 1 to 32 letters, digits, - or _, such as shop, but neither chat nor signal",
	},
	{
		"MAX_BODY_BYTES", func(c Config) any { return c.MaxBodyBytes },
		map[string]any{"1": 1, "1048576": 1 << 20},
		[]string{"", "0", "1048577"},
		"want a whole number from 1 to 1048576",
	},
	{
		"SETTINGS", func(c Config) any { return c.Settings },
		map[string]any{"": "", "config_test.go": "config_test.go"}, // what is in it is looked at later
		[]string{"nowhere.json", "."},
		"want the name of a file that can be read",
	},
	{
		"METRICS_ADDR", func(c Config) any { return c.MetricsAddr },
		map[string]any{"": "", ":9100": ":9100", "127.0.0.1:0": "127.0.0.1:0"},
		[]string{"9100", "localhost"},
		"want host:port or :port with a port from 0 to 65535, such as :9000",
	},
	{
		"KEEP_ALIVE", func(c Config) any { return c.KeepAlive },
		map[string]any{"75s": 75 * time.Second, "10m30s": 630 * time.Second},
		[]string{"", "0s", "-1s", "60"},
		"want a duration above zero such as 120s",
	},
	{
		"DRAIN_DELAY", func(c Config) any { return c.DrainDelay },
		map[string]any{"0s": time.Duration(0), "0": time.Duration(0), "15s": 15 * time.Second},
		[]string{"", "-1s", "5", "2h"},
		"want a duration from 0s to 1h such as 5s",
	},
	{
		"DRAIN_SPREAD", func(c Config) any { return c.DrainSpread },
		map[string]any{"0s": time.Duration(0), "30s": 30 * time.Second},
		[]string{"", "-1s", "soon", "61m"},
		"want a duration from 0s to 1h such as 5s",
	},
	{
		"CHAT_PUBLIC_URL", func(c Config) any { return c.ChatPublicURL },
		map[string]any{
			"":                             "",
			"https://Example.com":          "https://example.com",
			"https://example.com:443/":     "https://example.com",
			"http://a:8080/Support/chat//": "http://a:8080/Support/chat",
			"http://[::1]:9000":            "http://[::1]:9000",
			"https://Bücher.example/chat":  "https://xn--bcher-kva.example/chat",
		},
		[]string{
			"example.com", "ws://example.com", "https://", "https:///chat", "https://u:p@example.com", "https://*", "https://*.example.com", "*",
			"https://a?b", "https://a/b?c", "https://a#b", "https://a/<b>", "https://a/'b", "https://a/b c", "https://a//b",
			"https://a:99999", "https://a,https://b", "https://a'b", "https://a;b",
		},
		"want a URL such as https://example.com or https://example.com/chat",
	},
	{
		"ALLOWED_ORIGINS", func(c Config) any { return c.AllowedOrigins },
		map[string]any{
			"*":                                  []string{"*"},
			"https://Example.com, http://a:3000": []string{"https://example.com", "http://a:3000"},
			"https://a.example:443,http://b:80":  []string{"https://a.example", "http://b"},
			"http://[::1]:8080,chrome-extension://ab":              []string{"http://[::1]:8080", "chrome-extension://ab"},
			"https://*.Example.com,http://*.a.b:8080":              []string{"https://*.example.com", "http://*.a.b:8080"},
			"https://Bücher.example,https://xn--bcher-kva.example": []string{"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
			"http://*.пример.example:8080":                         []string{"http://*.xn--e1afmkfd.example:8080"},
		},
		[]string{
			"", "example.com", "https://bücher.example/", "https://a bücher.example", "https://u@bücher.example", "https://bücher.example:x", "https://example.com/", "https://example.com/chat", "https://*", "https://*.", "https://a.*.b", "https://*.*.b", "*.b",
			"https://u@example.com", "https://example.com:", "https://example.com:99999", "https://a?b", "null",
		},
		"want * or origins without a path, comma-separated, such as https://example.com,https://*.example.com,http://localhost:3000",
	},
	{
		"AGENT_SECRET", func(c Config) any { return c.AgentSecret },
		map[string]any{"": "", testSecret: testSecret},
		nil, "", // see TestParseKeepsSecrets
	},
	{
		"AGENT_JWKS_URL", func(c Config) any { return c.AgentJWKSURL },
		map[string]any{"": "", "https://a/keys?x=1": "https://a/keys?x=1", "http://keycloak:8080/certs": "http://keycloak:8080/certs"},
		[]string{"login.example.com/keys", "file:///keys", "https://", "https://a:x/"},
		"want a URL such as https://login.example.com/keys",
	},
	{"AGENT_AUDIENCE", func(c Config) any { return c.AgentAudience }, map[string]any{"": "", "livesupport": "livesupport"}, nil, ""},
	{"AGENT_ISSUER", func(c Config) any { return c.AgentIssuer }, map[string]any{"": "", "https://a/": "https://a/"}, nil, ""},
	{
		"VISITOR_SECRET", func(c Config) any { return c.VisitorSecret },
		map[string]any{"": "", testSecret: testSecret},
		nil, "", // see TestParseKeepsSecrets
	},
	{
		"REGISTER_RATE", func(c Config) any { return c.RegisterRate },
		map[string]any{"0": 0.0, "30": 30.0, "0.5": 0.5},
		[]string{"", "-1", "many", "NaN", "Inf"},
		"want a number of registrations a minute such as 30, or 0 for no limit",
	},
	{
		"SOCKETS_PER_ADDRESS", func(c Config) any { return c.SocketsPerAddress },
		map[string]any{"0": 0, "100": 100},
		[]string{"", "-1", "1.5"},
		"want a whole number from 0 to 2147483647",
	},
	{
		"TRUSTED_PROXIES", func(c Config) any { return c.TrustedProxies },
		map[string]any{
			"":                     []netip.Prefix(nil),
			"10.1.2.3/8, fd00::/8": []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
			"127.0.0.1,::1":        []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")},
		},
		[]string{"10.0.0.0/33", "proxy", ",", "10.0.0.0/8,", "fe80::1%eth0", "::ffff:10.0.0.0/104", "*"},
		"want addresses or networks, comma-separated, such as 10.0.0.0/8,fd00::/8",
	},
	{
		"WEBHOOK_URL", func(c Config) any { return c.WebhookURLs },
		map[string]any{
			"": []string(nil), "https://a/hook?key=1": []string{"https://a/hook?key=1"},
			"http://a:8080/, https://u:p@b/x%2Cy,https://b/x,https://b/x": []string{"http://a:8080/", "https://u:p@b/x%2Cy", "https://b/x"},
		},
		[]string{"a.example", "ftp://a/", "https://", "https://a,", "https://a:x/", "https://a/#part"},
		"want URLs such as https://example.com/hook, comma-separated, a comma inside as %2C",
	},
	{
		"WEBHOOK_SECRET", func(c Config) any { return c.WebhookSecrets },
		map[string]any{
			testHookSecret:                        []string{testHookSecret},
			" '" + testHookSecret + "'\n":         []string{testHookSecret},
			testHookSecret + " " + testHookSecret: []string{testHookSecret, testHookSecret},
		},
		nil, "", // see TestParseKeepsSecrets
	},
	{
		"LOG_LEVEL", func(c Config) any { return c.LogLevel },
		map[string]any{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError},
		[]string{"", "INFO+2", "verbose"},
		"want debug, info, warn or error",
	},
	{
		"LOG_FORMAT", func(c Config) any { return c.LogFormat },
		map[string]any{"text": "text", "json": "json"},
		[]string{"", "xml"},
		"want text or json",
	},
}

// TestParseNamesTheWrongOrigin: of several, it says which one is wrong.
func TestParseNamesTheWrongOrigin(t *testing.T) {
	for value, wrong := range map[string]string{
		",":                            "",
		"https://a,,https://b":         "",
		"https://a, example.com":       "example.com",
		"https://a/,https://b":         "https://a/",
		"https://a,https://u:s3cret@b": "https://***@b",
	} {
		_, err := Parse("chatserver", nil, environment("ALLOWED_ORIGINS", value))
		require.ErrorContains(t, err, fmt.Sprintf("%q is not an origin: want * or origins", wrong))
		require.NotContains(t, err.Error(), "s3cret")
	}
}

const (
	testSecret     = "0123456789abcdef0123456789abcdef"
	testHookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

func TestParseKeepsSecrets(t *testing.T) {
	const short = "s3cret-that-is-one-byte-too-sho"
	_, err := Parse("livesupport", nil, environment("VISITOR_SECRET", short))
	require.Equal(t, UsageError(`VISITOR_SECRET="***": want at least 32 bytes, such as from openssl rand -hex 32`), err)
	_, err = Parse("livesupport", nil, environment("AGENT_SECRET", short))
	require.Equal(t, UsageError(`AGENT_SECRET="***": want at least 32 bytes, such as from openssl rand -hex 32`), err)
	for _, hook := range []string{"s3cret", "whsec_s3cret", testHookSecret + "x", testHookSecret + " s3cret", testHookSecret[6:], "whsec_czNjcmV0"} {
		_, err = Parse("livesupport", nil, environment("WEBHOOK_SECRET", hook))
		require.Equal(t, UsageError(`WEBHOOK_SECRET="***": want whsec_ and 24 to 64 bytes in base64, several separated by a space, such as whsec_$(openssl rand -base64 32)`), err)
	}
	_, err = Parse("livesupport", []string{"--agent-secret", short}, environment())
	require.Equal(t, UsageError(`--agent-secret="***": want at least 32 bytes, such as from openssl rand -hex 32`), err)
}

func flagOf(variable string) string {
	return "--" + strings.ToLower(strings.ReplaceAll(variable, "_", "-"))
}

func TestParseEveryVariable(t *testing.T) {
	for _, v := range variables {
		t.Run(v.variable, func(t *testing.T) {
			flag := flagOf(v.variable)
			for value, want := range v.good {
				cfg, err := Parse("chatserver", nil, environment(v.variable, value))
				require.NoError(t, err, value)
				require.Equal(t, want, v.field(cfg))
				require.Equal(t, v.variable, cfg.name(v.variable))

				for _, args := range [][]string{{flag + "=" + value}, {flag, value}} {
					cfg, err = Parse("chatserver", args, environment())
					require.NoError(t, err, args)
					require.Equal(t, want, v.field(cfg))
					require.Equal(t, flag, cfg.name(v.variable))
				}
			}
			for _, value := range v.bad {
				shown := `="` + mask(value) + `": ` + v.want

				_, err := Parse("chatserver", nil, environment(v.variable, value))
				require.Equal(t, UsageError(v.variable+shown), err)

				for _, args := range [][]string{{flag + "=" + value}, {flag, value}} {
					_, err = Parse("chatserver", args, environment())
					require.Equal(t, UsageError(flag+shown), err, args)
				}
			}
		})
	}
}

func TestFlagGoesBeforeVariable(t *testing.T) {
	cfg, err := Parse("chatserver", []string{"--chat-ttl=5s"}, environment("CHAT_TTL", "7s", "CLAIM_TTL", "8s"))
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, cfg.ChatTTL)
	require.Equal(t, 8*time.Second, cfg.ClaimTTL)
	require.Equal(t, "--chat-ttl", cfg.name("CHAT_TTL"))
	require.Equal(t, "CLAIM_TTL", cfg.name("CLAIM_TTL"))

	_, err = Parse("chatserver", []string{"--chat-ttl=soon"}, environment("CHAT_TTL", "7s"))
	require.ErrorContains(t, err, `--chat-ttl="soon"`)
}

func TestParseRefusesWhatIsNoFlag(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--chat-adr=:1"}, `unknown flag --chat-adr, did you mean "--chat-addr"? (see --help)`},
		{[]string{"--port", "80"}, "unknown flag --port (see --help)"},
		{[]string{"-x"}, `unknown flag -x, did you mean "-h"? (see --help)`},
		{[]string{"start"}, "unexpected argument start (see --help)"},
		{[]string{"a\nb"}, "unexpected argument a b (see --help)"},
		{[]string{"redis://u:pass@h"}, "unexpected argument redis://***@h (see --help)"},
		{[]string{"--chat-ttl"}, "--chat-ttl: want a value (see --help)"},
		{[]string{"--agent-secret"}, "--agent-secret: want a value (see --help)"},
		{[]string{"--agent-secret-file=s3cret"}, "unknown flag --agent-secret-file (see --help)"},
	} {
		_, err := Parse("chatserver", test.args, environment())
		require.Equal(t, UsageError(test.want), err, test.args)
	}
}

func TestBadValueIsOneLine(t *testing.T) {
	_, err := Parse("chatserver", nil, environment("LOG_LEVEL", "in\nfo\x1b[31m"))
	require.EqualError(t, err, `LOG_LEVEL="in\nfo\x1b[31m": want debug, info, warn or error`)
}

func TestHelpNamesEverything(t *testing.T) {
	for _, name := range []string{"chatserver", "subscriber", "livesupport"} {
		_, err := Parse(name, []string{"--help"}, environment("CHAT_TTL", "not looked at"))
		var help Help
		require.True(t, errors.As(err, &help), "%v", err)
		text := help.Error()
		require.Contains(t, text, "Usage: "+name)
		for _, v := range variables {
			require.Contains(t, text, flagOf(v.variable)+"=")
			require.Contains(t, text, "$"+v.variable+")")
		}
		for _, value := range []string{`":9000"`, `":9001"`, `"redis"`, "120s", "15s", "10s", "=1s", "=20", "=40", "=*", "=info", `"text"`} {
			require.Contains(t, text, value)
		}
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"120s":                              "120s",
		":nine":                             ":nine",
		"redis://localhost:6379/0":          "redis://localhost:6379/0",
		"redis://user:secret@h:6379":        "redis://***@h:6379",
		"redis://:se@cret@h":                "redis://***@h",
		"redis://u:se/cr?et#x@h":            "redis://***@h",
		"redis://u:secret@h:x?db=1":         "redis://***@h:x?db=1",
		"redis://:secret":                   "redis://***",
		"redis://h?sentinel_password=s&x=1": "redis://h?sentinel_password=***&x=1",
		"redis://h?Password=secret":         "redis://h?Password=***",
		"user:secret@h:6379":                "***@h:6379",
		"nats://token@a:1,nats://u:p@b:2":   "nats://***@b:2",
		"nats://a:1,nats://b:2":             "nats://a:1,nats://b:2",
		"nats://a:1,nats://b:secret":        "nats://a:1,nats://***",
	} {
		require.Equal(t, want, mask(in))
	}
}

func TestRequireURLs(t *testing.T) {
	require.ErrorContains(t, Config{Broker: "redis"}.requireURLs(), "REDIS_URL is not set: want ")
	require.ErrorContains(t, Config{Broker: "nats", NATSURL: "nats://h"}.requireURLs(), "REDIS_URL is not set: want ")
	require.ErrorContains(t, Config{Broker: "nats", RedisURL: "redis://h"}.requireURLs(), "NATS_URL is not set: BROKER=nats needs ")
	require.NoError(t, Config{Broker: "redis", RedisURL: "redis://h"}.requireURLs())
	require.NoError(t, Config{Broker: "nats", RedisURL: "redis://h", NATSURL: "nats://h"}.requireURLs())
}
