package backend

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ready reads what a port says of its readiness.
func ready(t *testing.T, addr string) (status int, body string) {
	t.Helper()
	return get(t, "http://"+addr+"/readyz")
}

// TestReadinessNamesWhatIsMissing: to the operator, and to nobody else.
func TestReadinessNamesWhatIsMissing(t *testing.T) {
	store := closedPort(t)
	cfg := testConfig(t, "redis://u:s3cret@"+store)
	cfg.MetricsAddr = "127.0.0.1:0"
	b, err := Start(t.Context(), cfg, Chat|Lobby)
	require.NoError(t, err)
	defer shutdown(t, b)
	require.Eventually(t, func() bool { // until the first attempt has failed
		_, body := ready(t, b.MetricsAddr())
		var said struct {
			Ready   bool
			Missing map[string]string
		}
		require.NoError(t, json.Unmarshal([]byte(body), &said))
		require.False(t, said.Ready)
		require.NotContains(t, body, "s3cret")
		return len(said.Missing) == 2 && said.Missing["store"] != "" && said.Missing["broker"] != "" &&
			said.Missing["store"] != "redis: not connected yet"
	}, 10*time.Second, 20*time.Millisecond)
	status, body := ready(t, b.MetricsAddr())
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "connection refused")
	for _, addr := range []string{b.ChatAddr(), b.LobbyAddr()} {
		status, body := ready(t, addr)
		require.Equal(t, http.StatusServiceUnavailable, status)
		for _, internal := range []string{"redis", "refused", "store", "broker", store} {
			require.NotContains(t, body, internal)
		}
	}
	status, _ = get(t, "http://"+b.MetricsAddr()+"/healthz")
	require.Equal(t, http.StatusOK, status)
}

// TestDrain: at first only readiness fails, while everybody is served; then the
// listeners close.
func TestDrain(t *testing.T) {
	cfg := testConfig(t, startRedis(t))
	cfg.MetricsAddr, cfg.DrainDelay = "127.0.0.1:0", time.Second
	b, err := Start(t.Context(), cfg, Chat|Lobby)
	require.NoError(t, err)
	public := []string{b.ChatAddr(), b.LobbyAddr()}
	for _, addr := range append(public, b.MetricsAddr()) {
		require.Eventually(t, func() bool {
			status, _ := ready(t, addr)
			return status == http.StatusOK
		}, 10*time.Second, 20*time.Millisecond)
	}
	socket := dialSocket(t, b.ChatAddr(), chatPath)

	begun := time.Now()
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- b.Shutdown(ctx)
	}()
	for _, addr := range public {
		require.Eventually(t, func() bool {
			status, _ := ready(t, addr)
			return status == http.StatusServiceUnavailable
		}, cfg.DrainDelay/2, 5*time.Millisecond)
	}
	_, body := ready(t, b.MetricsAddr())
	require.Contains(t, body, `"server":"shutting down"`)
	status, _ := get(t, "http://"+b.ChatAddr()+"/user/join/Nika")
	require.Equal(t, http.StatusOK, status)
	late := dialSocket(t, b.LobbyAddr(), "/users")
	require.Less(t, time.Since(begun), cfg.DrainDelay, "too slow a machine for this test")

	require.EqualValues(t, 1001, closeCode(t, socket))
	require.EqualValues(t, 1001, closeCode(t, late))
	require.GreaterOrEqual(t, time.Since(begun), cfg.DrainDelay)
	require.NoError(t, <-ended)
	for _, addr := range append(public, b.MetricsAddr()) {
		_, err := net.Dial("tcp", addr)
		require.Error(t, err)
	}
}

// TestShutdownIsBounded: with their defaults, the times of a shutdown leave one
// of the ten seconds in which a process has to end.
func TestShutdownIsBounded(t *testing.T) {
	cfg := testConfig(t, "redis://127.0.0.1:1")
	require.LessOrEqual(t, cfg.DrainDelay+cfg.DrainSpread+shutdownTimeout, 9*time.Second)
}
