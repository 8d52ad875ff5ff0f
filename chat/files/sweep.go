package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
)

// sweep checks due leases until there are none.
func (s *Service) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		due, err := s.claim(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Log.Debug("cannot check due files", "error", err)
			}
			return
		}
		for _, l := range due {
			// A failed lease is due again after claimTime.
			if err := s.look(ctx, l); err != nil && ctx.Err() == nil {
				s.metrics.failed.Inc()
				s.cfg.Log.Warn("files cannot be deleted now and will be deleted later", "error", err)
				return
			}
		}
		if len(due) < sweepSize {
			return
		}
	}
}

func (s *Service) look(ctx context.Context, l lease) error {
	if l.fileID != "" {
		return s.lookAtFile(ctx, l)
	}
	attempt, cancel := context.WithTimeout(ctx, redisTimeout)
	rest, err := s.cfg.Chats.Rest(attempt, []string{l.chatID})
	cancel()
	if err != nil {
		return err
	}
	if rest[0] > 0 { // according to the current state
		return s.hold(ctx, min(rest[0], s.cfg.CarryTime)+50*time.Millisecond, l)
	}
	if err := s.end(ctx, l.chatID); err != nil {
		return err
	}
	return s.drop(ctx, l)
}

// lookAtFile deletes a file that no message has.
func (s *Service) lookAtFile(ctx context.Context, l lease) error {
	without, err := s.cfg.Chats.Discard(ctx, l.chatID, l.fileID)
	if err != nil {
		return err
	}
	if without {
		is, err := s.cfg.Store.Kept(ctx, l.chatID)
		if err != nil {
			return err
		}
		if !is { // otherwise the chat is gone, and with it the knowledge whether a message has the file
			if err := s.cfg.Store.DeleteFile(ctx, l.chatID, l.fileID); err != nil {
				return err
			}
			s.metrics.deleted.Inc()
		}
	}
	return s.drop(ctx, l)
}

// end deletes the files of a chat that is gone, unless they are kept for the archive.
func (s *Service) end(ctx context.Context, chatID string) error {
	is, err := s.cfg.Store.Kept(ctx, chatID)
	if err != nil || is {
		return err
	}
	var leases []lease
	prefix := s.cfg.Store.chatKey(chatID, "")
	err = s.cfg.Store.each(ctx, prefix, func(key string) error {
		fileID, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), ".")
		leases = append(leases, lease{chatID, fileID})
		return nil
	})
	if err == nil {
		err = s.cfg.Store.Delete(ctx, chatID)
	}
	if err != nil || len(leases) == 0 {
		return err
	}
	s.metrics.deleted.Inc()
	return s.drop(ctx, leases...)
}

// Tidy goes through the whole store and deletes what was written before a time and belongs to
// no live or archived chat. Such files remain after the loss of Redis, or if all servers were
// down for long.
func (s *Service) Tidy(ctx context.Context, before time.Time) error {
	for i := range 256 {
		folder := fmt.Sprintf("%02x/", i)
		err := s.tidyFolder(ctx, folder, before)
		// A folder whose files are deleted meanwhile cannot be listed.
		for try := 1; try < tidyTries && errors.Is(err, ErrNotFound); try++ {
			err = s.tidyFolder(ctx, folder, before)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tidyTries is how often to list a folder whose files are deleted meanwhile.
const tidyTries = 5

func (s *Service) tidyFolder(ctx context.Context, folder string, before time.Time) error {
	prefix := s.cfg.Store.prefix + folder
	objects := s.cfg.Store.bucket.List(&blob.ListOptions{Prefix: prefix})
	chats := map[string]bool{} // chats with files; true if the files are kept
	for {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		object, err := objects.Next(attempt)
		cancel()
		if err == io.EOF {
			return s.endAll(ctx, chats)
		}
		if err != nil {
			return storeError(err)
		}
		name := strings.TrimPrefix(object.Key, prefix)
		chatID, rest, isChats := strings.Cut(name, "-")
		switch {
		case !strings.HasPrefix(name, folder[:2]):
			continue // not from us
		case !isChats:
			if strings.HasSuffix(name, ".tmp") && object.ModTime.Before(before) { // cut off while it was written
				if err := s.cfg.Store.remove(ctx, object.Key); err != nil {
					return err
				}
			}
			continue
		case len(chatID) != 32:
			continue
		case rest == kept:
			chats[chatID] = true
		case object.ModTime.Before(before) && !chats[chatID]:
			chats[chatID] = false
		}
		if len(chats) >= tidySize && !chats[chatID] {
			if err := s.endAll(ctx, chats); err != nil {
				return err
			}
			clear(chats)
		}
	}
}

// tidySize is how many chats are checked at once.
const tidySize = 500

// endAll calls end for those of the chats that are gone.
func (s *Service) endAll(ctx context.Context, chats map[string]bool) error {
	var ids []string
	for id, is := range chats {
		if !is {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	attempt, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	rest, err := s.cfg.Chats.Rest(attempt, ids)
	if err != nil {
		return err
	}
	var errs []error
	for i, id := range ids {
		if rest[i] == 0 {
			errs = append(errs, s.end(ctx, id)) // checks again whether the files are kept
		}
	}
	return errors.Join(errs...)
}
