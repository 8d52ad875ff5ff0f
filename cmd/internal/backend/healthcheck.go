package backend

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// healthcheckTimeout bounds the requests.
const healthcheckTimeout = 3 * time.Second

// healthcheck asks the server that runs here with the same configuration whether it is
// ready. It exists for container images, which have no other HTTP client.
func healthcheck(ctx context.Context, cfg Config, parts Parts) error {
	var addrs []string
	if parts&Chat != 0 {
		addrs = append(addrs, cfg.ChatAddr)
	}
	if parts&Lobby != 0 {
		addrs = append(addrs, cfg.LobbyAddr)
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		url := "http://" + net.JoinHostPort(host, port) + "/readyz"
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
	}
	return nil
}
