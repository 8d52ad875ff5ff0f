package backend

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Config is what a command is told by flags and environment. Parse fills and
// checks it. The secrets and the URLs must not be shown: never log a Config.
type Config struct {
	ChatAddr      string        `env:"CHAT_ADDR" default:":9000" type:"address" help:"Address on which the chat server listens, host:port."`
	LobbyAddr     string        `env:"LOBBY_ADDR" default:":9001" type:"address" help:"Address on which the lobby listens, host:port."`
	MetricsAddr   string        `env:"METRICS_ADDR" type:"optional-address" placeholder:"HOST:PORT" help:"Address of a port for the operator alone: all metrics, and /readyz with what is missing. Without it, every port shows all metrics."`
	Prefix        string        `env:"PREFIX" default:"" type:"prefix" placeholder:"NAME" help:"Name in front of every key, channel, subject and stream, so that several deployments can share one Redis or NATS. The same for every process of a deployment."`
	Broker        string        `env:"BROKER" default:"redis" type:"broker" help:"What carries events between servers: redis or nats. Redis is always the store."`
	RedisURL      string        `name:"redis-url" env:"REDIS_URL" type:"redis-url" placeholder:"redis://HOST:PORT" help:"The store: redis:// or rediss://, for Sentinel with ?master_name=, for Cluster with ?addr=. No default: livesupport starts an embedded Redis, the other commands need it."`
	RedisCA       string        `name:"redis-ca" env:"REDIS_CA" type:"file" placeholder:"FILE" help:"PEM file of the certificates that Redis servers must be signed with. Makes TLS required, as rediss:// does."`
	RedisCert     string        `name:"redis-cert" env:"REDIS_CERT" type:"file" placeholder:"FILE" help:"PEM file of the certificate to show to Redis servers, together with REDIS_KEY."`
	RedisKey      string        `name:"redis-key" env:"REDIS_KEY" type:"file" placeholder:"FILE" help:"PEM file of the key of REDIS_CERT."`
	NATSURL       string        `name:"nats-url" env:"NATS_URL" type:"nats-url" placeholder:"nats://HOST:PORT" help:"NATS servers, comma-separated, for BROKER=nats; a user and password, or a token, may stand in front of the host. No default: livesupport starts an embedded NATS, the other commands need it."`
	NATSReplicas  int           `name:"nats-replicas" env:"NATS_REPLICAS" default:"1" type:"replicas" help:"Replicas of the JetStream stream, 1 to 5."`
	NATSStorage   string        `name:"nats-storage" env:"NATS_STORAGE" default:"file" type:"storage" help:"Storage of the JetStream stream: file or memory."`
	NATSCreds     string        `name:"nats-creds" env:"NATS_CREDS" type:"file" placeholder:"FILE" help:"Credentials file for NATS."`
	NATSCA        string        `name:"nats-ca" env:"NATS_CA" type:"file" placeholder:"FILE" help:"PEM file of the certificates that NATS servers must be signed with. Makes TLS required, as tls:// does."`
	NATSCert      string        `name:"nats-cert" env:"NATS_CERT" type:"file" placeholder:"FILE" help:"PEM file of the certificate to show to NATS servers, together with NATS_KEY."`
	NATSKey       string        `name:"nats-key" env:"NATS_KEY" type:"file" placeholder:"FILE" help:"PEM file of the key of NATS_CERT."`
	DataDir       string        `env:"DATA_DIR" default:"${data_dir}" type:"folder" help:"Folder in which an embedded NATS keeps its files, for one process at a time."`
	ChatTTL       time.Duration `name:"chat-ttl" env:"CHAT_TTL" default:"120s" type:"time" help:"How long a chat lives without a Join or a message."`
	IdleTimeout   time.Duration `env:"IDLE_TIMEOUT" default:"120s" type:"time" help:"How long a socket may send nothing at all before it is closed."`
	PingInterval  time.Duration `env:"PING_INTERVAL" default:"1s" type:"time" help:"Time between two heartbeats on a socket."`
	ClaimTTL      time.Duration `name:"claim-ttl" env:"CLAIM_TTL" default:"15s" type:"time" help:"How long an agent who claimed a user has to join the chat."`
	LeaveGrace    time.Duration `env:"LEAVE_GRACE" default:"10s" type:"time" help:"How long a waiting user may be without a socket before leaving the queue."`
	MessageRate   float64       `env:"MESSAGE_RATE" default:"20" type:"rate" help:"Chat messages a second that one socket may send, sustained. 0 switches the limit off."`
	MessageBurst  int           `env:"MESSAGE_BURST" default:"40" type:"burst" help:"Chat messages that one socket may send at once."`
	FrameRate     float64       `env:"FRAME_RATE" default:"500" type:"frame-rate" help:"WebSocket frames a second of whatever kind, messages too, that may come from one socket, sustained; four times as many at once. 0 switches the limit off, and so does MESSAGE_RATE=0."`
	ByteRate      float64       `env:"BYTE_RATE" default:"4194304" type:"byte-rate" help:"Bytes a second that may come from one socket in frames, sustained; four times as many at once. 0 switches the limit off, and so does MESSAGE_RATE=0."`
	MaxSockets    int           `env:"MAX_SOCKETS" default:"100000" type:"sockets" help:"Sockets that each port takes at the same time. Further ones get 503."`
	TypingPreview bool          `env:"TYPING_PREVIEW" default:"false" help:"Show agents what a visitor is typing before it is sent. The widget says so."`
	MaxMessages   int           `env:"MAX_MESSAGES" default:"10000" type:"messages" help:"Messages that a chat can hold. Further ones are refused as chat_full."`
	JoinTimeout   time.Duration `env:"JOIN_TIMEOUT" default:"60s" type:"time" help:"How long a socket of the chat server may stay open without a successful Join."`
	KeepAlive     time.Duration `env:"KEEP_ALIVE" default:"90s" type:"time" help:"How long an HTTP connection without a request stays open: longer than the load balancer in front keeps its own, which is 60s in most, or some of its requests fail with 502."`
	DrainDelay    time.Duration `env:"DRAIN_DELAY" default:"0s" type:"span" help:"How long to keep serving after SIGTERM, while /readyz tells load balancers to stop."`
	DrainSpread   time.Duration `env:"DRAIN_SPREAD" default:"1s" type:"span" help:"Over how long to spread the closing of sockets after that."`

	MaxHeaderBytes int `env:"MAX_HEADER_BYTES" default:"8192" type:"header-bytes" help:"Most bytes of a request's line and headers, tokens and cookies included. Each request takes this much memory."`
	MaxBodyBytes   int `env:"MAX_BODY_BYTES" default:"4096" type:"body-bytes" help:"Most bytes of a request's body. A registration's is not bound by it, but by 8 KiB."`

	ChatPublicURL  string   `name:"chat-public-url" env:"CHAT_PUBLIC_URL" type:"public-url" placeholder:"https://HOST/PATH" help:"Where browsers reach the chat server, if a proxy is in front of it. Default: the host of the page, with the port of CHAT_ADDR."`
	AllowedOrigins []string `env:"ALLOWED_ORIGINS" default:"*" type:"origins" help:"Origins whose pages may use the servers, comma-separated, such as https://example.com or https://*.example.com. * allows all."`

	AgentSecret   string `env:"AGENT_SECRET" type:"secret" placeholder:"SECRET" help:"Secret of at least 32 bytes with which agents' tokens (JWT, HS256) are signed. Use the variable rather than the flag: other users of the machine can see flags. Without it and AGENT_JWKS_URL anybody can be an agent."`
	AgentJWKSURL  string `name:"agent-jwks-url" env:"AGENT_JWKS_URL" type:"keys-url" placeholder:"https://HOST/PATH" help:"URL of the public keys of agents' tokens (JWT, RS256, ES256 or EdDSA), such as an OpenID Connect provider's. Needs AGENT_AUDIENCE."`
	AgentAudience string `env:"AGENT_AUDIENCE" placeholder:"AUDIENCE" help:"Audience (aud) that agents' tokens must be for."`
	AgentIssuer   string `env:"AGENT_ISSUER" placeholder:"ISSUER" help:"Issuer (iss) that agents' tokens must be from."`

	VisitorSecret string `env:"VISITOR_SECRET" type:"secret" placeholder:"SECRET" help:"Secret of at least 32 bytes, different from AGENT_SECRET, with which your site signs visitors' tokens (JWT, HS256): agents see who is verified. Without it, visitors' tokens are ignored."`

	RegisterRate      float64        `env:"REGISTER_RATE" default:"0" type:"rate-per-minute" help:"Registrations a minute from one IPv4 address or IPv6 /64. 0 for any number."`
	SocketsPerAddress int            `env:"SOCKETS_PER_ADDRESS" default:"0" type:"sockets-per-address" help:"Sockets that each port takes at the same time from one IPv4 address or IPv6 /64. 0 for any number."`
	TrustedProxies    []netip.Prefix `env:"TRUSTED_PROXIES" default:"" type:"networks" placeholder:"NETWORKS" help:"Proxies whose X-Forwarded-For or Forwarded is believed, comma-separated addresses or networks such as 10.0.0.0/8."`

	LogLevel  slog.Level `env:"LOG_LEVEL" default:"info" type:"level" help:"Lowest level that is logged: debug, info, warn or error."`
	LogFormat string     `env:"LOG_FORMAT" default:"text" type:"format" help:"Format of the log on standard error: text or json."`

	Healthcheck bool             `help:"Ask the server that runs here with this configuration whether it is ready. Exit with 0 or 1."`
	Version     kong.VersionFlag `help:"Show the version."`

	// Tracing: send spans, see tracingWanted.
	Tracing bool `kong:"-"`

	// given has the flags that were set on the command line, by variable.
	given map[string]string `kong:"-"`
	// unwrapped says which values had something around them that does not count.
	unwrapped []string `kong:"-"`
	// warnings are for the log at the start.
	warnings []string `kong:"-"`
}

// A UsageError is a configuration that cannot be started. Its text is one line
// which names what the user set and what would be right, without secrets.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Help is the error that Parse returns for --help. Its text is what to print.
type Help string

func (h Help) Error() string { return string(h) }

// Parse reads the configuration of the command name from its arguments and
// from the environment variables that lookup finds. A flag goes before its
// variable, which goes before the default. An error is Help or a UsageError.
func Parse(name string, args []string, lookup func(variable string) (string, bool)) (Config, error) {
	cfg := Config{given: make(map[string]string)}
	var help bytes.Buffer
	asked := false
	fromEnv := make(map[string]bool)
	options := []kong.Option{
		kong.Name(name),
		kong.Description(descriptions[name]),
		kong.Vars{"data_dir": dataDir(), "version": versionLine(name)},
		kong.Writers(&help, &help),
		kong.Exit(func(int) { asked = true }),
		kong.WithHyphenPrefixedParameters(true),
		kong.ValueFormatter(describe),
		kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
			for _, variable := range flag.Envs {
				if value, ok := lookup(variable); ok {
					fromEnv[variable] = true
					return value, nil
				}
			}
			return nil, nil
		})),
	}
	parser, err := kong.New(&cfg, append(options, mappers()...)...)
	if err != nil {
		return Config{}, err
	}
	for _, flag := range parser.Model.Flags {
		// kong would read the process's environment; the resolver asks lookup.
		flag.Tag.Envs = nil
	}

	parsed, err := parser.Parse(args)
	if asked {
		return Config{}, Help(help.String())
	}
	if bad := (badValue{}); errors.As(err, &bad) {
		what := "--" + bad.flag
		if fromEnv[bad.variable] {
			what = bad.variable
		}
		return Config{}, usage(what, bad.value, bad.want)
	}
	if err != nil {
		line := strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error())
		return Config{}, UsageError(mask(line) + " (see --help)")
	}
	for _, step := range parsed.Path {
		if flag := step.Flag; flag != nil && !step.Resolved && len(flag.Envs) > 0 {
			cfg.given[flag.Envs[0]] = "--" + flag.Name
		}
	}
	cfg.unwrap()
	if cfg.Tracing, err = tracingWanted(lookup); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// What --help says of each command.
var descriptions = map[string]string{
	"chatserver":  "The chat server, where users and agents talk. Needs Redis.",
	"subscriber":  "The lobby, where agents see who is waiting. Needs Redis.",
	"livesupport": "Chat server and lobby in one process, with an embedded Redis unless REDIS_URL names one, and for BROKER=nats an embedded NATS unless NATS_URL names one. To make agents' tokens, see \"livesupport token --help\".",
}

// name is what the user set: the flag if there was one, else the variable.
func (c Config) name(variable string) string {
	if flag, ok := c.given[variable]; ok {
		return flag
	}
	return variable
}

// requireURLs refuses a configuration that leaves out a server.
func (c Config) requireURLs() error {
	if c.RedisURL == "" {
		return UsageError("REDIS_URL is not set: want the URL of the store such as redis://localhost:6379")
	}
	if c.Broker == "nats" && c.NATSURL == "" {
		return UsageError("NATS_URL is not set: want the URL of the broker such as nats://localhost:4222, because BROKER is nats")
	}
	return nil
}

// checkAgents refuses combinations that would let in others than was meant.
func (c Config) checkAgents() error {
	switch {
	case c.VisitorSecret != "" && c.VisitorSecret == c.AgentSecret:
		return UsageError(c.name("VISITOR_SECRET") + " is the same as " + c.name("AGENT_SECRET") + ": want two secrets, or visitors' tokens would make agents")
	case c.AgentSecret != "" && c.AgentJWKSURL != "":
		return UsageError(c.name("AGENT_SECRET") + " and " + c.name("AGENT_JWKS_URL") + " are both set: want one of them")
	case c.AgentJWKSURL != "" && c.AgentAudience == "":
		return UsageError(c.name("AGENT_JWKS_URL") + " is set without AGENT_AUDIENCE: want the audience of agents' tokens, because the keys also sign tokens for others")
	case c.AgentSecret == "" && c.AgentJWKSURL == "" && (c.AgentAudience != "" || c.AgentIssuer != ""):
		return UsageError("AGENT_AUDIENCE or AGENT_ISSUER is set, but nothing checks agents' tokens: want AGENT_SECRET or AGENT_JWKS_URL, too")
	}
	return nil
}

func usage(what, value, want string) UsageError {
	return UsageError(fmt.Sprintf("%s=%q: %s", what, mask(value), want))
}

// describe is the help of one flag: its sentence and its variable.
func describe(value *kong.Value) string {
	if value.Flag == nil || len(value.Flag.Envs) == 0 {
		return value.Help
	}
	return value.Help + " ($" + value.Flag.Envs[0] + ")"
}

// dataDir is the default of DATA_DIR. A user without a home has no cache folder.
func dataDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "livesupport")
}
