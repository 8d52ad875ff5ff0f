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

// Config is the configuration of a command, from flags and environment variables.
// Parse fills and checks it. It holds secrets: never log a Config.
type Config struct {
	ChatAddr      string        `env:"CHAT_ADDR" default:":9000" type:"address" help:"Address on which the chat server listens, host:port."`
	LobbyAddr     string        `env:"LOBBY_ADDR" default:":9001" type:"address" help:"Address on which the lobby listens, host:port."`
	MetricsAddr   string        `env:"METRICS_ADDR" type:"optional-address" placeholder:"HOST:PORT" help:"Address of a port for the operator only: it serves all metrics, and its /readyz names what is missing. Without it, every port serves all metrics."`
	Prefix        string        `env:"PREFIX" default:"" type:"prefix" placeholder:"NAME" help:"Prefix of every key, channel, subject and stream, so that several deployments can share one Redis or NATS. Must be the same for every process of a deployment."`
	Broker        string        `env:"BROKER" default:"redis" type:"broker" help:"Broker that carries events between servers: redis or nats. Redis is always the store."`
	RedisURL      string        `name:"redis-url" env:"REDIS_URL" type:"redis-url" placeholder:"redis://HOST:PORT" help:"URL of the store: redis:// or rediss://, with ?master_name= for Sentinel and ?addr= for Cluster. Without it, livesupport starts an embedded Redis; the other commands require it."`
	RedisCA       string        `name:"redis-ca" env:"REDIS_CA" type:"file" placeholder:"FILE" help:"PEM file of the CA certificates that Redis servers are checked against. Requires TLS, as rediss:// does."`
	RedisCert     string        `name:"redis-cert" env:"REDIS_CERT" type:"file" placeholder:"FILE" help:"PEM file of the client certificate for Redis servers. Needs REDIS_KEY."`
	RedisKey      string        `name:"redis-key" env:"REDIS_KEY" type:"file" placeholder:"FILE" help:"PEM file of the private key of REDIS_CERT."`
	RedisWait     int           `name:"redis-wait" env:"REDIS_WAIT" default:"0" type:"wait" help:"How many replicas of Redis must have a message, or anything else, before anybody is told of it: 0 to 5. Then it is not lost with the primary. While so many are missing, messages get unavailable."`
	NATSURL       string        `name:"nats-url" env:"NATS_URL" type:"nats-url" placeholder:"nats://HOST:PORT" help:"URLs of the NATS servers for BROKER=nats, comma-separated, with user:password@ or token@ before the host if needed. Without it, livesupport starts an embedded NATS; the other commands require it."`
	NATSReplicas  int           `name:"nats-replicas" env:"NATS_REPLICAS" default:"1" type:"replicas" help:"Replicas of the JetStream stream, 1 to 5."`
	NATSStorage   string        `name:"nats-storage" env:"NATS_STORAGE" default:"file" type:"storage" help:"Storage of the JetStream stream: file or memory."`
	NATSCreds     string        `name:"nats-creds" env:"NATS_CREDS" type:"file" placeholder:"FILE" help:"Credentials file for NATS."`
	NATSCA        string        `name:"nats-ca" env:"NATS_CA" type:"file" placeholder:"FILE" help:"PEM file of the CA certificates that NATS servers are checked against. Requires TLS, as tls:// does."`
	NATSCert      string        `name:"nats-cert" env:"NATS_CERT" type:"file" placeholder:"FILE" help:"PEM file of the client certificate for NATS servers. Needs NATS_KEY."`
	NATSKey       string        `name:"nats-key" env:"NATS_KEY" type:"file" placeholder:"FILE" help:"PEM file of the private key of NATS_CERT."`
	DataDir       string        `env:"DATA_DIR" default:"${data_dir}" type:"folder" help:"Folder for the files of an embedded NATS, which only one process at a time can use, and for livesupport's archive and uploaded files."`
	ChatTTL       time.Duration `name:"chat-ttl" env:"CHAT_TTL" default:"120s" type:"time" help:"How long a chat lives without a Join or a message."`
	IdleTimeout   time.Duration `env:"IDLE_TIMEOUT" default:"120s" type:"time" help:"How long a client may send nothing before the server closes its socket."`
	PingInterval  time.Duration `env:"PING_INTERVAL" default:"1s" type:"time" help:"Time between two heartbeats on a socket."`
	ClaimTTL      time.Duration `name:"claim-ttl" env:"CLAIM_TTL" default:"15s" type:"time" help:"How long an agent who has claimed a user has to join the chat."`
	LeaveGrace    time.Duration `env:"LEAVE_GRACE" default:"10s" type:"time" help:"How long a waiting user may have no socket before the server removes them from the queue."`
	SupportGrace  time.Duration `env:"SUPPORT_GRACE" default:"60s" type:"span" help:"How long an agent may have no socket while the visitor has one. After that, the visitor waits for another agent. 0s means no limit."`
	Assign        string        `env:"ASSIGN" default:"off" type:"assign" help:"How to offer waiting users to agents who ask for offers: off, round_robin (to the agent who has waited longest for an offer) or least_busy (to the agent with the fewest chats for their capacity)."`
	OfferTTL      time.Duration `name:"offer-ttl" env:"OFFER_TTL" default:"20s" type:"time" help:"How long an agent has to accept an offer."`
	MessageRate   float64       `env:"MESSAGE_RATE" default:"20" type:"rate" help:"Chat messages that one socket may send per second, sustained. 0 means no limit."`
	MessageBurst  int           `env:"MESSAGE_BURST" default:"40" type:"burst" help:"Chat messages that one socket may send at once."`
	FrameRate     float64       `env:"FRAME_RATE" default:"500" type:"frame-rate" help:"WebSocket frames of any kind that one socket may send per second, sustained; a burst may have four times as many. 0 means no limit, and so does MESSAGE_RATE=0."`
	ByteRate      float64       `env:"BYTE_RATE" default:"4194304" type:"byte-rate" help:"Bytes that one socket may send per second, sustained; a burst may have four times as many. 0 means no limit, and so does MESSAGE_RATE=0."`
	MaxSockets    int           `env:"MAX_SOCKETS" default:"100000" type:"sockets" help:"Maximum number of sockets open at once on each port. Further ones get 503."`
	TypingPreview bool          `env:"TYPING_PREVIEW" default:"false" help:"Show agents what a visitor is typing before they send it. The widget tells the visitor."`
	MaxMessages   int           `env:"MAX_MESSAGES" default:"10000" type:"messages" help:"Maximum number of messages in a chat. Further ones are refused with chat_full."`
	JoinTimeout   time.Duration `env:"JOIN_TIMEOUT" default:"60s" type:"time" help:"How long a socket of the chat server may stay open without a successful Join."`
	KeepAlive     time.Duration `env:"KEEP_ALIVE" default:"90s" type:"time" help:"How long an idle HTTP connection stays open. It must be longer than the idle timeout of a load balancer in front, usually 60s; otherwise some of its requests fail with 502."`
	DrainDelay    time.Duration `env:"DRAIN_DELAY" default:"0s" type:"span" help:"How long to keep serving after SIGTERM, while /readyz tells load balancers to stop."`
	DrainSpread   time.Duration `env:"DRAIN_SPREAD" default:"1s" type:"span" help:"Period over which the sockets are closed after DRAIN_DELAY."`

	MaxHeaderBytes int `env:"MAX_HEADER_BYTES" default:"8192" type:"header-bytes" help:"Maximum size of a request's first line and headers in bytes, including tokens and cookies. Each request takes this much memory."`
	MaxBodyBytes   int `env:"MAX_BODY_BYTES" default:"4096" type:"body-bytes" help:"Maximum size of a request's body in bytes. The body of a registration may have 8 KiB regardless."`

	Settings string `env:"SETTINGS" type:"file" placeholder:"FILE" help:"JSON file with opening hours, teams, the form before a chat, the consent text and canned replies. Read at the start and on SIGHUP."`

	FilesURL     string   `name:"files-url" env:"FILES_URL" type:"files-url" placeholder:"URL" help:"Where to store files that are sent in chats; no other deployment may use it. Either a folder that all chat servers share, such as file:///var/lib/livesupport/files, or s3://bucket?region=eu-central-1, with credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for another S3 server add &endpoint=https://host and &use_path_style=true. off switches files off. Without it, livesupport uses a folder in DATA_DIR; the other commands take no files."`
	FileSize     int      `env:"FILE_SIZE" default:"10485760" type:"file-size" help:"Maximum size of a file in bytes."`
	FilesPerChat int      `env:"FILES_PER_CHAT" default:"50" type:"files-per-chat" help:"Maximum number of files in a chat. Further ones are refused with chat_full."`
	FileTypes    []string `env:"FILE_TYPES" default:"image/png,image/jpeg,image/gif,image/webp,application/pdf,text/plain" type:"file-types" help:"Media types that are accepted, comma-separated. The server detects a file's type from its content."`
	FilesOrigin  string   `env:"FILES_ORIGIN" type:"public-url" placeholder:"https://HOST" help:"Where browsers get files from, if that is another host than the chat server's. That host must lead to the chat servers, too."`

	ChatPublicURL  string   `name:"chat-public-url" env:"CHAT_PUBLIC_URL" type:"public-url" placeholder:"https://HOST/PATH" help:"Where browsers reach the chat server, if it is behind a proxy. Default: the host of the page, with the port of CHAT_ADDR."`
	AllowedOrigins []string `env:"ALLOWED_ORIGINS" default:"*" type:"origins" help:"Origins whose pages may use the servers, comma-separated, such as https://example.com or https://*.example.com. * allows all."`

	AgentSecret   string `env:"AGENT_SECRET" type:"secret" placeholder:"SECRET" help:"Secret of at least 32 bytes that signs agents' tokens (JWT, HS256). Use the variable rather than the flag: other users of the machine can see flags. Without it and AGENT_JWKS_URL, anybody who reaches the ports can act as an agent."`
	AgentJWKSURL  string `name:"agent-jwks-url" env:"AGENT_JWKS_URL" type:"keys-url" placeholder:"https://HOST/PATH" help:"URL of the public keys for agents' tokens (JWT, RS256, ES256 or EdDSA), such as an OpenID Connect provider's. Needs AGENT_AUDIENCE."`
	AgentAudience string `env:"AGENT_AUDIENCE" placeholder:"AUDIENCE" help:"Audience (aud) that agents' tokens must have."`
	AgentIssuer   string `env:"AGENT_ISSUER" placeholder:"ISSUER" help:"Issuer (iss) that agents' tokens must have."`

	VisitorSecret string `env:"VISITOR_SECRET" type:"secret" placeholder:"SECRET" help:"Secret of at least 32 bytes, different from AGENT_SECRET, with which your site signs visitors' tokens (JWT, HS256). Agents see which visitors are verified. Without it, visitors' tokens are ignored."`

	RegisterRate      float64        `env:"REGISTER_RATE" default:"0" type:"rate-per-minute" help:"Registrations allowed per minute from one IPv4 address or IPv6 /64. 0 means no limit."`
	SocketsPerAddress int            `env:"SOCKETS_PER_ADDRESS" default:"0" type:"sockets-per-address" help:"Maximum number of sockets open at once on each port from one IPv4 address or IPv6 /64. 0 means no limit."`
	TrustedProxies    []netip.Prefix `env:"TRUSTED_PROXIES" default:"" type:"networks" placeholder:"NETWORKS" help:"Proxies whose X-Forwarded-For or Forwarded header is trusted: comma-separated addresses or networks such as 10.0.0.0/8."`

	ArchiveURL       string        `name:"archive-url" env:"ARCHIVE_URL" type:"archive-url" placeholder:"URL" help:"Database for the archive of ended chats and left messages: postgres://user:password@host:5432/database, or sqlite:/path/to/file if all processes run on one machine. Must be the same for every process of a deployment. off switches the archive off. Without it, livesupport uses a file in DATA_DIR; the other commands keep no archive."`
	ArchiveRetention time.Duration `env:"ARCHIVE_RETENTION" default:"2160h" type:"retention" help:"How long the archive keeps chats and messages. 0 means for ever."`
	ArchiveGrace     time.Duration `env:"ARCHIVE_GRACE" default:"24h" type:"time" help:"How long an ended chat waits in Redis while the archive is unavailable. After that, it is lost."`

	WebhookURLs         []string `name:"webhook-url" env:"WEBHOOK_URL" type:"webhook-urls" placeholder:"https://HOST/PATH" help:"URLs to POST events of chats to, comma-separated; write a comma within a URL as %2C. Needs WEBHOOK_SECRET. Must be the same for every process of a deployment."`
	WebhookSecrets      []string `name:"webhook-secret" env:"WEBHOOK_SECRET" type:"webhook-secrets" placeholder:"SECRET" help:"Secret that signs events according to Standard Webhooks: whsec_ and 24 to 64 bytes in base64. To change it, set the old and the new one, separated by a space, for a while. Use the variable rather than the flag."`
	WebhookAllowPrivate bool     `name:"webhook-allow-private" env:"WEBHOOK_ALLOW_PRIVATE" default:"false" help:"Allow WEBHOOK_URL to lead to addresses that are not public, such as those of an internal network."`

	LogLevel  slog.Level `env:"LOG_LEVEL" default:"info" type:"level" help:"Lowest level to log: debug, info, warn or error."`
	LogFormat string     `env:"LOG_FORMAT" default:"text" type:"format" help:"Format of the log on standard error: text or json."`

	Healthcheck bool             `help:"Ask the server that runs here with this configuration whether it is ready. Exit with 0 if it is, otherwise with 1."`
	Version     kong.VersionFlag `help:"Show the version."`

	// Tracing says whether to send spans, see tracingWanted.
	Tracing bool `kong:"-"`

	// StoreEnds says that the store, with all its chats, ends with this process.
	StoreEnds bool `kong:"-"`

	// ParkAfter is web.Options.ParkAfter.
	ParkAfter int `kong:"-"`

	// Now is the clock for the opening hours of the settings, nil for the store's clock.
	Now func() time.Time `kong:"-"`

	// given maps a variable to its flag, if that was set on the command line.
	given map[string]string `kong:"-"`
	// unwrapped has a warning for each value that had white space or quotes around it.
	unwrapped []string `kong:"-"`
	// warnings are logged at the start.
	warnings []string `kong:"-"`
}

// A UsageError refuses a configuration. Its text is one line that names the value
// and says what would be right, without secrets.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Help is the error that Parse returns for --help. Its text is the help to print.
type Help string

func (h Help) Error() string { return string(h) }

// Parse reads the configuration of the named command from its arguments and from the
// environment variables that lookup finds. A flag overrides its variable, and a
// variable overrides the default. An error is Help or a UsageError.
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

// descriptions are the texts at the top of each command's --help.
var descriptions = map[string]string{
	"chatserver":  "The chat server, where visitors and agents talk. Needs Redis.",
	"subscriber":  "The lobby, where agents see the waiting visitors. Needs Redis.",
	"livesupport": "Chat server and lobby in one process. Starts an embedded Redis unless REDIS_URL is set, and for BROKER=nats an embedded NATS unless NATS_URL is set. Other commands: \"livesupport token --help\" makes agents' tokens, \"livesupport archive --help\" maintains the archive, \"livesupport webhook --help\" tests receivers of webhooks.",
}

// name returns what the user set: the flag if it was given, otherwise the variable.
func (c Config) name(variable string) string {
	if flag, ok := c.given[variable]; ok {
		return flag
	}
	return variable
}

// requireURLs refuses a configuration without the URL of a server that it needs.
func (c Config) requireURLs() error {
	if c.RedisURL == "" {
		return UsageError("REDIS_URL is not set: want the URL of the store, such as redis://localhost:6379")
	}
	if c.usesNATS() && c.NATSURL == "" {
		return UsageError("NATS_URL is not set: BROKER=nats needs the URL of the broker, such as nats://localhost:4222")
	}
	return nil
}

// checkAgents refuses combinations that would let in more people than intended.
func (c Config) checkAgents() error {
	switch {
	case c.VisitorSecret != "" && c.VisitorSecret == c.AgentSecret:
		return UsageError(c.name("VISITOR_SECRET") + " is the same as " + c.name("AGENT_SECRET") + ": want two different secrets, because otherwise a visitor's token would be valid for an agent")
	case c.AgentSecret != "" && c.AgentJWKSURL != "":
		return UsageError(c.name("AGENT_SECRET") + " and " + c.name("AGENT_JWKS_URL") + " are both set: want one of them")
	case c.AgentJWKSURL != "" && c.AgentAudience == "":
		return UsageError(c.name("AGENT_JWKS_URL") + " is set without AGENT_AUDIENCE: want the audience of agents' tokens, because the same keys also sign tokens for other services")
	case c.AgentSecret == "" && c.AgentJWKSURL == "" && (c.AgentAudience != "" || c.AgentIssuer != ""):
		return UsageError("AGENT_AUDIENCE or AGENT_ISSUER is set, but agents' tokens are not checked: want AGENT_SECRET or AGENT_JWKS_URL as well")
	}
	return nil
}

func usage(what, value, want string) UsageError {
	return UsageError(fmt.Sprintf("%s=%q: %s", what, mask(value), want))
}

// describe returns the help of one flag: its sentence and its variable.
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
