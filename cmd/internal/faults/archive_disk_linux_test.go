package faults_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"livesupport/chat/archive/archivetest"
)

// The archive's disk is full for a while. Chats go on, and ended chats are archived when
// there is room again.
func TestArchiveDiskFull(t *testing.T) {
	eachDisk := map[string]func(w *world, s scale){
		"SQLite": func(w *world, s scale) {
			disk := smallDisk(w.T, "size=64m") // it must have room for all chats once it is empty again
			file := "sqlite:" + filepath.Join(disk, "archive.db")
			k := w.keep(file, awayTTL)
			k.without("while its disk was full", s, func() { k.fill(disk) }, func() { k.empty(disk) })
			k.complete()
			k.Logf("%s: the archive takes %d bytes on the disk", k.Name(), used(w.T, disk))
		},
		"PostgreSQL": func(w *world, s scale) {
			disk := smallDisk(w.T, "size=160m,mode=755")
			database := archivetest.StartPostgresIn(w.T, disk)
			url := database.NewDatabase()
			k := w.keep(url, awayTTL)
			k.without("while its disk was full", s, func() { k.fill(disk) }, func() {
				k.empty(disk)
				if !database.Runs() { // it ends where it cannot write its journal
					k.Logf("%s: PostgreSQL had ended", k.Name())
					database.Start()
				}
			})
			k.complete()
		},
	}
	s := begin(t)
	t.Parallel()
	for name, test := range eachDisk {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, "redis"), s)
		})
	}
}

// smallDisk mounts a disk in memory for the length of a test.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	disk, err := os.MkdirTemp("", "disk") // t.TempDir's are for this user alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(disk) })
	if err := os.Chmod(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, options); err != nil {
		if errors.Is(err, os.ErrPermission) {
			t.Skip("a disk of its own takes the right to mount one:", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// fill uses up the free space of a disk.
func (k *keeping) fill(disk string) {
	k.Helper()
	file, err := os.Create(filepath.Join(disk, "fill"))
	if err != nil {
		k.Fatal(err)
	}
	defer file.Close()
	for deadline := time.Now().Add(10 * time.Second); err == nil; _, err = file.Write(make([]byte, 4096)) {
		if time.Now().After(deadline) {
			k.Fatal("the disk does not become full")
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		k.Fatal("the disk is not full:", err)
	}
}

// used is how many bytes of a disk are taken.
func used(t *testing.T, disk string) uint64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	return (s.Blocks - s.Bfree) * uint64(s.Bsize)
}

func (k *keeping) empty(disk string) {
	k.Helper()
	if err := os.Remove(filepath.Join(disk, "fill")); err != nil {
		k.Fatal(err)
	}
}
