package archive

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// insertAll stores chats in PostgreSQL, unless they are there. One statement takes all of them,
// because the server may be far away, and because each statement has its own cost.
func (c *conn) insertAll(ctx context.Context, tx *sql.Tx, chats []chat) error {
	for len(chats) > 0 {
		known, err := ids(ctx, tx, c.sql(insertAllStatement), append(chatColumnsOf(chats), agentColumnsOf(chats)...)...)
		if err != nil {
			return err
		}
		if chats = others(chats, known); len(chats) == 0 {
			return nil
		}
		if known, err = ids(ctx, tx, `SELECT chat_id FROM chats WHERE chat_id = ANY ($1)`, each(chats, func(c *chat) string { return c.ChatID })); err != nil {
			return err
		}
		chats = others(chats, known)
		for i := range chats {
			chats[i].row++ // another chat has this number
		}
	}
	return nil
}

// insertAllStatement stores the chats of arrays with their agents, and returns which of them are
// new.
const insertAllStatement = `WITH given AS (
		SELECT * FROM unnest(CAST(? AS BIGINT[]), CAST(? AS TEXT[]),
			CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS BOOLEAN[]), CAST(? AS TEXT[]), CAST(? AS TEXT[]),
			CAST(? AS BIGINT[]), CAST(? AS BIGINT[]), CAST(? AS TEXT[]), CAST(? AS INTEGER[]), CAST(? AS INTEGER[]),
			CAST(? AS BIGINT[]), CAST(? AS BIGINT[]), CAST(? AS BIGINT[]), CAST(? AS INTEGER[]), CAST(? AS INTEGER[]),
			CAST(? AS INTEGER[]), CAST(? AS BOOLEAN[]), CAST(? AS BOOLEAN[]), CAST(? AS INTEGER[]),
			CAST(? AS TEXT[]), CAST(? AS BYTEA[]))
		AS given (id, chat_id, ` + summaryColumns + `, words, entries)
	), stored AS (
		INSERT INTO chats (id, chat_id, ` + summaryColumns + `, words)
		SELECT id, chat_id, ` + summaryColumns + `, array_to_tsvector(string_to_array(words, ' ')) FROM given
		ON CONFLICT DO NOTHING RETURNING id, chat_id
	), logs AS (
		INSERT INTO logs (id, entries) SELECT stored.id, entries FROM stored JOIN given USING (chat_id)
	), agents AS (
		INSERT INTO agents (chat, n, agent, name, held, messages)
		SELECT stored.id, n, agent, name, held, messages FROM stored JOIN unnest(CAST(? AS TEXT[]), CAST(? AS INTEGER[]),
			CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS BIGINT[]), CAST(? AS INTEGER[]))
		AS had (chat_id, n, agent, name, held, messages) USING (chat_id)
	) SELECT chat_id FROM stored`

// chatColumnsOf returns the columns of chats as arrays, in the order of insertAllStatement.
func chatColumnsOf(chats []chat) []any {
	return []any{
		each(chats, func(c *chat) int64 { return c.row }),
		each(chats, func(c *chat) string { return c.ChatID }),
		each(chats, func(c *chat) string { return clean(c.UserID) }),
		each(chats, func(c *chat) string { return clean(c.Username) }),
		each(chats, func(c *chat) bool { return c.Verified }),
		each(chats, func(c *chat) *string { return pointer(null(c.Sub)) }),
		each(chats, func(c *chat) *string { return pointer(null(c.Team)) }),
		each(chats, func(c *chat) int64 { return c.Started }),
		each(chats, func(c *chat) int64 { return c.Ended }),
		each(chats, func(c *chat) string { return c.EndedBy }),
		each(chats, func(c *chat) int64 { return int64(c.Messages) }),
		each(chats, func(c *chat) *int64 { return unless(int64(c.Score), c.Score == 0) }),
		each(chats, func(c *chat) *int64 { return unless(c.Wait, c.Wait < 0) }),
		each(chats, func(c *chat) *int64 { return unless(c.FirstAnswer, c.FirstAnswer < 0) }),
		each(chats, func(c *chat) int64 { return c.Duration }),
		each(chats, func(c *chat) int64 { return int64(c.UserMessages) }),
		each(chats, func(c *chat) int64 { return int64(c.Answers) }),
		each(chats, func(c *chat) int64 { return int64(c.Transfers) }),
		each(chats, func(c *chat) bool { return c.Missed }),
		each(chats, func(c *chat) bool { return c.Abandoned }),
		each(chats, func(c *chat) int64 { return int64(len(c.Files)) }),
		each(chats, func(c *chat) string { return strings.Join(c.words, " ") }),
		each(chats, (*chat).log),
	}
}

// agentColumnsOf returns the columns of the chats' agents as arrays, in the order of
// insertAllStatement.
func agentColumnsOf(chats []chat) []any {
	var chatIDs, names []string
	var subs []*string
	var n, held, messages []int64
	for i := range chats {
		for j, agent := range chats[i].Agents {
			chatIDs, n = append(chatIDs, chats[i].ChatID), append(n, int64(j))
			subs, names = append(subs, pointer(null(agent.Agent))), append(names, clean(agent.Name))
			held, messages = append(held, agent.Held), append(messages, int64(agent.Messages))
		}
	}
	return []any{chatIDs, n, subs, names, held, messages}
}

// each returns a value of each chat.
func each[T any](chats []chat, value func(*chat) T) []T {
	all := make([]T, len(chats))
	for i := range chats {
		all[i] = value(&chats[i])
	}
	return all
}

func unless(v int64, none bool) *int64 {
	if none {
		return nil
	}
	return &v
}

// others returns the chats that are not among those with the given ids.
func others(chats []chat, ids map[string]bool) []chat {
	return slices.DeleteFunc(chats, func(c chat) bool { return ids[c.ChatID] })
}
