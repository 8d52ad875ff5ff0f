package backend

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testSettings: SIGHUP reads the settings again; what is bad changes nothing, and is
// told and counted.
func testSettings(t *testing.T, dir string) {
	file := filepath.Join(t.TempDir(), "settings.json")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(`{"teams":[{"id":"billing"}]}`)
	p := startProcess(t, filepath.Join(dir, "livesupport"), []string{"SETTINGS=" + file})
	chat, _ := p.logged(t, "chat server listens")["addr"].(string)
	lobby, _ := p.logged(t, "lobby listens")["addr"].(string)
	figures := func() string {
		_, body := get(t, "http://"+lobby+"/metrics")
		return body
	}
	status := func() string {
		_, body := get(t, "http://"+chat+"/status")
		return body
	}
	first := figures()
	require.Contains(t, first, "livesupport_settings_errors_total 0\n")
	require.NotContains(t, first, `livesupport_settings_info{hash="none"}`)
	require.Contains(t, status(), `"id":"billing"`)

	again := func(text, message string) map[string]any {
		t.Helper()
		write(text)
		delete(p.seen, message)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		return p.logged(t, message)
	}
	for _, bad := range []struct{ text, where string }{
		{`{"teams":[{"id":"billing","hours":{"zone":"Europe/Berln"}}]}`, `teams[0].hours.zone: "Europe/Berln" is not a time zone`},
		{"{\n\"teams\": [}\n", "line 2: "},
	} {
		line := again(bad.text, "the new settings are invalid, the previous ones stay in force")
		require.Equal(t, "ERROR", line["level"])
		require.Contains(t, line["error"], `SETTINGS="`+file+`": `+bad.where)
	}
	require.Equal(t, strings.Count(first, "livesupport_settings_info"), strings.Count(figures(), "livesupport_settings_info"))
	require.Contains(t, figures(), "livesupport_settings_errors_total 2\n")
	require.Contains(t, status(), `"id":"billing"`)

	line := again(`{"teams":[{"id":"sales"}]}`, "new settings read")
	hash, _ := line["hash"].(string)
	require.Len(t, hash, 16)
	require.NotContains(t, first, hash)
	require.Contains(t, figures(), `livesupport_settings_info{hash="`+hash+`"} 1`)
	require.Eventually(t, func() bool { return strings.Contains(status(), `"id":"sales"`) }, 5*time.Second, 20*time.Millisecond)

	for _, addr := range []string{chat, lobby} {
		code, schema := get(t, "http://"+addr+"/settings.schema.json")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, schema, "https://json-schema.org/draft/2020-12/schema")
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.endsWell(t)
}
