package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"livesupport/chat/follow"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

type dialect int

const (
	sqliteFile dialect = iota
	postgres
)

// Keys of PostgreSQL's advisory locks.
const (
	lockSchema   = 0x6c697665_0001
	lockDeletion = 0x6c697665_0002
)

// conn is an open database.
type conn struct {
	dialect dialect
	write   *sql.DB // of SQLite: one connection, because there is only one writer at a time
	read    *sql.DB
	path    string      // of SQLite's file
	file    os.FileInfo // identity of that file
}

// source is a parsed URL.
type source struct {
	dialect  dialect
	path     string
	postgres *pgx.ConnConfig
}

// parse checks a URL: sqlite:path or postgres://….
func parse(text string) (source, error) {
	if path, found := strings.CutPrefix(text, "sqlite:"); found {
		path = strings.TrimPrefix(path, "//")
		if path == "" || strings.HasSuffix(path, "/") || strings.Contains(path, "\x00") {
			return source{}, errURL
		}
		return source{dialect: sqliteFile, path: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.RawQuery == "" {
		return source{}, errURL
	}
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		return source{}, errURL
	}
	cfg.ConnectTimeout = connectTimeout
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "livesupport"
	}
	return source{dialect: postgres, postgres: cfg}, nil
}

var errURL = errors.New("want sqlite:/path/to/file or postgres://user:password@host:5432/database, or off")

// CheckURL returns an error that says what is expected, unless url is the URL of an archive.
func CheckURL(url string) error {
	_, err := parse(url)
	return err
}

const (
	connectTimeout = 3 * time.Second
	// busyTimeout is how long SQLite waits for another process's writing.
	busyTimeout = 2500 * time.Millisecond
	readers     = 4
	maxConns    = 8
)

func (s source) open(ctx context.Context) (*conn, error) {
	c := &conn{dialect: s.dialect, path: s.path}
	if s.dialect == postgres {
		c.write = stdlib.OpenDB(*s.postgres)
		c.write.SetMaxOpenConns(maxConns)
		c.write.SetMaxIdleConns(maxConns)
		c.write.SetConnMaxIdleTime(time.Minute)
		c.read = c.write
		if err := c.write.PingContext(ctx); err != nil {
			return nil, errors.Join(err, c.close())
		}
		return c, nil
	}
	if info, err := os.Stat(filepath.Dir(s.path)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the folder %s does not exist", filepath.Dir(s.path))
	}
	// The file is created here so that only the server's user can read it. An existing file
	// must not be opened: closing it would release SQLite's locks in this process, and other
	// processes would take the file for unused.
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	name := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(s.path) +
		"?_pragma=busy_timeout(" + strconv.Itoa(int(busyTimeout.Milliseconds())) + ")&_pragma=synchronous(FULL)"
	if c.write, err = sql.Open("sqlite", name+"&_pragma=journal_mode(WAL)&_txlock=immediate"); err != nil {
		return nil, err
	}
	if c.read, err = sql.Open("sqlite", name+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, c.write.Close())
	}
	c.write.SetMaxOpenConns(1)
	c.read.SetMaxOpenConns(readers)
	c.read.SetMaxIdleConns(readers)
	if err = c.write.PingContext(ctx); err == nil {
		c.file, err = os.Stat(s.path)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *conn) close() error {
	err := c.write.Close()
	if c.read != c.write {
		err = errors.Join(err, c.read.Close())
	}
	return err
}

// present reports whether the file is still the one that was opened. SQLite would go on
// writing into a deleted file.
func (c *conn) present() bool {
	if c.dialect == postgres {
		return true
	}
	info, err := os.Stat(c.path)
	return err == nil && os.SameFile(info, c.file)
}

// sql converts a statement's parameters, ?, to the form of the database.
func (c *conn) sql(statement string) string {
	if c.dialect != postgres {
		return statement
	}
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(statement, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
		statement = after
	}
}

// change runs f in a transaction.
func (c *conn) change(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := c.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err = c.bound(ctx, tx); err == nil {
		err = f(tx)
	}
	if err != nil {
		_ = tx.Rollback() // err is the error to return
		return err
	}
	return tx.Commit()
}

// bound keeps a process that is cut off from holding its locks for long. It sets the limits
// in each transaction, because a pooler in front of PostgreSQL would refuse them in the
// connection.
func (c *conn) bound(ctx context.Context, tx *sql.Tx) error {
	if c.dialect != postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT set_config('statement_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '10s', true)`)
	return err
}

// refuses reports whether an error is about the data to be written rather than the database,
// so that it would occur again.
func refuses(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23") || pg.Code == "54000"
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
			return true
		}
	}
	return false
}

// refusal returns an error without the data that it was about, which must not be logged.
func refusal(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Errorf("archive: refused with SQLSTATE %s", pg.Code)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return fmt.Errorf("archive: refused with SQLite code %d", lite.Code())
	}
	return err
}

// away marks an error that has nothing to do with the request as follow.ErrAway.
func away(err error) error {
	switch {
	case err == nil, errors.Is(err, follow.ErrAway):
		return err
	case refuses(err):
		return refusal(err)
	}
	return fmt.Errorf("%w: %w", follow.ErrAway, err)
}
