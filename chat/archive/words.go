package archive

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"livesupport/chat/log"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// This file splits texts into words. The databases do not, so that both find the same in any
// language. A word is a run of letters, marks and digits, regardless of case and form. In
// scripts without spaces between words, each character and each pair of characters is a word.
// A symbol such as an emoji is a word, too.

// fold makes texts equal that differ only in case and form.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return cases.Fold().String(norm.NFKC.String(s))
		}
	}
	return strings.ToLower(s) // which is the same for ASCII
}

var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// splitWords calls word for each run of a text's characters, and run for each run of a
// script without spaces.
func splitWords(text string, word func(string), run func([]rune)) {
	var spaced strings.Builder
	var dense []rune
	end := func() {
		if spaced.Len() > 0 {
			word(spaced.String())
			spaced.Reset()
		}
		if len(dense) > 0 {
			run(dense)
			dense = nil
		}
	}
	for _, r := range fold(text) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9': // the usual ones first
			if len(dense) > 0 {
				end()
			}
			spaced.WriteByte(byte(r))
		case r < utf8.RuneSelf:
			end()
		case unicode.In(r, unspaced...) || len(dense) > 0 && unicode.IsMark(r):
			if spaced.Len() > 0 {
				end()
			}
			dense = append(dense, r)
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsNumber(r), unicode.IsMark(r) && spaced.Len() > 0:
			if len(dense) > 0 {
				end()
			}
			spaced.WriteRune(r)
		case unicode.Is(unicode.So, r):
			end()
			word(string(r))
		default:
			end()
		}
	}
	end()
}

// maxWord is how many bytes of a word are used, because databases have a limit.
const maxWord = 200

func cut(word string) string {
	if len(word) <= maxWord {
		return word
	}
	word = word[:maxWord]
	return strings.ToValidUTF8(word, "")
}

// maxWords bounds the total size of a chat's words, in bytes, because PostgreSQL's index takes
// at most a megabyte. Words of names and early words come first.
const maxWords = 500_000

// words returns the words of a chat for searches, each once, in order.
func words(entries []string) []string {
	v := newVocabulary()
	return v.words(replay(entries, v.step))
}

// vocabulary collects the words of a chat.
type vocabulary struct {
	found map[string]struct{}
	size  int
}

func newVocabulary() *vocabulary { return &vocabulary{found: map[string]struct{}{}} }

// step adds the name of a support who joins.
func (v *vocabulary) step(now step) {
	if now.event.Kind == log.SupportJoined {
		v.add(now.Support.Name)
	}
}

// words adds what the chat's last state has, and returns all words.
func (v *vocabulary) words(s *log.State) []string {
	v.add(s.Username)
	for i := range s.Messages {
		v.add(s.Messages[i].Content)
		for _, f := range s.Files(&s.Messages[i]) {
			v.add(f.Name)
		}
	}
	for _, n := range s.Notes {
		v.add(n.Content)
		v.add(n.SupportName)
	}
	return slices.Sorted(maps.Keys(v.found))
}

func (v *vocabulary) add(text string) {
	splitWords(text, func(w string) { v.one(cut(w)) }, func(run []rune) {
		for i := range run {
			v.one(string(run[i]))
			if i > 0 {
				v.one(string(run[i-1 : i+1]))
			}
		}
	})
}

func (v *vocabulary) one(word string) {
	if _, known := v.found[word]; !known && v.size+len(word) <= maxWords {
		v.found[word] = struct{}{}
		v.size += len(word)
	}
}

// maxQuery bounds the words of a query.
const maxQuery = 32

// queryWords returns the words of a query, each of which must be a prefix of one of a chat's
// words. none says that the query has text but no words.
func queryWords(query string) (wanted []string, none bool) {
	splitWords(query, func(w string) { wanted = append(wanted, cut(w)) }, func(run []rune) {
		if len(run) == 1 {
			wanted = append(wanted, string(run))
		}
		for i := 1; i < len(run); i++ {
			wanted = append(wanted, string(run[i-1:i+1]))
		}
	})
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	return wanted[:min(len(wanted), maxQuery)], len(wanted) == 0 && strings.TrimSpace(query) != ""
}
