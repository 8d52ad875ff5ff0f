package wire

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the largest number of characters in a name.
const MaxName = 64

// NameWanted completes the sentence "a name must have …" in a refusal.
const NameWanted = "1 to 64 characters, at least one of them visible and none of them a control character"

// Name returns a person's name as it is shown, and whether it is valid (web/api/README.md,
// "Common rules"). A name must be valid UTF-8 without control characters. Name trims it,
// makes each run of white space one space, and removes invisible characters and those that
// change the direction of text, except for those that scripts and emoji need. The result
// must have 1 to MaxName characters, one of them visible. Name does not change its own
// results.
func Name(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", false
	}
	in := []rune(s)
	out := make([]rune, 0, len(in))
	gap := false // white space follows out
	for i, r := range in {
		switch {
		case isBlank(r):
			gap = true
			continue
		case isInvisible(r) && (gap || !isNeeded(out, in, i)):
			continue
		case gap && len(out) > 0:
			out = append(out, ' ')
		}
		gap = false
		out = append(out, r)
	}
	return string(out), len(out) <= MaxName && slices.ContainsFunc(out, isVisible)
}

// isBlank reports whether r looks like a space, whatever Unicode calls it.
func isBlank(r rune) bool {
	switch r {
	case '\u115F', '\u1160', '\u3164', '\uFFA0', // Hangul fillers
		'\u2800',     // Braille without dots
		'\U0001D159': // a null note head
		return true
	}
	return unicode.IsSpace(r)
}

// isInvisible reports whether r alone shows nothing.
func isInvisible(r rune) bool {
	if unicode.Is(unicode.Cf, r) {
		return !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isVisible reports whether r can be seen without another character before it.
func isVisible(r rune) bool {
	return r != ' ' && !isInvisible(r) && !unicode.In(r, unicode.Mn, unicode.Me)
}

const (
	nonJoiner   = '\u200C'
	joiner      = '\u200D'
	emojiStyle  = '\uFE0F'
	keycap      = '\u20E3'
	blackFlag   = '\U0001F3F4'
	endOfTag    = '\U000E007F'
	maxFlagTags = 6
)

// isNeeded reports whether the invisible in[i] changes how the characters around it are
// shown. before has the characters of in that were kept so far.
func isNeeded(before, in []rune, i int) bool {
	if len(before) == 0 {
		return false
	}
	r, last, rest := in[i], before[len(before)-1], in[i:]
	next := rune(0) // the next visible one; the search is short, so that no name takes long
	for _, n := range rest[:min(len(rest), 8)] {
		if !isInvisible(n) {
			next = n
			break
		}
	}
	switch {
	case r == joiner && isEmoji(next) && (isEmoji(last) || last == emojiStyle):
		return true // woman, joiner, laptop
	case r == joiner || r == nonJoiner:
		if isInvisible(last) {
			return false
		}
		return unicode.Is(viramas, last) || isJoining(baseOf(before)) && isJoining(next)
	case r == '\uFE0E' || r == emojiStyle:
		return isEmoji(last) || strings.ContainsRune("0123456789#*", last) && len(rest) > 1 && rest[1] == keycap
	case '\uFE00' <= r && r <= '\uFE02' || '\U000E0100' <= r && r <= '\U000E01EF':
		return unicode.Is(unicode.Han, last) // a variant of a character in a family name
	case '\u180B' <= r && r <= '\u180F':
		return unicode.Is(unicode.Mongolian, last) && !isInvisible(last)
	case '\U000E0020' <= r && r <= endOfTag:
		return in[i-1] == blackFlag && beginsFlag(rest) || '\U000E0020' <= last && last < endOfTag
	}
	return false
}

// beginsFlag reports whether rest begins with the tags of a flag such as Scotland's.
func beginsFlag(rest []rune) bool {
	end := slices.Index(rest[:min(len(rest), maxFlagTags+1)], endOfTag)
	return end >= 3 && !slices.ContainsFunc(rest[:end], func(r rune) bool {
		letter := r - 0xE0000
		return (letter < 'a' || letter > 'z') && (letter < '0' || letter > '9')
	})
}

// baseOf returns the character that the last marks of s belong to.
func baseOf(s []rune) rune {
	for i := len(s) - 1; i > 0; i-- {
		if !unicode.Is(unicode.Mn, s[i]) {
			return s[i]
		}
	}
	return s[0]
}

// isJoining reports whether r belongs to a script in which a joiner changes the form of
// letters.
func isJoining(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsMark(r)) && unicode.In(r, joiningScripts...)
}

var joiningScripts = []*unicode.RangeTable{
	unicode.Adlam, unicode.Arabic, unicode.Hanifi_Rohingya, unicode.Mandaic, unicode.Manichaean, unicode.Mongolian, unicode.Nko,
	unicode.Phags_Pa, unicode.Psalter_Pahlavi, unicode.Sogdian, unicode.Syriac,
	unicode.Balinese, unicode.Bengali, unicode.Brahmi, unicode.Chakma, unicode.Devanagari, unicode.Grantha, unicode.Gujarati,
	unicode.Gurmukhi, unicode.Javanese, unicode.Kaithi, unicode.Kannada, unicode.Khmer, unicode.Lao, unicode.Malayalam,
	unicode.Meetei_Mayek, unicode.Modi, unicode.Myanmar, unicode.Newa, unicode.Oriya, unicode.Sharada, unicode.Sinhala,
	unicode.Sundanese, unicode.Tai_Tham, unicode.Tamil, unicode.Telugu, unicode.Thai, unicode.Tibetan, unicode.Tirhuta,
}

// viramas end a consonant. A joiner after one chooses the consonant's form, even at the end
// of a word.
var viramas = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x094D, Hi: 0x0D4D, Stride: 0x80}, // Devanagari to Malayalam, each at the same place of its block
	{Lo: 0x0DCA, Hi: 0x0DCA, Stride: 1},    // Sinhala
}}

// isEmoji reports whether r can be part of a sequence of emoji.
func isEmoji(r rune) bool { return unicode.Is(emoji, r) }

// emoji covers the blocks with emoji. Not every character in them is one.
var emoji = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00A9, Hi: 0x00AE, Stride: 5},
		{Lo: 0x203C, Hi: 0x2049, Stride: 13},
		{Lo: 0x2122, Hi: 0x2139, Stride: 23},
		{Lo: 0x2194, Hi: 0x21AA, Stride: 1},
		{Lo: 0x231A, Hi: 0x23FF, Stride: 1},
		{Lo: 0x24C2, Hi: 0x24C2, Stride: 1},
		{Lo: 0x25AA, Hi: 0x27BF, Stride: 1},
		{Lo: 0x2934, Hi: 0x2935, Stride: 1},
		{Lo: 0x2B05, Hi: 0x2B55, Stride: 1},
		{Lo: 0x3030, Hi: 0x303D, Stride: 13},
		{Lo: 0x3297, Hi: 0x3299, Stride: 2},
	},
	R32:         []unicode.Range32{{Lo: 0x1F000, Hi: 0x1FAFF, Stride: 1}},
	LatinOffset: 1,
}
