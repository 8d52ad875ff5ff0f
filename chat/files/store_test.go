package files_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"

	"livesupport/chat/files"
	"livesupport/lobby/wire"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// stores are those of each kind, with what counts the objects in them.
var stores = map[string]func(t *testing.T) (*files.Store, func() int){
	"memory": func(t *testing.T) (*files.Store, func() int) {
		bucket := memblob.OpenBucket(nil)
		return files.New(bucket, ""), func() (n int) {
			for objects := bucket.List(nil); ; n++ {
				if _, err := objects.Next(context.Background()); err != nil {
					require.ErrorIs(t, err, io.EOF)
					return n
				}
			}
		}
	},
	"folder": func(t *testing.T) (*files.Store, func() int) {
		folder := filepath.Join(t.TempDir(), "new", "files")
		store, err := files.Open(t.Context(), "file://"+folder, "")
		require.NoError(t, err)
		return store, func() int { return count(t, folder) }
	},
	"folder with a prefix": func(t *testing.T) (*files.Store, func() int) {
		folder := t.TempDir()
		store, err := files.Open(t.Context(), "file://"+folder, "shop")
		require.NoError(t, err)
		return store, func() int { return count(t, filepath.Join(folder, "shop")) }
	},
	"S3": func(t *testing.T) (*files.Store, func() int) {
		backend := s3mem.New()
		require.NoError(t, backend.CreateBucket("bucket"))
		server := httptest.NewServer(gofakes3.New(backend).Server())
		t.Cleanup(server.Close)
		return openS3(t, server.URL), func() int {
			all, err := backend.ListBucket("bucket", nil, gofakes3.ListBucketPage{})
			require.NoError(t, err)
			return len(all.Contents)
		}
	},
}

// count counts the files below a folder.
func count(t *testing.T, folder string) (n int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func openS3(t *testing.T, endpoint string) *files.Store {
	t.Helper()
	store, err := files.Open(t.Context(), "s3://bucket?region=eu-central-1&use_path_style=true&endpoint="+endpoint, "")
	require.NoError(t, err)
	return store
}

// write stores a file as an upload does.
func write(t *testing.T, store *files.Store, chatID, content string) *files.File {
	t.Helper()
	f := &files.File{ID: wire.NewID(), ChatID: chatID, Name: "a b.txt", Type: "text/plain"}
	require.NoError(t, tryWrite(t, store, f, strings.NewReader(content), 1<<20))
	return f
}

func tryWrite(t *testing.T, store *files.Store, f *files.File, body io.Reader, limit int64) error {
	t.Helper()
	head, err := files.ReadHead(body)
	require.NoError(t, err)
	return store.Write(t.Context(), f, head, body, limit)
}

func TestStore(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			store, objects := open(t)
			defer store.Close()
			ctx := t.Context()
			chatID, other := wire.NewID(), wire.NewID()
			big := strings.Repeat("0123456789", 20_000)
			one, two, three := write(t, store, chatID, big), write(t, store, chatID, "x"), write(t, store, other, "y")
			require.EqualValues(t, len(big), one.Size)

			got, err := store.Find(ctx, one.ID)
			require.NoError(t, err)
			require.Equal(t, one, got)
			for _, part := range []struct{ offset, length int64 }{{0, one.Size}, {5, 3}, {one.Size - 2, 2}} {
				r, err := store.Read(ctx, got, part.offset, part.length)
				require.NoError(t, err)
				content, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, big[part.offset:part.offset+part.length], string(content))
				require.NoError(t, r.Close())
			}
			_, err = store.Find(ctx, wire.NewID())
			require.ErrorIs(t, err, files.ErrNotFound)

			// A write that fails leaves a file that cannot be found, and nothing once that is
			// deleted.
			before := objects()
			broken := errors.New("broken")
			for want, body := range map[error]io.Reader{
				files.ErrTooLarge: strings.NewReader(strings.Repeat("x", 200_001)),
				broken:            io.MultiReader(strings.NewReader(big[:100_000]), iotest.ErrReader(broken)),
			} {
				f := &files.File{ID: wire.NewID(), ChatID: chatID, Name: "a", Type: "text/plain"}
				require.ErrorIs(t, tryWrite(t, store, f, body, 200_000), want)
				_, err := store.Find(ctx, f.ID)
				require.ErrorIs(t, err, files.ErrNotFound)
				require.NoError(t, store.DeleteFile(ctx, chatID, f.ID))
			}
			require.Equal(t, before, objects())

			kept, err := store.Kept(ctx, chatID)
			require.NoError(t, err)
			require.False(t, kept)
			for range 2 { // both can be repeated
				require.NoError(t, store.Keep(ctx, chatID, []string{one.ID}))
				kept, err = store.Kept(ctx, chatID)
				require.NoError(t, err)
				require.True(t, kept)
			}
			_, err = store.Find(ctx, two.ID)
			require.ErrorIs(t, err, files.ErrNotFound, "no message carries it")
			for range 2 {
				require.NoError(t, store.Delete(ctx, chatID))
				_, err = store.Find(ctx, one.ID)
				require.ErrorIs(t, err, files.ErrNotFound)
			}
			_, err = store.Find(ctx, three.ID)
			require.NoError(t, err)
			require.NoError(t, store.DeleteFile(ctx, other, three.ID))
			require.NoError(t, store.Keep(ctx, wire.NewID(), nil))
			require.Zero(t, objects())
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"", "x", "/folder", "file://host/folder", "file://", "mem://", "gs://bucket", "file:///folder?metadata=x", "s3://bucket?x=y"} {
		_, err := files.Open(t.Context(), address, "")
		require.Error(t, err, address)
	}
}

// A store that is away is reported in time, whether it refuses connections or never answers.
func TestStoreAway(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, refusing.Close())
	swallowing, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	require.NoError(t, err)
	t.Cleanup(func() { _ = swallowing.Close() })
	ending := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-ending:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(ending) })
	for name, endpoint := range map[string]string{
		"refuses": "http://" + refusing.Addr().String(), "swallows": "http://" + swallowing.Addr().String(), "hangs": hanging.URL,
	} {
		store := openS3(t, endpoint)
		f := &files.File{ID: wire.NewID(), ChatID: wire.NewID(), Name: "a", Type: "text/plain", Size: 5}
		for what, try := range map[string]func() error{
			"write": func() error {
				return tryWrite(t, store, f, bytes.NewReader(make([]byte, 8<<20)), 10<<20)
			},
			"find":   func() error { _, err := store.Find(t.Context(), f.ID); return err },
			"read":   func() error { _, err := store.Read(t.Context(), f, 0, 5); return err },
			"kept":   func() error { _, err := store.Kept(t.Context(), f.ChatID); return err },
			"delete": func() error { return store.Delete(t.Context(), f.ChatID) },
		} {
			t.Run(fmt.Sprint(name, "/", what), func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				require.Error(t, try())
				require.Less(t, time.Since(began), 5*time.Second)
			})
		}
	}
}
