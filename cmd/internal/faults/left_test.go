package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
)

// Visitors leave messages while every process dies at a random moment, again and again.
// Each message that a server has said to have is there, once.
func TestLeftMessages(t *testing.T) {
	eachArchive(t, func(w *world, s scale, database *archivetest.Postgres) {
		url := "sqlite:" + filepath.Join(w.TempDir(), "archive.db")
		if database != nil {
			url = database.NewDatabase()
		}
		k := w.keep(url, keptTTL)
		k.serve()
		l := leaving{world: w, confirmed: map[string]bool{}, answers: map[int]int{}}
		ctx, stop := context.WithCancel(w.Context())
		defer stop()
		var leavers sync.WaitGroup
		for i := range 10 {
			leavers.Go(func() { l.leave(ctx, i) })
		}
		for range s.kills {
			kills := k.killers(database)
			rand.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
			for _, kill := range kills {
				wait(ctx, rand.N(time.Second)) // the random moment
				kill()
			}
		}
		healed := l.count()
		again := poll(30*time.Second, func() bool { return l.count() >= healed+50 })
		stop()
		leavers.Wait()
		l.check(k.archive)
		if !again {
			w.Error("messages are not taken again")
		}
	})
}

// leaving is what visitors leave.
type leaving struct {
	*world
	mu        sync.Mutex
	confirmed map[string]bool
	answers   map[int]int // by status; 0 for none
}

// leave leaves one message after the other at whatever server lives.
func (l *leaving) leave(ctx context.Context, visitor int) {
	for i := 0; ctx.Err() == nil; i++ {
		content := fmt.Sprintf("message %d of visitor %d", i, visitor)
		body, err := json.Marshal(map[string]string{"name": "Nika", "email": "nika@example.com", "content": content})
		if err != nil {
			l.Error(err)
			return
		}
		response, err := plainHTTP.Post("http://"+l.pick("")+"/messages", "application/json", bytes.NewReader(body))
		status := 0
		if err == nil {
			response.Body.Close()
			status = response.StatusCode
		}
		l.mu.Lock()
		l.answers[status]++
		if status == http.StatusAccepted {
			l.confirmed[content] = true
		}
		l.mu.Unlock()
		wait(ctx, 20*time.Millisecond)
	}
}

func (l *leaving) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.confirmed)
}

// check compares with what there is. A message whose answer was lost may be there or not.
func (l *leaving) check(kept *archive.Archive) {
	l.Helper()
	there, cursor := map[string]int{}, ""
	for first := true; first || cursor != ""; first = false {
		var some []archive.Message
		eventually(l.T, 10*time.Second, "the archive answers", func() bool {
			found, next, err := kept.Messages(l.ctx(), archive.MessageFilter{}, cursor, 200)
			if err == nil {
				some, cursor = found, next
			}
			return err == nil
		})
		for _, m := range some {
			there[m.Content]++
		}
	}
	missing, twice := 0, 0
	for content := range l.confirmed {
		if there[content] == 0 {
			missing++
		}
	}
	for _, n := range there {
		if n > 1 {
			twice++
		}
	}
	l.Logf("%s: messages left: %v by status, %d confirmed, %d there: %d missing, %d twice", l.Name(), l.answers, len(l.confirmed), len(there), missing, twice)
	if missing > 0 || twice > 0 {
		l.Errorf("%d are missing, %d are there twice", missing, twice)
	}
}
