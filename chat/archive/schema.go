package archive

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// migrations are the steps of the schema, each a list of statements. A released step never
// changes. We run them ourselves instead of using a library, because both databases need the
// same few steps, and the check for a schema that is newer than this binary is ours in any
// case.
//
// A chat's id orders the chats by their end: it is the time of the end in microseconds with
// three more digits, see chat.row.
var migrations = [][]string{{
	`CREATE TABLE chats (
		id BIGINT PRIMARY KEY, chat_id TEXT NOT NULL UNIQUE,
		user_id TEXT NOT NULL, username TEXT NOT NULL, verified BOOLEAN NOT NULL, sub TEXT, team TEXT,
		started BIGINT NOT NULL, ended BIGINT NOT NULL, ended_by TEXT NOT NULL,
		messages INTEGER NOT NULL, score INTEGER,
		wait BIGINT, first_answer BIGINT, duration BIGINT NOT NULL,
		user_messages INTEGER NOT NULL, answers INTEGER NOT NULL, transfers INTEGER NOT NULL,
		missed BOOLEAN NOT NULL, abandoned BOOLEAN NOT NULL
	)`,
	`CREATE INDEX chats_team ON chats (team, id)`,
	`CREATE INDEX chats_sub ON chats (sub, id)`,
	`CREATE TABLE logs (id BIGINT PRIMARY KEY, entries {bytes} NOT NULL)`,
	`CREATE TABLE agents (
		chat BIGINT NOT NULL, n INTEGER NOT NULL, agent TEXT, name TEXT NOT NULL,
		held BIGINT NOT NULL, messages INTEGER NOT NULL,
		PRIMARY KEY (chat, n)
	)`,
	`CREATE INDEX agents_agent ON agents (agent, chat)`,
	`{words}`,
	`CREATE TABLE forgotten_chats (chat_id TEXT PRIMARY KEY, at BIGINT NOT NULL)`,
	`CREATE TABLE forgotten_users (sub TEXT PRIMARY KEY, at BIGINT NOT NULL)`,
	`CREATE TABLE messages (
		id BIGINT PRIMARY KEY, message_id TEXT NOT NULL UNIQUE,
		name TEXT NOT NULL, email TEXT NOT NULL, content {bytes} NOT NULL, team TEXT, details TEXT, sub TEXT,
		at BIGINT NOT NULL, done BOOLEAN NOT NULL
	)`,
	`CREATE INDEX messages_sub ON messages (sub)`,
}, {
	`ALTER TABLE chats ADD COLUMN files INTEGER NOT NULL DEFAULT 0`,
}, {
	`CREATE INDEX messages_done ON messages (done, at)`,
}}

// dialect converts statements to the form of a database. It returns an empty list for a
// statement that the database does not need.
func (d dialect) statement(s string) []string {
	if d == postgres {
		s = strings.NewReplacer("{bytes}", "BYTEA").Replace(s)
		if s == "{words}" {
			return []string{`ALTER TABLE chats ADD COLUMN words TSVECTOR`, `CREATE INDEX chats_words ON chats USING gin (words) WITH (fastupdate = off)`}
		}
		return []string{s}
	}
	if s == "{words}" {
		// Without content and positions: searches only ask which chats have a word.
		return []string{`CREATE VIRTUAL TABLE words USING fts5 (list, content='', contentless_delete=1, detail=none,
			prefix='1 2 3', tokenize="unicode61 remove_diacritics 0 categories 'L* M* N* So Co'")`}
	}
	s = strings.ReplaceAll(s, "id BIGINT PRIMARY KEY", "id INTEGER PRIMARY KEY") // SQLite's row number
	return []string{strings.NewReplacer("{bytes}", "BLOB").Replace(s)}
}

// NewerError means that a later version of Livesupport has used the database.
type NewerError struct{ Schema, Known int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("its schema is of version %d, and this version of Livesupport supports versions up to %d: want the version that was used before, or a later one", e.Schema, e.Known)
}

// migrate brings the schema to the latest version. Any number of processes can do so at the
// same time.
func (c *conn) migrate(ctx context.Context) error {
	return c.change(ctx, func(tx *sql.Tx) error {
		if c.dialect == postgres {
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockSchema); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS livesupport_schema (version INTEGER NOT NULL)`); err != nil {
			return err
		}
		var version int
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM livesupport_schema`).Scan(&version); err != nil {
			return err
		}
		if version > len(migrations) {
			return &NewerError{version, len(migrations)}
		}
		for i, statements := range migrations[version:] {
			for _, s := range statements {
				for _, s := range c.dialect.statement(s) {
					if _, err := tx.ExecContext(ctx, s); err != nil {
						return fmt.Errorf("migration %d: %w", version+i+1, err)
					}
				}
			}
			if _, err := tx.ExecContext(ctx, c.sql(`INSERT INTO livesupport_schema (version) VALUES (?)`), version+i+1); err != nil {
				return err
			}
		}
		return nil
	})
}
