// Command livesupport runs the chat server and the lobby in one process. It starts an
// embedded Redis unless REDIS_URL is set, and for BROKER=nats an embedded NATS unless
// NATS_URL is set. Without ARCHIVE_URL it archives chats in a file in DATA_DIR.
//
// "livesupport token" makes a token for an agent, "livesupport archive" maintains the
// archive, and "livesupport webhook" tests receivers of webhooks.
package main

import (
	"fmt"
	"os"
	"strings"

	"livesupport/broker/embedded"
	"livesupport/cmd/internal/backend"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "token":
			os.Exit(token(os.Args[2:], os.Getenv, os.Stdout, os.Stderr))
		case "archive":
			os.Exit(archiveCommand(os.Args[2:], os.LookupEnv, os.Stdout, os.Stderr))
		case "webhook":
			os.Exit(webhookCommand(os.Args[2:], os.LookupEnv, os.Stdout, os.Stderr))
		}
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
		if cfg.RedisWait > 0 {
			return nil, "", backend.UsageError("REDIS_WAIT is set without REDIS_URL: the embedded Redis has no replicas")
		}
		redis, err := embedded.StartRedis()
		if err != nil {
			return nil, "", err
		}
		ends = append(ends, redis.Close)
		cfg.RedisURL, cfg.StoreEnds = redis.URL(), true
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
	for _, notice := range []string{cfg.EmbedArchive(), cfg.EmbedFiles()} {
		if notice != "" {
			notices = append(notices, notice)
		}
	}
	return end, strings.Join(notices, "; "), nil
}
