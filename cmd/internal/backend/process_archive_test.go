package backend

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"livesupport/chat/archive"
)

// testChatsOverRestart: what was said yesterday is there today, with nothing set up.
func testChatsOverRestart(t *testing.T, dir string) {
	env := []string{"DATA_DIR=" + t.TempDir()}
	p := startProcess(t, filepath.Join(dir, "livesupport"), env)
	chat, _ := p.logged(t, "chat server listens")["addr"].(string)
	chatID := speaks(t, chat, "Nika", "remember the milk")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-p.ended)

	p = startProcess(t, filepath.Join(dir, "livesupport"), env)
	lobby, _ := p.logged(t, "lobby listens")["addr"].(string)
	status, body := get(t, "http://"+lobby+"/api/v1/chats?query=milk")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, chatID)
	_, body = get(t, "http://"+lobby+"/api/v1/chats/"+chatID)
	require.Contains(t, body, "remember the milk")
}

// speaks begins a chat, in which a visitor says something, and returns its id.
func speaks(t *testing.T, chat, name, text string) (chatID string) {
	t.Helper()
	var visitor struct{ UserID, ChatID string }
	require.Eventually(t, func() bool {
		status, body := get(t, "http://"+chat+"/user/join/"+name)
		return status == http.StatusOK && json.Unmarshal([]byte(body), &visitor) == nil
	}, 10*time.Second, 50*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+chat+"/chat/"+visitor.ChatID, nil)
	require.NoError(t, err)
	defer conn.CloseNow()
	for _, frame := range []string{
		`{"type":"Join","args":{"userId":"` + visitor.UserID + `","from":"User"}}`, `{"type":"ChatMessage","args":{"content":"` + text + `","from":"User"}}`,
	} {
		require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte(frame)))
	}
	for seen := false; !seen; {
		_, frame, err := conn.Read(ctx)
		require.NoError(t, err)
		seen = strings.Contains(string(frame), `"ChatMessage"`)
	}
	return visitor.ChatID
}

// TestNewerArchive: a server does not write into tables that a later version has made.
func TestNewerArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.db")
	a, err := archive.New(archive.Config{URL: "sqlite:" + path, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, a.Open(t.Context()))
	require.NoError(t, a.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec("INSERT INTO livesupport_schema (version) VALUES (99)")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	cfg, err := Parse("chatserver", []string{"--redis-url=redis://" + closedPort(t), "--archive-url=sqlite:" + path, "--chat-addr=127.0.0.1:0", "--log-level=error"}, environment())
	require.NoError(t, err)
	_, err = Start(t.Context(), cfg, Chat)
	usage := UsageError("")
	require.ErrorAs(t, err, &usage)
	require.Regexp(t, `^--archive-url="sqlite:.*" cannot be used: its schema is of version 99, and this version of Livesupport supports versions up to \d+: want `, string(usage))

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700)) // away: no reason not to start
	b, err := Start(t.Context(), cfg, Chat)
	require.NoError(t, err)
	require.NoError(t, b.Shutdown(t.Context()))
}
