package files_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/chat/files"
	"livesupport/lobby/wire"
)

// chats holds the chats of a test: which are alive, and which files their messages carry.
type chats struct {
	mu      sync.Mutex
	living  map[string]bool
	carried map[string]bool
	err     error
}

func (c *chats) Rest(_ context.Context, ids []string) ([]time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := make([]time.Duration, len(ids))
	for i, id := range ids {
		if c.living[id] {
			rest[i] = 200 * time.Millisecond
		}
	}
	return rest, c.err
}

func (c *chats) Discard(_ context.Context, chatID, fileID string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.living[chatID] || !c.carried[fileID], c.err
}

func (c *chats) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *chats) begin() (chatID string) {
	chatID = wire.NewID()
	c.set(func() { c.living[chatID] = true })
	return chatID
}

// A desk is a Service with everything that it needs.
type desk struct {
	*files.Service
	*testing.T
	store  *files.Store
	folder string
	chats  *chats
	redis  *redis.Client
}

func open(t *testing.T, carryTime time.Duration) *desk {
	t.Helper()
	server := brokertest.StartEmbeddedRedis(t)
	db, err := redisdb.Open(server.URL(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, db.AwaitTime(ctx))
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	folder := t.TempDir()
	store, err := files.Open(ctx, "file://"+folder, "")
	require.NoError(t, err)
	c := &chats{living: map[string]bool{}, carried: map[string]bool{}}
	service := files.NewService(files.Config{
		Store: store, DB: db, Chats: c, Size: 1 << 20, Types: []string{"text/plain"}, Log: slog.New(slog.DiscardHandler), CarryTime: carryTime,
	})
	t.Cleanup(func() { _ = service.Close() })
	return &desk{service, t, store, folder, c, client}
}

// receive takes a file for a chat.
func (d *desk) receive(chatID string) *files.File {
	d.Helper()
	f := &files.File{ID: wire.NewID(), ChatID: chatID, Name: "a.txt", Type: "text/plain"}
	head, err := files.ReadHead(strings.NewReader("hello"))
	require.NoError(d, err)
	require.NoError(d, d.Receive(d.Context(), f, head, strings.NewReader("")))
	d.Received(f)
	return f
}

func (d *desk) has(f *files.File) bool {
	d.Helper()
	_, err := d.store.Find(d.Context(), f.ID)
	if err != nil && !errors.Is(err, files.ErrNotFound) {
		d.Fatal(err)
	}
	return err == nil
}

func (d *desk) eventually(holds func() bool) {
	d.Helper()
	require.Eventually(d, holds, 20*time.Second, 20*time.Millisecond)
}

// leases returns how many leases there are.
func (d *desk) leases() int64 {
	d.Helper()
	n, err := d.redis.ZCard(d.Context(), "{files}:leases").Result()
	require.NoError(d, err)
	return n
}

func TestWhatNoMessageCarriesGoes(t *testing.T) {
	t.Parallel()
	d := open(t, 300*time.Millisecond)
	chatID := d.chats.begin()
	carried, lost := d.receive(chatID), d.receive(chatID)
	d.chats.set(func() { d.chats.carried[carried.ID] = true })
	require.True(t, d.has(lost))
	d.eventually(func() bool { return !d.has(lost) })
	d.eventually(func() bool { return d.leases() == 1 }) // the chat's
	require.True(t, d.has(carried))
	_, err := d.Find(t.Context(), carried.ID)
	require.NoError(t, err)

	// While the store of chats is away, nothing is decided.
	later := d.receive(chatID)
	d.chats.set(func() { d.chats.err = errors.New("away") })
	time.Sleep(1500 * time.Millisecond)
	require.True(t, d.has(later))
	require.True(t, d.has(carried))
	_, err = d.Find(t.Context(), carried.ID)
	require.Error(t, err)
	require.NotErrorIs(t, err, files.ErrNotFound)
}

func TestFilesGoWithTheirChat(t *testing.T) {
	t.Parallel()
	d := open(t, time.Hour)
	ended, kept := d.chats.begin(), d.chats.begin()
	one, two, three := d.receive(ended), d.receive(ended), d.receive(kept)
	uncarried := d.receive(kept)
	// A server was killed while it wrote a file.
	half := filepath.Join(d.folder, ended[:2], ended+"-"+wire.NewID()+".18c3.tmp")
	require.NoError(t, os.WriteFile(half, []byte("half"), 0o600))
	require.NoError(t, d.store.Keep(t.Context(), kept, []string{three.ID}))
	d.chats.set(func() { clear(d.chats.living) })
	_, err := d.Find(t.Context(), one.ID)
	require.ErrorIs(t, err, files.ErrNotFound, "it is not given out any more, deleted or not")
	d.eventually(func() bool { return !d.has(one) && !d.has(two) && count(t, d.folder) == 3 })
	require.False(t, d.has(uncarried))
	_, err = d.Find(t.Context(), three.ID)
	require.NoError(t, err)
	require.NoError(t, d.store.Delete(t.Context(), kept))
	require.Zero(t, count(t, d.folder))
}

func TestNothingIsLeftAfterManyChats(t *testing.T) {
	t.Parallel()
	d := open(t, time.Hour)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 125 {
				chatID := d.chats.begin()
				d.receive(chatID)
				d.receive(chatID)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 4000, count(t, d.folder))
	d.chats.set(func() { clear(d.chats.living) })
	d.eventually(func() bool { return count(t, d.folder) == 0 && d.leases() == 0 })
	keys, err := d.redis.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestTidy(t *testing.T) {
	t.Parallel()
	d := open(t, time.Hour)
	living, lost, kept := d.chats.begin(), d.chats.begin(), d.chats.begin()
	one, two, three := d.receive(living), d.receive(lost), d.receive(kept)
	require.NoError(t, d.store.Keep(t.Context(), kept, []string{three.ID}))
	half := filepath.Join(d.folder, "ab", "ab"+wire.NewID()[2:]+".18c3.tmp")
	require.NoError(t, os.MkdirAll(filepath.Dir(half), 0o700))
	require.NoError(t, os.WriteFile(half, []byte("half"), 0o600))
	foreign := filepath.Join(d.folder, "readme.txt")
	require.NoError(t, os.WriteFile(foreign, []byte("not ours"), 0o600))
	require.NoError(t, d.redis.FlushAll(t.Context()).Err())
	d.chats.set(func() { delete(d.chats.living, lost); delete(d.chats.living, kept) })

	require.NoError(t, d.Tidy(t.Context(), time.Now().Add(-time.Hour)), "what is young stays")
	require.True(t, d.has(two))
	require.NoError(t, d.Tidy(t.Context(), time.Now().Add(time.Hour)))
	require.True(t, d.has(one))
	require.False(t, d.has(two))
	require.True(t, d.has(three))
	require.NoFileExists(t, half)
	require.FileExists(t, foreign)
	require.Equal(t, 2+3+1, count(t, d.folder))
}

// The store is looked through to its end although files come and go meanwhile.
func TestTidyWhileFilesGo(t *testing.T) {
	t.Parallel()
	d := open(t, time.Hour)
	stop := make(chan struct{})
	var gone atomic.Int32 // chats
	var traffic sync.WaitGroup
	for range 4 {
		traffic.Go(func() {
			for {
				chatID := wire.NewID()
				for i := range 20 {
					select {
					case <-stop:
						return
					default:
					}
					f := &files.File{ID: wire.NewID(), ChatID: chatID, Name: "a.txt", Type: "text/plain"}
					if err := tryWrite(t, d.store, f, strings.NewReader("hello"), 10); err != nil {
						t.Error(i, err)
					}
				}
				if err := d.store.Delete(t.Context(), chatID); err != nil {
					t.Error(err)
				}
				gone.Add(1)
			}
		})
	}
	for began := time.Now(); gone.Load() < 30 && time.Since(began) < time.Minute; {
		if err := d.Tidy(t.Context(), time.Now().Add(-time.Hour)); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	traffic.Wait()
}

func TestAFailedUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	d := open(t, time.Hour)
	chatID := d.chats.begin()
	d.receive(chatID)
	leases := d.leases()
	f := &files.File{ID: wire.NewID(), ChatID: chatID, Name: "a.txt", Type: "text/plain"}
	body := strings.NewReader(strings.Repeat("x", 2<<20))
	head, err := files.ReadHead(body)
	require.NoError(t, err)
	require.ErrorIs(t, d.Receive(t.Context(), f, head, body), files.ErrTooLarge)
	require.Equal(t, 2, count(t, d.folder))
	require.Equal(t, leases, d.leases())
}
