package archive

import (
	"cmp"
	"context"
	"database/sql"
	"hash/crc32"
	"slices"
	"strings"

	"livesupport/chat/follow"

	"github.com/jackc/pgx/v5/pgtype"
)

// Name implements follow.Receiver.
func (a *Archive) Name() string { return "archive" }

// Take stores each chat once, however often and by whomever it is handed over, unless the chat
// was deleted before.
func (a *Archive) Take(ctx context.Context, logs []follow.Log) error {
	chats := make([]chat, 0, len(logs))
	for _, l := range logs {
		if c := newChat(l.Entries); c.Kept() && c.ChatID == l.ChatID {
			chats = append(chats, c)
		}
	}
	if len(chats) == 0 {
		return nil
	}
	chats = ordered(chats)
	err := a.use(ctx, func(c *conn) error {
		return c.change(ctx, func(tx *sql.Tx) error { return c.insert(ctx, tx, chats) })
	})
	if err != nil {
		return err
	}
	return a.keepFiles(ctx, slices.DeleteFunc(chats, func(c chat) bool { return len(c.Files) == 0 }))
}

// keepFiles keeps the files of chats that were just stored. If it fails, the chats are handed
// over again. A concurrent deletion of a chat is recorded before its files are deleted, so
// keepFiles can delete what it has kept in the meantime.
func (a *Archive) keepFiles(ctx context.Context, chats []chat) error {
	if a.cfg.Files == nil || len(chats) == 0 {
		return nil
	}
	gone, err := a.forgotten(ctx, chats)
	if err != nil {
		return err
	}
	for i := range chats {
		if gone[chats[i].ChatID] {
			continue
		}
		if err := a.cfg.Files.Keep(ctx, chats[i].ChatID, chats[i].Files); err != nil {
			return err
		}
	}
	since, err := a.forgotten(ctx, chats)
	if err != nil {
		return err
	}
	for id := range since {
		if !gone[id] {
			if err := a.cfg.Files.Delete(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Archive) forgotten(ctx context.Context, chats []chat) (gone map[string]bool, err error) {
	err = a.use(ctx, func(c *conn) error {
		gone, err = c.forgotten(ctx, c.read, chats)
		return err
	})
	return gone, err
}

// chat is a chat to store.
type chat struct {
	Summary
	entries, words []string
	// row is the chat's number, which is higher for a later end. Chats that end in the same
	// microsecond, which is rare, seldom have the same number.
	row int64
}

func newChat(entries []string) chat {
	sum, words := digest(entries)
	return chat{sum, entries, words, sum.Ended*1000 + int64(crc32.ChecksumIEEE([]byte(sum.ChatID))%1000)}
}

// ordered returns each chat once, in the order of their numbers. SQLite's index of words would
// write a segment whenever a number is lower than the one before, and two processes that store
// the same chats must not wait for each other.
func ordered(chats []chat) []chat {
	slices.SortFunc(chats, func(x, y chat) int {
		return cmp.Or(cmp.Compare(x.row, y.row), cmp.Compare(x.ChatID, y.ChatID))
	})
	return slices.CompactFunc(chats, func(x, y chat) bool { return x.ChatID == y.ChatID })
}

// firstRow returns the lowest number of a chat that ended at a time.
func firstRow(at int64) int64 { return at * 1000 }

func (c *conn) insert(ctx context.Context, tx *sql.Tx, chats []chat) error {
	if c.dialect == postgres { // no deletion between the check and the end of the transaction
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, lockDeletion); err != nil {
			return err
		}
	}
	forgotten, err := c.forgotten(ctx, tx, chats)
	if err != nil {
		return err
	}
	chats = slices.DeleteFunc(slices.Clone(chats), func(one chat) bool { return forgotten[one.ChatID] })
	if c.dialect == postgres {
		return c.insertAll(ctx, tx, chats)
	}
	for i := range chats {
		if err := c.insertOne(ctx, tx, &chats[i]); err != nil {
			return err
		}
	}
	return nil
}

// forgotten returns those of the chats that were deleted before they came.
func (c *conn) forgotten(ctx context.Context, q querier, chats []chat) (map[string]bool, error) {
	names, subs := make([]any, 0, len(chats)), []any{}
	for i := range chats {
		names = append(names, chats[i].ChatID)
		if chats[i].Sub != "" {
			subs = append(subs, clean(chats[i].Sub))
		}
	}
	gone, err := ids(ctx, q, c.sql(`SELECT chat_id FROM forgotten_chats WHERE chat_id IN `+list(len(names))), names...)
	if err != nil || len(subs) == 0 {
		return gone, err
	}
	users := map[string]int64{}
	err = query(ctx, q, func(rows *sql.Rows) error {
		var sub string
		var at int64
		err := rows.Scan(&sub, &at)
		users[sub] = at
		return err
	}, c.sql(`SELECT sub, at FROM forgotten_users WHERE sub IN `+list(len(subs))), subs...)
	for i := range chats {
		if at, found := users[clean(chats[i].Sub)]; found && chats[i].Sub != "" && chats[i].Started <= at {
			gone[chats[i].ChatID] = true
		}
	}
	return gone, err
}

// insertOne stores a chat in SQLite, unless it is there.
func (c *conn) insertOne(ctx context.Context, tx *sql.Tx, one *chat) error {
	for row := one.row; ; row++ {
		result, err := tx.ExecContext(ctx, `INSERT INTO chats (id, chat_id, `+summaryColumns+`) VALUES `+list(21)+` ON CONFLICT DO NOTHING`,
			append([]any{row, one.ChatID}, one.columns()...)...)
		if err != nil {
			return err
		}
		switch n, err := result.RowsAffected(); {
		case err != nil:
			return err
		case n == 1:
			if _, err := tx.ExecContext(ctx, `INSERT INTO logs (id, entries) VALUES (?, ?)`, row, one.log()); err != nil {
				return err
			}
			if err := c.setWords(ctx, tx, row, one.words); err != nil {
				return err
			}
			return c.insertAgents(ctx, tx, row, one)
		}
		var known int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM chats WHERE chat_id = ?`, one.ChatID).Scan(&known)
		if err != nil || known > 0 {
			return err
		}
	}
}

// log returns the chat's entries in the form for the database.
func (c *chat) log() []byte { return []byte(strings.Join(c.entries, "\n")) }

// summaryColumns are the columns of a summary.
const summaryColumns = `user_id, username, verified, sub, team, started, ended, ended_by,
	messages, score, wait, first_answer, duration, user_messages, answers, transfers, missed, abandoned, files`

// columns returns the values of the summary, in the order of summaryColumns.
func (s *Summary) columns() []any {
	return []any{
		clean(s.UserID), clean(s.Username), s.Verified, null(s.Sub), null(s.Team), s.Started, s.Ended, s.EndedBy,
		s.Messages, sql.Null[int]{V: s.Score, Valid: s.Score > 0}, span(s.Wait), span(s.FirstAnswer), s.Duration,
		s.UserMessages, s.Answers, s.Transfers, s.Missed, s.Abandoned, len(s.Files),
	}
}

// insertAgents stores the agents of a chat.
func (c *conn) insertAgents(ctx context.Context, tx *sql.Tx, row int64, one *chat) error {
	n := 0
	for some := range slices.Chunk(one.Agents, 1000) { // a statement can have a limited number of parameters
		var args []any
		for _, agent := range some {
			args = append(args, row, n, null(agent.Agent), clean(agent.Name), agent.Held, agent.Messages)
			n++
		}
		values := strings.TrimSuffix(strings.Repeat(list(6)+", ", len(some)), ", ")
		if _, err := tx.ExecContext(ctx, c.sql(`INSERT INTO agents (chat, n, agent, name, held, messages) VALUES `+values), args...); err != nil {
			return err
		}
	}
	return nil
}

// setWords stores the words of a chat for searches.
func (c *conn) setWords(ctx context.Context, tx *sql.Tx, row int64, words []string) (err error) {
	if c.dialect == postgres {
		_, err = tx.ExecContext(ctx, `UPDATE chats SET words = array_to_tsvector($1) WHERE id = $2`, pgtype.FlatArray[string](words), row)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO words (rowid, list) VALUES (?, ?)`, row, strings.Join(words, " "))
	}
	return err
}

// clean returns a text that every database accepts.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

func null(s string) sql.NullString {
	s = clean(s)
	return sql.NullString{String: s, Valid: s != ""}
}

func span(us int64) sql.NullInt64 { return sql.NullInt64{Int64: us, Valid: us >= 0} }

// list returns (?, ?, …) with n parameters.
func list(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")" }

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query calls scan for every row.
func query(ctx context.Context, q querier, scan func(*sql.Rows) error, statement string, args ...any) error {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ids returns the chats whose ids a statement returns.
func ids(ctx context.Context, q querier, statement string, args ...any) (map[string]bool, error) {
	found := map[string]bool{}
	err := query(ctx, q, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		found[id] = true
		return err
	}, statement, args...)
	return found, err
}
