package archive

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"
)

// SetSchemaVersion makes a database one of another version.
func SetSchemaVersion(t *testing.T, url string, version int) {
	t.Helper()
	Execute(t, url, fmt.Sprintf(`INSERT INTO livesupport_schema (version) VALUES (%d)`, version))
}

// Frames and Transcribe are what is made of a log for those who ask.
var (
	Frames     = frames
	Transcribe = transcript
)

// onConn calls f with a connection to a database.
func onConn(t testing.TB, url string, limit time.Duration, f func(context.Context, *conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := parse(url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := f(ctx, c); err != nil {
		t.Fatal(err)
	}
}

// Execute changes a database as its owner can.
func Execute(t testing.TB, url, statement string) {
	t.Helper()
	onConn(t, url, 5*time.Minute, func(ctx context.Context, c *conn) error {
		_, err := c.write.ExecContext(ctx, statement)
		return err
	})
}

// Count returns how many rows some tables have together.
func Count(t testing.TB, url string, tables ...string) (n int) {
	t.Helper()
	onConn(t, url, 10*time.Second, func(ctx context.Context, c *conn) error {
		for _, table := range tables {
			var rows int
			if err := c.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&rows); err != nil {
				return err
			}
			n += rows
		}
		return nil
	})
	return n
}

// Rows returns what is in tables, each row as text, sorted.
func Rows(t *testing.T, url string, tables ...string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range tables {
		all[table] = texts(t, url, map[dialect]string{
			postgres: `SELECT ROW(t.*)::text FROM ` + table + ` t`, sqliteFile: `SELECT * FROM ` + table,
		})
	}
	return all
}

// Schema returns a database's columns and indexes.
func Schema(t *testing.T, url string) []string {
	t.Helper()
	return texts(t, url, map[dialect]string{
		postgres: `SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'`,
		sqliteFile: `SELECT sql FROM sqlite_master`,
	})
}

// texts returns the rows that a statement gives, as text, sorted.
func texts(t *testing.T, url string, statements map[dialect]string) (all []string) {
	t.Helper()
	onConn(t, url, time.Minute, func(ctx context.Context, c *conn) error {
		return query(ctx, c.read, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			err = rows.Scan(into...)
			all = append(all, fmt.Sprintf("%#v", values))
			return err
		}, statements[c.dialect])
	})
	slices.Sort(all)
	return all
}

// Measure counts the messages that are open.
func (a *Archive) Measure(ctx context.Context) error { return a.measure(ctx) }
