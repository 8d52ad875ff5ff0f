package archive

import (
	"context"
	"database/sql"
	"hash/crc32"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
)

// Message is a left message (web/api/README.md, "Left messages").
type Message struct {
	MessageID string         `json:"messageId"`
	Name      string         `json:"name"`
	Email     string         `json:"email"`
	Content   string         `json:"content"`
	Team      *string        `json:"team"`
	Details   jsontext.Value `json:"details"` // an object, or null
	Timestamp string         `json:"timestamp"`
	Done      bool           `json:"done"`

	Sub string `json:"-"` // the sub of the visitor's token, "" without one
	id  int64
}

// maxAhead is how far, in microseconds, a server's clock may be ahead for others to follow it.
const maxAhead = 10_000_000

// Leave stores a message.
func (a *Archive) Leave(ctx context.Context, m Message) error {
	at := a.now()
	if a.cfg.Left == nil {
		return a.leave(ctx, m, at)
	}
	shown := m
	if shown.Timestamp = Timestamp(at); len(m.Details) == 0 {
		shown.Details = jsontext.Value("null")
	}
	message, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	return a.cfg.Left(ctx, m.MessageID, message, func(ctx context.Context) error { return a.leave(ctx, m, at) })
}

func (a *Archive) leave(ctx context.Context, m Message, at int64) error {
	return a.use(ctx, func(c *conn) error {
		return c.change(ctx, func(tx *sql.Tx) error {
			// After the latest one, whose server's clock may be a little ahead.
			row := at
			var latest int64
			if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM messages`).Scan(&latest); err != nil {
				return err
			}
			if latest /= 1000; latest >= at && latest < at+maxAhead {
				row = latest + 1
			}
			team := ""
			if m.Team != nil {
				team = *m.Team
			}
			for row := row*1000 + int64(crc32.ChecksumIEEE([]byte(m.MessageID))%1000); ; row++ {
				result, err := tx.ExecContext(ctx, c.sql(`INSERT INTO messages (id, message_id, name, email, content, team, details, sub, at, done)
					VALUES `+list(10)+` ON CONFLICT DO NOTHING`),
					row, m.MessageID, clean(m.Name), clean(m.Email), []byte(m.Content), null(team), null(string(m.Details)), null(m.Sub), at, false)
				if err != nil {
					return err
				}
				if n, err := result.RowsAffected(); err != nil || n == 1 {
					return err
				}
			}
		})
	})
}

// MessageFilter selects the messages that match all of its set fields.
type MessageFilter struct {
	Done *bool
	Team string
}

// Messages returns up to limit messages, newest first. For cursor and next see Search.
func (a *Archive) Messages(ctx context.Context, filter MessageFilter, cursor string, limit int) (messages []Message, next string, err error) {
	before, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	where, args := "TRUE", []any{}
	if before > 0 {
		where, args = where+" AND id < ?", append(args, before)
	}
	if filter.Done != nil {
		where, args = where+" AND done = ?", append(args, *filter.Done)
	}
	if filter.Team != "" {
		where, args = where+" AND team = ?", append(args, filter.Team)
	}
	err = a.use(ctx, func(c *conn) error {
		messages = []Message{}
		return query(ctx, c.read, func(rows *sql.Rows) error {
			var m Message
			var content []byte
			var team, details sql.NullString
			var at int64
			err := rows.Scan(&m.id, &m.MessageID, &m.Name, &m.Email, &content, &team, &details, &at, &m.Done)
			m.Content, m.Team, m.Timestamp = string(content), pointer(team), Timestamp(at)
			m.Details = jsontext.Value("null")
			if details.Valid {
				m.Details = jsontext.Value(details.String)
			}
			messages = append(messages, m)
			return err
		}, c.sql(`SELECT id, message_id, name, email, content, team, details, at, done FROM messages WHERE `+where+` ORDER BY id DESC LIMIT ?`), append(args, limit+1)...)
	})
	if len(messages) > limit {
		messages = messages[:limit]
		next = formatCursor(messages[limit-1].id)
	}
	return messages, next, err
}

// Done marks a message as done, or returns ErrNotFound.
func (a *Archive) Done(ctx context.Context, messageID string) error {
	return a.use(ctx, func(c *conn) error {
		result, err := c.write.ExecContext(ctx, c.sql(`UPDATE messages SET done = ? WHERE message_id = ?`), true, messageID)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			return ErrNotFound
		}
		return err
	})
}

// messageMetrics are the metrics of open messages.
type messageMetrics struct{ open, oldest prometheus.Gauge }

func newMessageMetrics() messageMetrics {
	return messageMetrics{
		open:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "livesupport_left_messages_open", Help: "Left messages that are not marked as done."}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{Name: "livesupport_left_messages_oldest_seconds", Help: "How long the oldest of them has waited."}),
	}
}

// Metrics returns the metrics of left messages. They are the same in every process, and up to
// cleanEvery old.
func (a *Archive) Metrics() []prometheus.Collector {
	return []prometheus.Collector{a.metrics.open, a.metrics.oldest}
}

// measure counts the open messages.
func (a *Archive) measure(ctx context.Context) error {
	return a.use(ctx, func(c *conn) error {
		var open, oldest int64
		row := c.read.QueryRowContext(ctx, c.sql(`SELECT COUNT(*), COALESCE(MIN(at), 0) FROM messages WHERE done = ?`), false)
		if err := row.Scan(&open, &oldest); err != nil {
			return err
		}
		age := 0.0
		if open > 0 {
			age = max(0, float64(a.now()-oldest)/1e6)
		}
		a.metrics.open.Set(float64(open))
		a.metrics.oldest.Set(age)
		return nil
	})
}
