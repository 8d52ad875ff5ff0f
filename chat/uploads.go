package chat

import (
	"context"
	"errors"
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

var (
	errNoChat    = wire.NewError(wire.NotFound, "This chat has ended.")
	errNoFile    = wire.NewError(wire.NotFound, "This file is not in this chat. Please upload it again.")
	errFileCount = wire.NewError(wire.BadRequest, `The field "files" must have 1 to 5 files.`)
	errFilesFull = wire.NewError(wire.ChatFull, "This chat cannot take any more files.")
)

// Upload is a file that is being uploaded to a chat. Only one goroutine may use it.
type Upload struct {
	room      *room
	from      log.Role
	supportID string
	reserved  bool
}

// Admit admits an upload by somebody who knows the chat's ids: its user or, with a
// supportID, its support (web/api/README.md, "Files"). If agents need tokens, token returns
// the identity in the request's token. Unless there is an error, the caller must call End.
func (s *Service) Admit(ctx context.Context, chatID, userID, supportID string, token func() (*wire.Identity, error)) (*Upload, error) {
	if s.away(chatID) {
		return nil, errOutage
	}
	r := s.visit(chatID)
	u := &Upload{room: r, from: log.RoleUser, supportID: supportID}
	if supportID != "" {
		u.from = log.RoleSupport
	}
	if err := u.admit(ctx, userID, token); err != nil {
		u.End()
		return nil, err
	}
	return u, nil
}

func (u *Upload) admit(ctx context.Context, userID string, token func() (*wire.Identity, error)) error {
	r := u.room
	err := r.catchUp(ctx)
	gone := errors.Is(err, log.ErrGone)
	if err != nil && !gone {
		return err
	}
	r.mu.Lock()
	user, support, closed := r.state.UserID, r.state.Support, r.closed()
	r.mu.Unlock()
	bySupport := u.from == log.RoleSupport
	known := wire.SameID(userID, user) && (!bySupport || wire.SameID(u.supportID, support.ID))
	if !gone && !known {
		return errStranger
	}
	if bySupport && r.service.cfg.AgentsNeedToken {
		agent, err := token()
		if err != nil {
			return err
		}
		if !gone && agent.Subject != support.Agent {
			return errStranger
		}
	}
	switch {
	case gone:
		return errNoChat
	case closed:
		return errClosed
	}
	return nil
}

// Reserve reserves one of the chat's places for files.
func (u *Upload) Reserve() error {
	r := u.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.state.Uploads)+r.uploading >= r.service.cfg.MaxFiles {
		return errFilesFull
	}
	r.uploading++
	u.reserved = true
	return nil
}

// Add adds the file to the chat, so that messages can have it. After wire.ErrUnavailable the
// file may be in the chat all the same, but nobody knows its id.
func (u *Upload) Add(ctx context.Context, f log.File) error {
	r := u.room
	result := r.append(ctx, time.Now().Add(storeTimeout), &log.Event{
		Kind: log.Uploaded, ID: r.service.eventID(), At: r.service.now(), From: u.from, SupportID: u.supportID,
		Files: &log.Files{f}, Seq: int64(r.service.cfg.MaxFiles),
	}, nil)
	switch {
	case errors.Is(result.err, log.ErrGone):
		return errNoChat
	case result.outcome == log.Full:
		return errFilesFull
	}
	return result.refusal()
}

// End releases the reserved place. A file that was added has its own by now.
func (u *Upload) End() {
	if u.reserved {
		u.room.mu.Lock()
		u.room.uploading--
		u.room.mu.Unlock()
	}
	u.room.service.releaseErrand(u.room)
}

// Discard removes a file that no message has. It reports whether the chat is without the file
// now.
func (s *Service) Discard(ctx context.Context, chatID, fileID string) (bool, error) {
	r := s.visit(chatID)
	defer s.releaseErrand(r)
	err := r.catchUp(ctx)
	if errors.Is(err, log.ErrGone) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	upload, there := r.state.Upload(fileID)
	r.mu.Unlock()
	if !there || upload.Carried {
		return !there, nil
	}
	result := r.append(ctx, time.Now().Add(storeTimeout), &log.Event{
		Kind: log.Discarded, ID: r.service.eventID(), At: r.service.now(), Files: &log.Files{{ID: fileID}},
	}, nil)
	if errors.Is(result.err, log.ErrGone) {
		return true, nil
	}
	if result.outcome == log.Refused { // a message has it already
		return false, nil
	}
	return result.outcome == log.Applied, result.refusal()
}

// Rest returns how long the logs of chats will still exist, 0 for a chat that is gone and that
// nobody waits for any longer.
func (s *Service) Rest(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	rest, err := s.rest(ctx, chatIDs)
	if err != nil || s.cfg.Keeper == nil {
		return rest, err
	}
	for i, id := range chatIDs {
		if rest[i] > 0 {
			continue
		}
		waits, err := s.logs.HasEnded(ctx, id)
		if err != nil {
			return nil, err
		}
		if waits {
			rest[i] = endedAgain
		}
	}
	return rest, nil
}

// endedAgain is when to check again a log that was not archived yet.
const endedAgain = 2 * time.Second

// carried returns files with these ids, each once, nil for none.
func carried(ids []string) *log.Files {
	if len(ids) == 0 {
		return nil
	}
	files := make(log.Files, 0, len(ids))
	for _, id := range ids {
		if !slices.ContainsFunc(files, func(f log.File) bool { return f.ID == id }) {
			files = append(files, log.File{ID: id})
		}
	}
	return &files
}

// visit returns the room of a chat for work without a socket. The caller must call
// releaseErrand.
func (s *Service) visit(chatID string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[chatID]
	if r == nil {
		r = s.newRoom(chatID)
		s.rooms[chatID] = r
	}
	r.errands++
	return r
}

// learns reports whether something is true of the chat. A client may know it from another
// server before this one does, so what is not true yet is asked of the store. is is called
// with mu held.
func (r *room) learns(ctx context.Context, is func() bool) (bool, error) {
	r.mu.Lock()
	known := is()
	r.mu.Unlock()
	if known {
		return true, nil
	}
	if err := r.catchUp(ctx); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return is(), nil
}

// catchUp brings the state up to date with the store, without subscribing to news.
func (r *room) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	select {
	case r.entering <- struct{}{}:
		defer func() { <-r.entering }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.service.db.AwaitTime(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	after, loaded := r.last, r.state.ChatID != ""
	r.mu.Unlock()
	if !loaded {
		return r.load(ctx)
	}
	entries, err := r.fetch(ctx, after)
	if err != nil {
		if errors.Is(err, log.ErrGone) {
			r.expire()
		}
		return err
	}
	r.mu.Lock()
	r.take(after, entries)
	r.mu.Unlock()
	r.flush()
	return nil
}
