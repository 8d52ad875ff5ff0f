package archive

import (
	"context"
	"database/sql"
	"time"
)

// forgottenFor is how long the archive remembers a deletion. A deleted chat must not come
// back, but it may still be live, or wait in the store to be archived.
const forgottenFor = 400 * 24 * time.Hour

// Forget deletes chats, whether they are in the archive or will come later. It can be
// repeated.
func (a *Archive) Forget(ctx context.Context, chatIDs ...string) error {
	err := a.remove(ctx, func(c *conn, tx *sql.Tx) error {
		for _, id := range chatIDs {
			if _, err := tx.ExecContext(ctx, c.sql(`INSERT INTO forgotten_chats (chat_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING`), id, a.now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.cfg.Files != nil { // before the chats, so that a retry finds the files again
		for _, id := range chatIDs {
			if err := a.cfg.Files.Delete(ctx, id); err != nil {
				return err
			}
		}
	}
	return a.remove(ctx, func(c *conn, tx *sql.Tx) error {
		for _, id := range chatIDs {
			if err := c.deleteChats(ctx, tx, "chat_id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetUser deletes the chats that the visitor with the given sub has begun until now, and
// the messages that they have left.
func (a *Archive) ForgetUser(ctx context.Context, sub string) error {
	sub = clean(sub)
	err := a.remove(ctx, func(c *conn, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, c.sql(`DELETE FROM forgotten_users WHERE sub = ?`), sub); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, c.sql(`INSERT INTO forgotten_users (sub, at) VALUES (?, ?)`), sub, a.now()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, c.sql(`DELETE FROM messages WHERE sub = ?`), sub)
		return err
	})
	if err == nil {
		err = a.deleteFiles(ctx, "sub = ?", sub)
	}
	if err != nil {
		return err
	}
	return a.remove(ctx, func(c *conn, tx *sql.Tx) error { return c.deleteChats(ctx, tx, "sub = ?", sub) })
}

// deleteFiles deletes the files of the chats that match a condition.
func (a *Archive) deleteFiles(ctx context.Context, condition string, arg any) error {
	for a.cfg.Files != nil {
		var ids []string
		err := a.use(ctx, func(c *conn) error {
			ids = nil
			return query(ctx, c.read, func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				ids = append(ids, id)
				return err
			}, c.sql(`SELECT chat_id FROM chats WHERE `+condition+` AND files > 0 LIMIT 100`), arg)
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := a.cfg.Files.Delete(ctx, id); err != nil {
				return err
			}
			err := a.use(ctx, func(c *conn) error {
				_, err := c.write.ExecContext(ctx, c.sql(`UPDATE chats SET files = 0 WHERE chat_id = ?`), id)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Archive) now() int64 { return a.cfg.Now().UnixMicro() }

// remove runs a deletion while nothing can be inserted.
func (a *Archive) remove(ctx context.Context, f func(*conn, *sql.Tx) error) error {
	return a.use(ctx, func(c *conn) error {
		return c.change(ctx, func(tx *sql.Tx) error {
			if c.dialect == postgres {
				if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockDeletion); err != nil {
					return err
				}
			}
			return f(c, tx)
		})
	})
}

// deleteChats deletes the chats that match a condition.
func (c *conn) deleteChats(ctx context.Context, tx *sql.Tx, condition string, arg any) error {
	chosen := `(SELECT id FROM chats WHERE ` + condition + `)`
	statements := []string{`DELETE FROM agents WHERE chat IN ` + chosen, `DELETE FROM logs WHERE id IN ` + chosen}
	if c.dialect == sqliteFile {
		statements = append(statements, `DELETE FROM words WHERE rowid IN `+chosen)
	}
	for _, s := range append(statements, `DELETE FROM chats WHERE `+condition) {
		if _, err := tx.ExecContext(ctx, c.sql(s), arg); err != nil {
			return err
		}
	}
	return nil
}

// cleanPiece is how many expired chats are deleted in one transaction.
const cleanPiece = 500

// Clean deletes what is older than the retention, and records of deletions that are no longer
// needed.
func (a *Archive) Clean(ctx context.Context) error {
	for a.cfg.Retention > 0 {
		n, err := a.cleanSome(ctx, firstRow(a.now()-a.cfg.Retention.Microseconds()))
		if err != nil {
			return err
		}
		if n < cleanPiece {
			break
		}
	}
	return a.use(ctx, func(c *conn) error {
		return c.change(ctx, func(tx *sql.Tx) error {
			before := a.now() - forgottenFor.Microseconds()
			for _, table := range []string{"forgotten_chats", "forgotten_users"} {
				if _, err := tx.ExecContext(ctx, c.sql(`DELETE FROM `+table+` WHERE at < ?`), before); err != nil {
					return err
				}
			}
			if a.cfg.Retention == 0 {
				return nil
			}
			_, err := tx.ExecContext(ctx, c.sql(`DELETE FROM messages WHERE at < ?`), a.now()-a.cfg.Retention.Microseconds())
			return err
		})
	})
}

func (a *Archive) cleanSome(ctx context.Context, before int64) (n int, err error) {
	var last sql.NullInt64
	err = a.use(ctx, func(c *conn) error { // without a transaction, because usually there is nothing to delete
		return c.read.QueryRowContext(ctx, c.sql(`SELECT MAX(id), COUNT(*) FROM (SELECT id FROM chats WHERE id < ? ORDER BY id LIMIT ?) AS old`), before, cleanPiece).Scan(&last, &n)
	})
	if err != nil || n == 0 {
		return n, err
	}
	if err := a.deleteFiles(ctx, "id <= ?", last.Int64); err != nil {
		return n, err
	}
	return n, a.remove(ctx, func(c *conn, tx *sql.Tx) error { return c.deleteChats(ctx, tx, "id <= ?", last.Int64) })
}
