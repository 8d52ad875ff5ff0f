package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Chat is an archived chat in the form for lists (web/api/README.md, "Archive routes").
type Chat struct {
	ChatID    string      `json:"chatId"`
	UserID    string      `json:"userId"`
	Username  string      `json:"username"`
	Verified  bool        `json:"verified"`
	Sub       *string     `json:"sub"`
	Team      *string     `json:"team"`
	Agents    []ChatAgent `json:"agents"`
	Started   string      `json:"started"`
	Ended     string      `json:"ended"`
	EndedBy   string      `json:"endedBy"`
	Messages  int         `json:"messages"`
	Score     *int        `json:"score"`
	id, ended int64
}

// ChatAgent is an agent who has had a chat. Agent is nil without tokens.
type ChatAgent struct {
	Agent *string `json:"agent"`
	Name  string  `json:"supportUserName"`
}

// Filter selects the chats that match all of its set fields.
type Filter struct {
	Agent, Team string
	Sub         string
	From, To    int64 // From ≤ ended < To, in microseconds since 1970; 0 for no bound

	rare bool // the agent has few chats, see conn.knowing
}

// where returns the filter in SQL, with its parameters. id is the column that orders the rows:
// the chat's, or that of a joined index.
func (f Filter) where(id string) (string, []any) {
	conditions, args := []string{"TRUE"}, []any{}
	add := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		args = append(args, values...)
	}
	if f.From != 0 {
		add(id+" >= ?", firstRow(bounded(f.From)))
	}
	if f.To != 0 {
		add(id+" < ? AND c.ended < ?", firstRow(bounded(f.To)+1), bounded(f.To))
	}
	if f.Team != "" {
		add("c.team = ?", clean(f.Team))
	}
	if f.Sub != "" {
		add("c.sub = ?", clean(f.Sub))
	}
	plus := ""
	if id != "c.id" {
		plus = "+" // keeps SQLite from using the index of words for each row
	}
	switch {
	case f.Agent != "" && f.rare:
		add(plus+"c.id IN (SELECT chat FROM agents WHERE agent = ? UNION ALL SELECT chat FROM agents WHERE agent IS NULL AND name = ?)", clean(f.Agent), clean(f.Agent))
	case f.Agent != "":
		add("EXISTS (SELECT 1 FROM agents a WHERE a.chat = c.id AND (a.agent = ? OR a.agent IS NULL AND a.name = ?))", clean(f.Agent), clean(f.Agent))
	}
	return strings.Join(conditions, " AND "), args
}

// bounded limits a time to those that chats can have.
func bounded(at int64) int64 { return min(max(at, 1), math.MaxInt64/1000-1) }

// ErrCursor is the error of an invalid cursor.
var ErrCursor = badRequest(`The parameter "cursor" must be the "next" of an earlier response.`)

const chatColumns = `c.id, c.chat_id, c.user_id, c.username, c.verified, c.sub, c.team, c.started, c.ended, c.ended_by, c.messages, c.score`

// Search returns up to limit chats, the latest end first, that match a filter and have all
// words of a query, each as the prefix of a word. To continue, pass the next of the previous
// call as cursor; next is empty at the end.
func (a *Archive) Search(ctx context.Context, text string, f Filter, cursor string, limit int) (chats []Chat, next string, err error) {
	wanted, none := queryWords(text)
	before, err := parseCursor(cursor)
	if err != nil || none {
		return []Chat{}, "", err
	}
	err = a.use(ctx, func(c *conn) error {
		if f, err = c.knowing(ctx, f); err != nil {
			return err
		}
		if c.dialect == sqliteFile && len(wanted) > 0 {
			chats, err = c.searchFile(ctx, wanted, f, before, limit+1)
		} else {
			chats, err = c.page(ctx, wanted, f, before, limit+1)
		}
		if err != nil {
			return err
		}
		if len(chats) > limit {
			chats = chats[:limit]
			next = formatCursor(chats[limit-1].id)
		}
		return c.addAgents(ctx, chats)
	})
	return chats, next, err
}

// rareChats is the maximum number of chats of an agent whose chats count as rare.
const rareChats = 5000

// knowing finds out how to search for a filter's chats. PostgreSQL decides that itself. For
// SQLite it decides between going through all chats, the newest first, until a page is full,
// and going through an agent's chats.
func (c *conn) knowing(ctx context.Context, f Filter) (Filter, error) {
	if c.dialect == postgres || f.Agent == "" {
		return f, nil
	}
	n := 0
	err := c.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM agents WHERE agent = ? UNION ALL SELECT 1 FROM agents WHERE agent IS NULL AND name = ? LIMIT ?)`,
		clean(f.Agent), clean(f.Agent), rareChats).Scan(&n)
	f.rare = n < rareChats
	return f, err
}

// page returns up to limit chats after a number, 0 for the first ones.
func (c *conn) page(ctx context.Context, wanted []string, f Filter, before int64, limit int) ([]Chat, error) {
	from, order := "chats c", "c.id"
	if len(wanted) > 0 && c.dialect == sqliteFile {
		// The index returns its rows in this order.
		from, order = "words JOIN chats c ON c.id = words.rowid", "words.rowid"
	}
	where, args := f.where(order)
	if len(wanted) > 0 {
		match, arg := c.match(wanted)
		where += " AND " + match
		args = append(args, arg)
	}
	if before > 0 {
		where += " AND " + order + " < ?"
		args = append(args, before)
	}
	if len(wanted) > 0 && c.dialect == postgres {
		seldom, err := c.seldom(ctx, wanted)
		if err != nil {
			return nil, err
		}
		if seldom {
			order += " + 0" // keeps PostgreSQL from going through all chats in this order
		}
	}
	chats := []Chat{}
	err := query(ctx, c.read, func(rows *sql.Rows) error {
		one, err := scanChat(rows)
		chats = append(chats, one)
		return err
	}, c.sql("SELECT "+chatColumns+" FROM "+from+" WHERE "+where+" ORDER BY "+order+" DESC LIMIT ?"), append(args, limit)...)
	return chats, err
}

// seldomSample is how many of the newest chats show whether words are rare.
const seldomSample = 500

// seldom reports whether none of the newest chats has the words. PostgreSQL has no statistics of
// prefixes: it takes any for one of 0.5 % of the chats, and goes through the chats, the newest
// first, until a page is full. For words of few chats, its index of words is much faster.
func (c *conn) seldom(ctx context.Context, wanted []string) (bool, error) {
	match, arg := c.match(wanted)
	n := 0
	err := c.read.QueryRowContext(ctx, c.sql(`SELECT COUNT(*) FROM (SELECT words FROM chats ORDER BY id DESC LIMIT ?) c WHERE `+match), seldomSample, arg).Scan(&n)
	return n == 0, err
}

// match returns the condition that a chat has words with these prefixes, and its parameter.
// Quoted, the characters of words (splitWords) have no meaning in either query language.
func (c *conn) match(wanted []string) (string, any) {
	terms := make([]string, len(wanted))
	for i, w := range wanted {
		if c.dialect == postgres {
			terms[i] = "'" + w + "':*"
		} else {
			terms[i] = `"` + w + `"*`
		}
	}
	if c.dialect == postgres {
		return "c.words @@ CAST(? AS tsquery)", strings.Join(terms, " & ")
	}
	return "words MATCH ?", strings.Join(terms, " AND ")
}

// scanChat reads a chat from chatColumns, and further columns into more.
func scanChat(rows *sql.Rows, more ...any) (Chat, error) {
	var one Chat
	var sub, team sql.NullString
	var started int64
	var score sql.Null[int]
	into := []any{&one.id, &one.ChatID, &one.UserID, &one.Username, &one.Verified, &sub, &team, &started, &one.ended, &one.EndedBy, &one.Messages, &score}
	err := rows.Scan(append(into, more...)...)
	one.Sub, one.Team = pointer(sub), pointer(team)
	one.Started, one.Ended = Timestamp(started), Timestamp(one.ended)
	one.Agents = []ChatAgent{}
	if score.Valid {
		one.Score = &score.V
	}
	return one, err
}

func pointer(s sql.NullString) *string {
	if !s.Valid {
		return nil
	}
	return &s.String
}

// addAgents fills in the agents of the chats.
func (c *conn) addAgents(ctx context.Context, chats []Chat) error {
	if len(chats) == 0 {
		return nil
	}
	of, ids := map[int64]*Chat{}, make([]any, len(chats))
	for i := range chats {
		of[chats[i].id], ids[i] = &chats[i], chats[i].id
	}
	return query(ctx, c.read, func(rows *sql.Rows) error {
		var id int64
		var agent sql.NullString
		var name string
		if err := rows.Scan(&id, &agent, &name); err != nil {
			return err
		}
		of[id].Agents = append(of[id].Agents, ChatAgent{pointer(agent), name})
		return nil
	}, c.sql(`SELECT chat, agent, name FROM agents WHERE chat IN `+list(len(ids))+` ORDER BY chat, n`), ids...)
}

// ErrNotFound means that the archive does not have the requested entry.
var ErrNotFound = errors.New("archive: not found")

// Whole is a chat with its log, as the frames that a client with all features got.
type Whole struct {
	Chat
	Log jsontext.Value `json:"log"`
}

// Get returns a chat with its log, or ErrNotFound.
func (a *Archive) Get(ctx context.Context, chatID string) (Whole, error) {
	var w Whole
	entries, err := a.entries(ctx, chatID, &w.Chat)
	if err == nil {
		w.Log, err = frames(entries)
	}
	return w, err
}

// Transcript returns a chat as plain text, without notes, or ErrNotFound.
func (a *Archive) Transcript(ctx context.Context, chatID string) (string, error) {
	var c Chat
	entries, err := a.entries(ctx, chatID, &c)
	if err != nil {
		return "", err
	}
	return transcript(entries), nil
}

// Entries returns the entries of a chat's log, or ErrNotFound.
func (a *Archive) Entries(ctx context.Context, chatID string) ([]string, error) {
	var c Chat
	return a.entries(ctx, chatID, &c)
}

func (a *Archive) entries(ctx context.Context, chatID string, chat *Chat) (entries []string, err error) {
	found := false
	err = a.use(ctx, func(c *conn) error {
		one := []Chat{}
		err := query(ctx, c.read, func(rows *sql.Rows) error {
			chat, err := scanChat(rows)
			one = append(one, chat)
			return err
		}, c.sql("SELECT "+chatColumns+" FROM chats c WHERE c.chat_id = ?"), chatID)
		if err != nil || len(one) == 0 {
			return err
		}
		if err := c.addAgents(ctx, one); err != nil {
			return err
		}
		var log []byte
		switch err := c.read.QueryRowContext(ctx, c.sql("SELECT entries FROM logs WHERE id = ?"), one[0].id).Scan(&log); {
		case errors.Is(err, sql.ErrNoRows): // deleted between the two queries
			return nil
		case err != nil:
			return err
		}
		*chat, found = one[0], true
		entries = strings.Split(string(log), "\n")
		return nil
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return entries, err
}

func formatCursor(id int64) string { return strconv.FormatInt(id, 36) }

func parseCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(cursor, 36, 64)
	if err != nil || id <= 0 || formatCursor(id) != cursor {
		return 0, ErrCursor
	}
	return id, nil
}

// recomputePiece is how many chats are recomputed in one transaction.
const recomputePiece = 200

// Recompute computes everything that is derived from the logs again, after a definition has
// changed, and returns the number of chats. The archive can be used meanwhile.
func (a *Archive) Recompute(ctx context.Context) (n int, err error) {
	after := int64(-1)
	for {
		last, some, err := a.recomputeSome(ctx, after)
		n += some
		if err != nil || some == 0 {
			return n, err
		}
		after = last
	}
}

func (a *Archive) recomputeSome(ctx context.Context, after int64) (last int64, n int, err error) {
	err = a.use(ctx, func(c *conn) error {
		return c.change(ctx, func(tx *sql.Tx) error {
			n = 0
			type stored struct {
				id  int64
				log []byte
			}
			var some []stored
			err := query(ctx, tx, func(rows *sql.Rows) error {
				var s stored
				err := rows.Scan(&s.id, &s.log)
				some = append(some, s)
				return err
			}, c.sql(`SELECT id, entries FROM logs WHERE id > ? ORDER BY id LIMIT ?`), after, recomputePiece)
			if err != nil {
				return err
			}
			for _, s := range some {
				if err := c.recompute(ctx, tx, s.id, strings.Split(string(s.log), "\n")); err != nil {
					return fmt.Errorf("chat %d: %w", s.id, err)
				}
				last = s.id
				n++
			}
			return nil
		})
	})
	return last, n, err
}

func (c *conn) recompute(ctx context.Context, tx *sql.Tx, id int64, entries []string) error {
	one := newChat(entries)
	_, err := tx.ExecContext(ctx, c.sql(`UPDATE chats SET (`+summaryColumns+`) = `+list(19)+` WHERE id = ?`), append(one.columns(), id)...)
	if err != nil {
		return err
	}
	if err := c.deleteDerived(ctx, tx, id); err != nil {
		return err
	}
	if err := c.insertAgents(ctx, tx, id, &one); err != nil {
		return err
	}
	return c.setWords(ctx, tx, id, one.words)
}

// deleteDerived deletes what is derived from a chat's log.
func (c *conn) deleteDerived(ctx context.Context, tx *sql.Tx, id int64) error {
	if _, err := tx.ExecContext(ctx, c.sql(`DELETE FROM agents WHERE chat = ?`), id); err != nil {
		return err
	}
	if c.dialect == postgres {
		return nil // a column of the chat
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM words WHERE rowid = ?`, id)
	return err
}
