package faults_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOthersBesideUploads: a hundred files of ten megabytes come at once, and others
// chat as if nothing were. What it reports is for a quiet machine; everything must be
// answered within the protocol's five seconds anywhere (see participant).
func TestOthersBesideUploads(t *testing.T) {
	s := begin(t)
	if form() != "long" {
		t.Skip("it measures: set FAULTS=long, on a quiet machine")
	}
	const uploads, size, rate = 100, 10 << 20, 512 << 10 // each half a megabyte a second
	w := newWorld(t, "redis")
	w.config("appendonly", "no") // Redis has another disk
	chat := w.startChat("FILES_URL=file://"+filepath.ToSlash(t.TempDir()), "CHAT_TTL=5m")
	s.chats = min(s.chats, 50)
	tr := w.talk(s)
	measured := func(what string, during func() error) {
		t.Helper()
		start, resident, cpu := time.Now(), w.resident(chat), w.cpu(chat)
		if err := during(); err != nil {
			t.Error(err)
		}
		delays := tr.delays(start, time.Now())
		t.Logf("%s: %s, %v: %d deliveries to others, %s; %.1f s of CPU; resident %d MB before, %d MB after", t.Name(), what,
			time.Since(start).Round(100*time.Millisecond), len(delays), percentiles(delays), w.cpu(chat)-cpu, resident>>20, w.resident(chat)>>20)
	}
	usual := func() error { wait(t.Context(), 10*time.Second); return nil }
	for range 3 {
		measured("nothing beside", usual)
		var visitors []visitor
		for range uploads {
			visitors = append(visitors, w.register(chat.addr, "Nika"))
		}
		measured(fmt.Sprintf("%d uploads of %d MB beside", uploads, size>>20), func() error {
			var all errgroup
			for _, v := range visitors {
				all.Go(func() error { return uploadPaced(chat.addr, v, size, rate) })
			}
			return all.Wait()
		})
	}
	if peak := w.peak(chat); peak > maxResident {
		t.Errorf("it took %d MB at most", peak>>20)
	}
	tr.settle(15 * time.Second)
}

// cpu is what the process has had of processors, in seconds.
func (w *world) cpu(s *server) float64 { return w.metrics(s)["process_cpu_seconds_total"] }

// uploadPaced sends a file of a size at a rate of so many bytes a second.
func uploadPaced(addr string, v visitor, size, rate int) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(conn, "POST /chat/%s/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLivesupport-User: %s\r\nLivesupport-Filename: a\r\nContent-Type: x\r\nContent-Length: %d\r\n\r\n", v.ChatID, v.UserID, size)
	piece := bytes.Repeat([]byte("x"), 64<<10)
	// Each in its own time: a hundred clients in step would send 6 MB within a moment.
	began := time.Now().Add(rand.N(time.Duration(len(piece)) * time.Second / time.Duration(rate)))
	for sent := 0; sent < size && err == nil; sent += len(piece) {
		time.Sleep(time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(rate))))
		_, err = conn.Write(piece)
	}
	answer, _ := io.ReadAll(io.LimitReader(conn, 512)) // what it says tells what went wrong
	if !strings.HasPrefix(string(answer), "HTTP/1.1 201 ") {
		return fmt.Errorf("an upload was answered with %.80q, %w", answer, err)
	}
	return nil
}
