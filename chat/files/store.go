// Package files stores the files that are sent in chats, in a folder or an S3 bucket. It knows
// neither chats nor HTTP: its callers decide who may send what, and which chats live.
//
// All facts about a file are in the store itself, so every server can serve the file and can
// recognise leftovers. Each file has two objects, below folders of two hex digits: its content
// at <chatId>-<fileId>, so that a chat's files are found together, and its description at
// <fileId>. A chat whose files outlive it has an object <chatId>-kept.
//
// gocloud.dev/blob with its S3 client makes a binary 12 MB larger, or 9 MB without symbols.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/go-json-experiment/json"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/s3blob" // s3://
	"gocloud.dev/gcerrors"
)

var (
	// ErrNotFound means that there is no such file.
	ErrNotFound = errors.New("files: not found")
	// ErrTooLarge means that the file is larger than the limit.
	ErrTooLarge = errors.New("files: too large")

	errStore = errors.New("files: the store failed")
)

const (
	// storeTimeout bounds a request to the store without content, and how long a request with
	// content may stall.
	storeTimeout = 3 * time.Second
	// checksums is the parameter of S3 URLs that says which responses are checked.
	checksums = "response_checksum_validation"
	// folderTimeout is the timeout for small files in a folder: a busy disk takes its time, and
	// its work cannot be cancelled.
	folderTimeout = 30 * time.Second
	// maxDescription bounds the size of a description.
	maxDescription = 64 << 10
)

// File is the description of a file.
type File struct {
	ID     string `json:"-"`
	ChatID string `json:"chatId"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int64  `json:"size"` // bytes
}

// Store stores files. It is safe for concurrent use, by any number of processes, and all calls
// can be repeated.
type Store struct {
	bucket *blob.Bucket
	s3     *s3.Client    // nil unless the store is an S3 bucket
	name   string        // of the S3 bucket
	writes time.Duration // timeout for writing small objects
	prefix string
}

// Open opens the store at a URL: file:///folder, which it creates if necessary, or
// s3://bucket?region=…&endpoint=…, with credentials from the environment. The names of all
// objects begin with prefix. The store may be unavailable.
func Open(ctx context.Context, address, prefix string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" {
			return nil, errors.New("want file:/// and the path of a folder")
		}
		bucket, err := fileblob.OpenBucket(u.Path, &fileblob.Options{
			CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
		})
		if err != nil {
			return nil, err
		}
		return New(bucket, prefix), nil
	case "s3":
		query := u.Query()
		if !query.Has(checksums) { // some servers send the checksum of the whole file for a part of it
			query.Set(checksums, "when_required")
			u.RawQuery = query.Encode()
		}
		bucket, err := blob.OpenBucket(ctx, u.String())
		if err != nil {
			return nil, err
		}
		s := New(bucket, prefix)
		if !bucket.As(&s.s3) {
			return nil, errors.New("cannot use the S3 client")
		}
		s.name, s.writes = u.Host, storeTimeout
		return s, nil
	}
	return nil, errors.New("want file:///folder or s3://bucket")
}

// New makes a Store from a bucket. Closing the Store closes the bucket.
func New(bucket *blob.Bucket, prefix string) *Store {
	if prefix != "" {
		prefix += "/"
	}
	return &Store{bucket: bucket, prefix: prefix, writes: folderTimeout}
}

// Close closes the store.
func (s *Store) Close() error { return s.bucket.Close() }

// chatKey returns the name of an object of a chat. Two digits of the random id spread the
// objects over folders, which are never removed.
func (s *Store) chatKey(chatID, rest string) string {
	return s.prefix + chatID[:2] + "/" + chatID + "-" + rest
}
func (s *Store) contentKey(f *File) string           { return s.chatKey(f.ChatID, f.ID) }
func (s *Store) descriptionKey(fileID string) string { return s.prefix + fileID[:2] + "/" + fileID }

const kept = "kept"

// Find returns the description of a file. The id must be valid.
func (s *Store) Find(ctx context.Context, fileID string) (*File, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := s.bucket.NewReader(ctx, s.descriptionKey(fileID), nil)
	if err != nil {
		return nil, storeError(err)
	}
	defer r.Close()
	description, err := io.ReadAll(io.LimitReader(r, maxDescription))
	if err != nil {
		return nil, storeError(err)
	}
	f := &File{ID: fileID}
	if err := json.Unmarshal(description, f); err != nil || len(f.ChatID) < 2 {
		return nil, fmt.Errorf("files: the description of %s is broken", fileID[:8])
	}
	return f, nil
}

// Read opens length bytes of a file from offset. The caller closes the reader. Reading fails
// if the store stalls.
func (s *Store) Read(ctx context.Context, f *File, offset, length int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stall := time.AfterFunc(storeTimeout, cancel)
	r, err := s.bucket.NewRangeReader(ctx, s.contentKey(f), offset, length, nil)
	if err != nil {
		stall.Stop()
		cancel()
		return nil, storeError(err)
	}
	stall.Stop()
	return &content{Reader: r, stall: stall, cancel: cancel}, nil
}

// content is a file that is being read from the store.
type content struct {
	*blob.Reader
	stall  *time.Timer
	cancel context.CancelFunc
}

func (c *content) Read(p []byte) (int, error) {
	c.stall.Reset(storeTimeout)
	defer c.stall.Stop()
	return c.Reader.Read(p)
}

// WriteTo hides the embedded WriteTo, which would bypass Read.
func (c *content) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

func (c *content) Close() error {
	defer c.cancel()
	return c.Reader.Close()
}

// Keep keeps the files that a chat's messages have beyond the chat's end, until Delete, and
// deletes its other files. Call it before the chat's log is deleted; otherwise all files may be
// gone by then.
func (s *Store) Keep(ctx context.Context, chatID string, carried []string) error {
	var others []string
	prefix := s.chatKey(chatID, "")
	err := s.each(ctx, prefix, func(key string) error {
		if name := strings.TrimPrefix(key, prefix); name != kept && !slices.Contains(carried, name) {
			others = append(others, name)
		}
		return nil
	})
	if err == nil && len(carried) > 0 {
		attempt, cancel := context.WithTimeout(ctx, s.writes)
		defer cancel()
		err = storeError(s.bucket.WriteAll(attempt, prefix+kept, []byte(kept), &blob.WriterOptions{ContentType: "text/plain"}))
	}
	return errors.Join(err, s.deleteNames(ctx, chatID, others))
}

// Kept reports whether the files of a chat outlive it.
func (s *Store) Kept(ctx context.Context, chatID string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	is, err := s.bucket.Exists(ctx, s.chatKey(chatID, kept))
	return is, storeError(err)
}

// Delete deletes all files of a chat, kept or not.
func (s *Store) Delete(ctx context.Context, chatID string) error {
	prefix := s.chatKey(chatID, "")
	var names []string
	err := s.each(ctx, prefix, func(key string) error {
		names = append(names, strings.TrimPrefix(key, prefix))
		return nil
	})
	if err != nil {
		return err
	}
	err = s.deleteNames(ctx, chatID, names)
	if err == nil && len(names) > 0 {
		err = s.remove(ctx, prefix+kept) // last, so that a retry finds what is left
	}
	return err
}

// deleteNames deletes objects of a chat, and their descriptions.
func (s *Store) deleteNames(ctx context.Context, chatID string, names []string) error {
	var errs []error
	for _, name := range names {
		if name == kept {
			continue
		}
		// A file that was cut off while it was written has an ending after the file's id.
		if fileID, _, _ := strings.Cut(name, "."); len(fileID) >= 2 {
			errs = append(errs, s.remove(ctx, s.descriptionKey(fileID)))
		}
		errs = append(errs, s.remove(ctx, s.chatKey(chatID, name)))
	}
	return errors.Join(errs...)
}

// DeleteFile deletes a file.
func (s *Store) DeleteFile(ctx context.Context, chatID, fileID string) error {
	return errors.Join(s.remove(ctx, s.descriptionKey(fileID)), s.remove(ctx, s.chatKey(chatID, fileID)))
}

func (s *Store) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := storeError(s.bucket.Delete(ctx, key)); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// each calls f with every key that begins with prefix, until f returns an error.
func (s *Store) each(ctx context.Context, prefix string, f func(key string) error) error {
	objects := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		object, err := objects.Next(attempt)
		cancel()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return storeError(err)
		}
		if err := f(object.Key); err != nil {
			return err
		}
	}
}

func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return ErrNotFound
	}
	return fmt.Errorf("%w: %w", errStore, err)
}
