package backend

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat"
	"livesupport/chat/files"
)

// filesOff is the FILES_URL of a deployment without files.
const filesOff = "off"

func filesURL(value string) (string, error) {
	if value == "" || value == filesOff {
		return value, nil
	}
	u, err := url.Parse(value)
	if err == nil && (u.Scheme == "file" && u.Host == "" && len(u.Path) > 1 && u.RawQuery == "" || u.Scheme == "s3" && u.Host != "" && u.Path == "") {
		return value, nil
	}
	return "", errors.New("want file:///folder, s3://bucket?region=eu-central-1 or off")
}

func fileTypes(value string) ([]string, error) {
	var types []string
	for kind := range strings.SplitSeq(value, ",") {
		kind = strings.ToLower(strings.TrimSpace(kind))
		bare, parameters, err := mime.ParseMediaType(kind)
		if err != nil || bare != kind || len(parameters) > 0 || strings.Count(kind, "/") != 1 || strings.Contains(kind, "*") {
			return nil, errors.New("want comma-separated types of content such as image/png,application/pdf")
		}
		types = append(types, kind)
	}
	return types, nil
}

// hasFiles reports whether chats take files.
func (c Config) hasFiles() bool { return c.FilesURL != "" && c.FilesURL != filesOff }

// EmbedFiles sets FILES_URL to a folder in DATA_DIR, unless it is set, and returns a
// sentence about it for the log.
func (c *Config) EmbedFiles() (notice string) {
	if c.FilesURL != "" {
		return ""
	}
	path, err := filepath.Abs(filepath.Join(c.DataDir, "files"))
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return "FILES_URL is not set, and DATA_DIR cannot be used: chats take no files: " + err.Error()
	}
	c.FilesURL = (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
	return "FILES_URL is not set: files are kept in " + path
}

// openFileStore opens the file store. It returns nil without one.
func (b *Backend) openFileStore(ctx context.Context, cfg Config) (*files.Store, error) {
	if !cfg.hasFiles() {
		return nil, nil
	}
	store, err := files.Open(ctx, cfg.FilesURL, cfg.Prefix)
	if err != nil {
		return nil, UsageError(fmt.Sprintf("%s=%q cannot be used: %v", cfg.name("FILES_URL"), mask(cfg.FilesURL), err))
	}
	b.onShutdown("file store", time.Second, store.Close)
	return store, nil
}

// serveFiles starts the service for files of chats, if there is a store.
func (b *Backend) serveFiles(cfg Config, store *files.Store, db *redisdb.DB, chats *chat.Service, figures *figures) *files.Service {
	if store == nil {
		return nil
	}
	service := files.NewService(files.Config{
		Store: store, DB: db, Chats: chats, Size: int64(cfg.FileSize), Types: cfg.FileTypes, Log: b.log,
	})
	figures.operator.MustRegister(service.Metrics()...)
	b.onShutdown("files", 2*time.Second, service.Close)
	return service
}
