package archive

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"livesupport/chat/log"
)

// EarlierChat is an earlier chat of a visitor, with its beginning.
type EarlierChat struct {
	Chat
	// Message is the beginning of the visitor's first message.
	Message string `json:"message,omitempty"`
}

const (
	// maxEarlier is how many of a visitor's chats Earlier returns.
	maxEarlier = 20
	// openingBytes is how much of a log is searched for its first message.
	openingBytes = 64 << 10
	// openingLength is how many characters of that message are returned.
	openingLength = 200
)

// Earlier returns the latest chats of the visitor with the given sub, the latest end first.
// Without a sub it returns none.
func (a *Archive) Earlier(ctx context.Context, sub string) ([]EarlierChat, error) {
	earlier := []EarlierChat{}
	if sub == "" {
		return earlier, nil
	}
	err := a.use(ctx, func(c *conn) (err error) {
		where, args := Filter{Sub: sub}.where("c.id")
		earlier, err = c.earlier(ctx, where, args)
		return err
	})
	return earlier, err
}

// Before returns the latest chats that the visitor of an archived chat had before that chat,
// like Earlier, or ErrNotFound.
func (a *Archive) Before(ctx context.Context, chatID string) ([]EarlierChat, error) {
	earlier := []EarlierChat{}
	err := a.use(ctx, func(c *conn) error {
		var id int64
		var sub sql.NullString
		switch err := c.read.QueryRowContext(ctx, c.sql("SELECT id, sub FROM chats WHERE chat_id = ?"), chatID).Scan(&id, &sub); {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNotFound
		case err != nil || !sub.Valid:
			return err
		}
		var err error
		earlier, err = c.earlier(ctx, "c.sub = ? AND c.id < ?", []any{sub.String, id})
		return err
	})
	return earlier, err
}

func (c *conn) earlier(ctx context.Context, where string, args []any) ([]EarlierChat, error) {
	var chats []Chat
	err := query(ctx, c.read, func(rows *sql.Rows) error {
		one, err := scanChat(rows)
		chats = append(chats, one)
		return err
	}, c.sql("SELECT "+chatColumns+" FROM chats c WHERE "+where+" ORDER BY c.id DESC LIMIT ?"), append(args, maxEarlier)...)
	if err == nil {
		err = c.addAgents(ctx, chats)
	}
	earlier, of, ids := make([]EarlierChat, len(chats)), map[int64]*EarlierChat{}, make([]any, len(chats))
	for i := range chats {
		earlier[i].Chat = chats[i]
		of[chats[i].id], ids[i] = &earlier[i], chats[i].id
	}
	if err != nil || len(chats) == 0 {
		return earlier, err
	}
	return earlier, query(ctx, c.read, func(rows *sql.Rows) error {
		var id int64
		var entries []byte
		if err := rows.Scan(&id, &entries); err != nil {
			return err
		}
		of[id].Message = opening(string(entries))
		return nil
	}, c.sql("SELECT id, substr(entries, 1, ?) FROM logs WHERE id IN "+list(len(ids))), append([]any{openingBytes}, ids...)...)
}

// opening returns the beginning of the visitor's first message with text. It ignores an entry
// that is cut off at the end.
func opening(entries string) string {
	for entry := range strings.SplitSeq(entries, "\n") {
		e := log.Decode([]byte(entry))
		if e.Kind != log.Messaged || e.From == log.RoleSupport || strings.TrimSpace(e.Content) == "" {
			continue
		}
		n := 0
		for at := range e.Content {
			if n++; n > openingLength {
				return e.Content[:at]
			}
		}
		return e.Content
	}
	return ""
}
