// Command livesupport is the chat server and the lobby in one process, with an
// embedded Redis where REDIS_URL names none, and an embedded NATS for BROKER=nats
// where NATS_URL names none. As "livesupport token" it makes a token for an agent.
package main

import (
	"fmt"
	"os"
	"strings"

	"livesupport/broker/embedded"
	"livesupport/cmd/internal/backend"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "token" {
		os.Exit(token(os.Args[2:], os.Getenv, os.Stdout, os.Stderr))
	}
	os.Exit(backend.Main("livesupport", backend.Chat|backend.Lobby, embed))
}

func embed(cfg *backend.Config) (end func(), notice string, err error) {
	var ends []func()
	end = func() {
		for _, end := range ends {
			end()
		}
	}
	var notices []string
	if cfg.RedisURL == "" {
		redis, err := embedded.StartRedis()
		if err != nil {
			return nil, "", err
		}
		ends = append(ends, redis.Close)
		cfg.RedisURL = redis.URL()
		notices = append(notices, "REDIS_URL is not set: an embedded Redis keeps the chats until this process ends")
	}
	if cfg.Broker == "nats" && cfg.NATSURL == "" {
		nats, err := embedded.StartNATS(cfg.DataDir)
		if err != nil {
			end()
			return nil, "", fmt.Errorf("DATA_DIR=%q: %w", cfg.DataDir, err)
		}
		ends = append(ends, nats.Close)
		cfg.NATSURL = nats.URL()
		notices = append(notices, "NATS_URL is not set: an embedded NATS carries the events, with its files in "+cfg.DataDir)
	}
	return end, strings.Join(notices, "; "), nil
}
