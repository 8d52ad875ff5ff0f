package archive

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// For prefixes of up to three characters, SQLite's index can list chats one by one, the newest
// first, as it does for words. For a longer prefix it first collects all chats of all words
// with that prefix, which is fast for few chats but takes seconds for a million. So a search
// checks the newest chats with the first three characters itself. That soon shows which of the
// wanted words most of these chats have; only the rarer words are worth collecting.
//
// The chats of an agent who has had few are checked without the index, which would list the chats
// of all agents.
const (
	indexedPrefix = 3 // see migrations
	maxCandidates = 400
	// A word is rare unless one in wantedRate of the sampled candidates has it.
	sampled, wantedRate = 50, 8
	maxCandidate        = 64 << 10 // maximum bytes of a log to check; longer ones are rare
)

// searchFile is page for words in SQLite.
func (c *conn) searchFile(ctx context.Context, wanted []string, f Filter, before int64, limit int) ([]Chat, error) {
	terms := make([]string, len(wanted))
	for i, w := range wanted {
		terms[i] = w
		if runes := []rune(w); len(runes) > indexedPrefix {
			terms[i] = string(runes[:indexedPrefix])
		}
	}
	chats := []Chat{}
	for f.rare || !slices.Equal(terms, wanted) {
		l, err := c.candidates(ctx, terms, wanted, f, before, limit-len(chats))
		if err != nil {
			return nil, err
		}
		if chats = append(chats, l.chats...); len(chats) == limit || l.next == 0 {
			return chats, nil
		}
		before = l.next
		if !f.rare {
			l.narrow(terms, wanted)
		} else if l.long || len(l.chats)*wantedRate < l.seen {
			break
		}
	}
	rest, err := c.page(ctx, wanted, f, before, limit-len(chats))
	return append(chats, rest...), err
}

// looked is the result of checking candidates.
type looked struct {
	chats []Chat
	next  int64 // the number after which there may be more; 0 if there are none
	seen  int
	have  []int // how many candidates have each wanted word
	long  bool  // the next candidate is too long to check
}

// narrow makes the index collect the words that are rare among the candidates. If few
// candidates had all words, that includes the rarest one in any case.
func (l *looked) narrow(terms, wanted []string) {
	if l.long {
		copy(terms, wanted)
		return
	}
	rarest := -1
	for i := range wanted {
		if terms[i] == wanted[i] {
			continue
		}
		if rarest < 0 || l.have[i] < l.have[rarest] {
			rarest = i
		}
		if l.have[i]*wantedRate < l.seen {
			terms[i] = wanted[i]
		}
	}
	if len(l.chats)*wantedRate < l.seen {
		terms[rarest] = wanted[rarest]
	}
}

// candidates checks chats that match the terms, or those of a rare agent, and returns up to limit
// chats with the wanted words.
func (c *conn) candidates(ctx context.Context, terms, wanted []string, f Filter, before int64, limit int) (looked, error) {
	l := looked{have: make([]int, len(wanted))}
	from, order := "words JOIN chats c ON c.id = words.rowid", "words.rowid"
	if f.rare {
		from, order = "chats c", "c.id"
	}
	where, args := f.where(order)
	if !f.rare {
		match, arg := c.match(terms)
		where, args = where+" AND "+match, append(args, arg)
	}
	if before > 0 {
		where, args = where+" AND "+order+" < ?", append(args, before)
	}
	rows, err := c.read.QueryContext(ctx, "SELECT "+chatColumns+`, CASE WHEN LENGTH(l.entries) <= ? THEN l.entries END
		FROM `+from+" JOIN logs l ON l.id = "+order+" WHERE "+where+" ORDER BY "+order+" DESC LIMIT ?", append(append([]any{maxCandidate}, args...), maxCandidates)...)
	if err != nil {
		return l, err
	}
	defer rows.Close()
	for rows.Next() {
		var log sql.RawBytes
		one, err := scanChat(rows, &log)
		if err != nil {
			return l, err
		}
		if log == nil { // too long: collecting all words finds it
			l.next, l.long = one.id+1, true
			return l, nil
		}
		if l.look(words(strings.Split(string(log), "\n")), wanted) {
			l.chats = append(l.chats, one)
		}
		if len(l.chats) == limit || l.seen == maxCandidates || !f.rare && l.seen >= sampled && len(l.chats)*wantedRate < l.seen {
			l.next = one.id
			return l, nil
		}
	}
	return l, rows.Err()
}

// look counts a candidate, and reports whether each of the wanted words is a prefix of one of
// its sorted words.
func (l *looked) look(words, wanted []string) bool {
	all := true
	l.seen++
	for n, w := range wanted {
		i, _ := slices.BinarySearch(words, w)
		if i < len(words) && strings.HasPrefix(words[i], w) {
			l.have[n]++
		} else {
			all = false
		}
	}
	return all
}
