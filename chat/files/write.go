package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/go-json-experiment/json"
	"gocloud.dev/blob"
)

// Write stores the file f, whose head was read before, and sets its Size, which is at most
// limit. It returns ErrTooLarge, the error of reading the body, or an error of the store. Only
// the last one wraps errStore; then the file cannot be read, but Delete may find remains of it.
//
// Only a piece of the file is in memory at a time. A folder takes the bytes as they arrive. S3
// needs the size beforehand, and the content again for a retry, so the file first goes into the
// folder for temporary files, without a name.
func (s *Store) Write(ctx context.Context, f *File, head Head, body io.Reader, limit int64) error {
	source := &source{Reader: io.MultiReader(bytes.NewReader(head.bytes), body), left: limit}
	var err error
	if s.s3 == nil {
		err = s.writeThrough(ctx, f, source)
	} else {
		err = s.writeSpooled(ctx, f, source)
	}
	if err != nil {
		return err
	}
	f.Size = limit - source.left
	description, err := json.Marshal(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.writes)
	defer cancel()
	return storeError(s.bucket.WriteAll(ctx, s.descriptionKey(f.ID), description, &blob.WriterOptions{ContentType: "application/json"}))
}

// source is the body of an upload. It fails beyond a limit, and keeps its own error apart from
// errors of the destination.
type source struct {
	io.Reader
	left int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = ErrTooLarge
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// diskWrites bounds concurrent writes to disks. A write that waits for a busy disk blocks a
// processor for a moment; a hundred of them would block everything else.
var diskWrites = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)/2))

// turnTimeout is how long a write waits for its turn.
const turnTimeout = 4 * time.Second

var errBusy = errors.New("the disk is busy")

// copyTo copies the whole source in pieces. It returns the source's error unchanged.
func (s *source) copyTo(w io.Writer) error {
	piece := pieces.Get().(*[32 << 10]byte)
	defer pieces.Put(piece)
	for {
		n, err := s.Read(piece[:])
		if s.err != nil {
			return s.err
		}
		if n > 0 {
			if err := writeInTurn(w, piece[:n]); err != nil {
				return storeError(err)
			}
		}
		if err != nil {
			return nil // the end
		}
	}
}

func writeInTurn(w io.Writer, p []byte) error {
	wait := time.NewTimer(turnTimeout)
	defer wait.Stop()
	select {
	case diskWrites <- struct{}{}:
	case <-wait.C:
		return errBusy
	}
	defer func() { <-diskWrites }()
	_, err := w.Write(p)
	return err
}

var pieces = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (s *Store) writeThrough(ctx context.Context, f *File, body *source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, s.contentKey(f), &blob.WriterOptions{ContentType: f.Type})
	if err != nil {
		return storeError(err)
	}
	err = body.copyTo(w)
	if err != nil {
		cancel() // so that closing does not store the file
	}
	if closed := w.Close(); err == nil {
		err = storeError(closed)
	}
	return err
}

func (s *Store) writeSpooled(ctx context.Context, f *File, body *source) error {
	spool, err := os.CreateTemp("", "livesupport-*")
	if err != nil {
		return storeError(err)
	}
	defer spool.Close()
	// Without a name, the file vanishes if the process is killed.
	removed := os.Remove(spool.Name()) == nil
	if !removed {
		defer os.Remove(spool.Name())
	}
	if err := body.copyTo(spool); err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return storeError(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := &watched{File: spool, stall: time.AfterFunc(storeTimeout, cancel)}
	defer watched.stall.Stop()
	size, err := spool.Stat()
	if err != nil {
		return storeError(err)
	}
	_, err = s.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(s.name), Key: aws.String(s.contentKey(f)), ContentType: aws.String(f.Type),
		Body: watched, ContentLength: aws.Int64(size.Size()),
	}, func(o *s3.Options) { o.RetryMaxAttempts = 2 })
	if err != nil && ctx.Err() != nil {
		err = errors.Join(fmt.Errorf("the store stalled: %w", ctx.Err()), err)
	}
	return storeError(err)
}

// watched is a file that is being sent. If it is no longer read and there is no response, stall
// fires.
type watched struct {
	*os.File
	stall *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	w.stall.Reset(storeTimeout)
	return w.File.Read(p)
}
