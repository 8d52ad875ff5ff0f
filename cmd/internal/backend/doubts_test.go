package backend

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// doubtsOf are what a start with these variables, "NAME=value", says of them.
func doubtsOf(t *testing.T, args []string, environ ...string) []string {
	t.Helper()
	var pairs []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		pairs = append(pairs, name, value)
	}
	cfg, err := Parse("livesupport", args, environment(pairs...))
	require.NoError(t, err)
	return cfg.doubts(environ)
}

func TestMisspeltVariables(t *testing.T) {
	for name, meant := range map[string]string{
		"REDIS_URI": "REDIS_URL", "REDISURL": "REDIS_URL", "REDIS_ULR": "REDIS_URL", "REDIS_HOST": "REDIS_URL", "REDIS_ADDR": "REDIS_URL",
		"REDIS_PASSWORD": "REDIS_URL", "LIVESUPPORT_REDIS_URL": "REDIS_URL", "redis_url": "REDIS_URL", "REDIS-URL": "REDIS_URL",
		"NATS_URLS": "NATS_URL", "NATS_SERVERS": "NATS_URL", "NATS_URI": "NATS_URL", "NATS_CRED": "NATS_CREDS", "NATS_REPLICA": "NATS_REPLICAS",
		"ALLOWED_ORIGIN": "ALLOWED_ORIGINS", "ALLOW_ORIGINS": "ALLOWED_ORIGINS", "CORS_ORIGINS": "ALLOWED_ORIGINS", "ORIGINS": "ALLOWED_ORIGINS", "ALLOWED_ORGINS": "ALLOWED_ORIGINS",
		"CHAT_PORT": "CHAT_ADDR", "CHAT_ADDRESS": "CHAT_ADDR", "CHAT_HOST": "CHAT_ADDR", "LOBBY_PORT": "LOBBY_ADDR", "PORT": "CHAT_ADDR", "METRICS_PORT": "METRICS_ADDR",
		"AGENTS_SECRET": "AGENT_SECRET", "AGENT_SECRETS": "AGENT_SECRET", "AGENT_KEY": "AGENT_SECRET", "JWT_SECRET": "AGENT_SECRET", "VISITORS_SECRET": "VISITOR_SECRET",
		"AGENT_JWK_URL": "AGENT_JWKS_URL", "JWKS_URL": "AGENT_JWKS_URL", "AGENT_AUDIANCE": "AGENT_AUDIENCE",
		"LOGLEVEL": "LOG_LEVEL", "LOG_LEVLE": "LOG_LEVEL", "LOG_FORMATS": "LOG_FORMAT", "CHATTTL": "CHAT_TTL", "CHAT_TIMEOUT": "CHAT_TTL",
		"PING_INTERVALL": "PING_INTERVAL", "HEARTBEAT_INTERVAL": "PING_INTERVAL", "IDLETIMEOUT": "IDLE_TIMEOUT", "MAX_SOCKET": "MAX_SOCKETS",
		"TRUSTED_PROXY": "TRUSTED_PROXIES", "TRUSTED_PROXYS": "TRUSTED_PROXIES", "PUBLIC_URL": "CHAT_PUBLIC_URL", "CHAT_URL": "CHAT_PUBLIC_URL",
		"PREFIXES": "", "PREFX": "PREFIX", "BROKR": "BROKER", "DATADIR": "DATA_DIR", "DATA_DIRECTORY": "DATA_DIR", "REGISTER_RATES": "REGISTER_RATE",
		"SOCKETS_PER_ADDR": "SOCKETS_PER_ADDRESS", "SOCKET_PER_ADDRESS": "SOCKETS_PER_ADDRESS", "KEEPALIVE": "KEEP_ALIVE", "DRAIN_DELAYS": "DRAIN_DELAY",

		"PATH": "", "HOME": "", "LANG": "", "TERM": "", "SHELL": "", "USER": "", "HOSTNAME": "", "PWD": "", "SHLVL": "", "LOGNAME": "", "MAIL": "", "EDITOR": "",
		"PAGER": "", "DISPLAY": "", "XDG_DATA_DIRS": "", "XDG_DATA_HOME": "", "GOPATH": "", "TMPDIR": "", "TZ": "", "CI": "", "PS1": "", "LC_ALL": "", "LS_COLORS": "",
		"SSH_AUTH_SOCK": "", "KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": "", "REDIS_SERVICE_HOST": "", "REDIS_SERVICE_PORT": "", "NODE_ENV": "",
		"INVOCATION_ID": "", "JOURNAL_STREAM": "", "VERSION": "", "GOMAXPROCS": "", "GOMEMLIMIT": "", "OTEL_SERVICE_NAME": "", "HTTP_PROXY": "", "NO_PROXY": "",
		"SSL_CERT_FILE": "", "POD_NAME": "", "POD_NAMESPACE": "", "_": "",
	} {
		if meant == "" {
			require.Empty(t, doubtsOf(t, nil, name+"=something"), name)
			continue
		}
		require.Equal(t, []string{name + " is set, but has no effect: did you mean " + meant + "?"}, doubtsOf(t, nil, name+"=something"), name)
		require.Empty(t, doubtsOf(t, nil, name+"="), "an empty one")
	}
	require.Empty(t, doubtsOf(t, nil, "REDIS_PORT=tcp://10.0.0.1:6379", "CHAT_PORT=tcp://10.0.0.2:9000"), "of Kubernetes")
	for _, variable := range variables {
		require.Contains(t, variablesOf(), variable.variable)
	}
	var many []string
	for i := range 100 {
		many = append(many, strings.Repeat("-", i)+"redis_uri=x")
	}
	require.LessOrEqual(t, len(doubtsOf(t, nil, many...)), maxDoubts)
}

func TestVariablesWithoutEffect(t *testing.T) {
	for _, test := range []struct {
		args, environ []string
		want          []string
	}{
		{nil, []string{"NATS_URL=nats://localhost"}, []string{"NATS_URL is set, but has no effect: BROKER is not nats"}},
		{nil, []string{"NATS_URL=nats://localhost", "BROKER=nats"}, nil},
		{nil, []string{"NATS_URL="}, nil},
		{[]string{"--nats-storage=memory"}, nil, []string{"--nats-storage is set, but has no effect: BROKER is not nats"}},
		{nil, []string{"MESSAGE_RATE=0", "FRAME_RATE=100"}, []string{"FRAME_RATE is set, but has no effect: MESSAGE_RATE is 0"}},
		{nil, []string{"TRUSTED_PROXIES=10.0.0.0/8"}, []string{"TRUSTED_PROXIES is set, but has no effect: neither REGISTER_RATE nor SOCKETS_PER_ADDRESS is set"}},
		{nil, []string{"TRUSTED_PROXIES=10.0.0.0/8", "REGISTER_RATE=30"}, nil},
		{nil, []string{"IDLE_TIMEOUT=500ms"}, []string{"IDLE_TIMEOUT (500ms) is less than twice PING_INTERVAL (2s): sockets are closed before they can answer"}},
		{nil, []string{"IDLE_TIMEOUT=2s"}, nil},
		{nil, []string{"PING_INTERVAL=100s"}, []string{"IDLE_TIMEOUT (2m0s) is less than twice PING_INTERVAL (3m20s): sockets are closed before they can answer"}},
		{nil, []string{"CHAT_TTL=12s"}, []string{"CHAT_TTL (12s) is less than CLAIM_TTL (15s): a chat may expire while an agent has claimed it"}},
		{nil, []string{"LEAVE_GRACE=3m"}, []string{"CHAT_TTL (2m0s) is less than LEAVE_GRACE (3m0s): a waiting user leaves the queue when the chat expires"}},
	} {
		require.Equal(t, test.want, append([]string(nil), doubtsOf(t, test.args, test.environ...)...), "%v %v", test.args, test.environ)
	}
}

func TestWrappedSecrets(t *testing.T) {
	for _, wrapped := range []string{
		testSecret + "\n", testSecret + "\r\n", " " + testSecret, "\t" + testSecret + "\u00a0", `"` + testSecret + `"`, "'" + testSecret + "'",
		"\ufeff" + testSecret, "“" + testSecret + "”", "\" '" + testSecret + "'\n\"\n",
	} {
		for _, variable := range []string{"AGENT_SECRET", "VISITOR_SECRET"} {
			cfg, err := Parse("chatserver", nil, environment(variable, wrapped))
			require.NoError(t, err, "%q", wrapped)
			require.Equal(t, testSecret, cfg.AgentSecret+cfg.VisitorSecret, "%q", wrapped)
			require.Equal(t, []string{variable + " has white space or quotes around it, which were removed: set it without them"}, cfg.doubts(nil))
		}
	}
	cfg, err := Parse("chatserver", []string{"--agent-issuer= https://a/ "}, environment("AGENT_SECRET", testSecret, "AGENT_AUDIENCE", `"livesupport"`))
	require.NoError(t, err)
	require.Equal(t, "livesupport", cfg.AgentAudience)
	require.Equal(t, "https://a/", cfg.AgentIssuer)
	require.Len(t, cfg.doubts(nil), 2)
	for _, whole := range []string{testSecret, testSecret[:16] + " \" " + testSecret[16:], `"` + testSecret, testSecret + "'"} {
		cfg, err := Parse("chatserver", nil, environment("AGENT_SECRET", whole))
		require.NoError(t, err)
		require.Equal(t, whole, cfg.AgentSecret)
		require.Empty(t, cfg.doubts(nil))
	}
	for _, short := range []string{`""`, "\n", `"` + strings.Repeat("x", 30) + `"`, strings.Repeat(" ", 40)} {
		_, err := Parse("chatserver", nil, environment("AGENT_SECRET", short))
		require.Equal(t, UsageError(`AGENT_SECRET="***": want at least 32 bytes, such as from openssl rand -hex 32`), err, "%q", short)
	}
}
