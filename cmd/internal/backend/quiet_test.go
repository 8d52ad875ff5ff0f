package backend

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestQuiet: a state that lasts or flaps is told at once, then once a minute, with
// the latest reason; and nothing that was kept back is lost at the end.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		q := newQuiet(slog.NewTextHandler(&out, nil))
		log := slog.New(q)
		lines := func() []string {
			defer out.Reset()
			return strings.Split(strings.TrimSpace(out.String()), "\n")
		}
		for n := range 240 { // a minute of it
			log.With("part", n%2).Warn("the store is away", "error", fmt.Sprint("reason ", n))
			log.Info("chats go on")
			time.Sleep(250 * time.Millisecond)
		}
		time.Sleep(time.Second) // not at the very moment
		log.Warn("something else")
		log.Error("what must not be")
		log.Error("what must not be")
		synctest.Wait()
		got := lines()
		require.Len(t, got, 240+5)
		require.Contains(t, got[0], `msg="the store is away" part=0 error="reason 0"`)
		require.Contains(t, got[241], `msg="the store is away" part=1 error="reason 239" times=239`)

		time.Sleep(3 * time.Minute)
		log.Warn("the store is away", "error", "again")
		log.Warn("the store is away", "error", "still")
		q.told.close()
		got = lines()
		require.Len(t, got, 2)
		require.Contains(t, got[0], "again")
		require.Contains(t, got[1], "still")
		require.NotContains(t, got[1], "times")
		log.Warn("the store is away")
		log.Warn("the store is away")
		require.Len(t, lines(), 2)
	})
}
