package faults_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Redis dies, and comes back with a copy of its data that is a second old, as a backup would be. What
// was written in that second is lost, and nothing else: no server believes in positions of a log that is
// shorter now, even where NATS has told it of nothing unusual, and no receiver of events misses one whose
// position in the log had another before.
func TestRedisRestored(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		w.mayLose = true
		events, env := w.hooked()
		f := w.staff(s, env...)
		data := filepath.Join(w.redis.Dir(), "appendonlydir")
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
			w.Fatal(err)
		}
		wait(w.Context(), time.Second)
		began := time.Now()
		w.redis.Kill()
		if err := os.RemoveAll(data); err != nil {
			w.Fatal(err)
		}
		if err := os.Rename(copied, data); err != nil {
			w.Fatal(err)
		}
		w.restartRedis()
		f.recovers("an older copy was restored", began, electedWithin)
		if total := f.settles(); total.lost == 0 {
			w.Error("nothing was lost: the copy was not older")
		}
		events.haveHistories(f.traffic)
	})
}
