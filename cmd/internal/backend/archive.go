package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat/archive"
	"livesupport/chat/files"
)

// Archives reports whether there is an archive.
func (c Config) Archives() bool { return c.ArchiveURL != "" && c.ArchiveURL != archiveOff }

// EmbedArchive sets ARCHIVE_URL to a file in DATA_DIR, unless it is set, and returns a
// sentence about it for the log.
func (c *Config) EmbedArchive() (notice string) {
	if c.ArchiveURL != "" {
		return ""
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return "ARCHIVE_URL is not set, and DATA_DIR cannot be used: chats are not archived: " + err.Error()
	}
	path := filepath.Join(c.DataDir, "archive.db")
	c.ArchiveURL = "sqlite:" + path
	return "ARCHIVE_URL is not set: ended chats are kept in " + path
}

// openTimeout is how long a start waits for an archive that does not answer.
const openTimeout = 2 * time.Second

// left announces a left message, see archive.Config.
type left func(ctx context.Context, messageID string, message []byte, keep func(context.Context) error) error

func (b *Backend) openArchive(ctx context.Context, cfg Config, db *redisdb.DB, stored *files.Store, tell left) (*archive.Archive, error) {
	settings := archive.Config{URL: cfg.ArchiveURL, Retention: cfg.ArchiveRetention, Left: tell, Now: db.Now, Log: b.log}
	if stored != nil {
		settings.Files = stored
	}
	kept, err := archive.New(settings)
	if err != nil {
		return nil, usage(cfg.name("ARCHIVE_URL"), cfg.ArchiveURL, err.Error())
	}
	b.onShutdown("archive", 2*time.Second, kept.Close)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	newer := (*archive.NewerError)(nil)
	if err := kept.Open(ctx); errors.As(err, &newer) {
		return nil, UsageError(fmt.Sprintf("%s=%q cannot be used: %v", cfg.name("ARCHIVE_URL"), mask(cfg.ArchiveURL), newer))
	}
	return kept, nil
}
