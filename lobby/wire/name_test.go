package wire

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// names are names as they come, and as they are shown; refused if that is empty.
var names = []struct{ why, name, want string }{
	{"plain", "Nika", "Nika"},
	{"spaces around", " \tAna María\n", "Ana María"},
	{"as long as may be", strings.Repeat("ä", 64), strings.Repeat("ä", 64)},
	{"too long", strings.Repeat("ä", 65), ""},
	{"not too long without what goes", strings.Repeat(" ", 100) + strings.Repeat("ä\u200b", 64) + "\u2003", strings.Repeat("ä", 64)},
	{"empty", "", ""},
	{"spaces", " \u2003 ", ""},
	{"control character", "a\x00b", ""},
	{"control character", "a\u0085b", ""},
	{"control character", "a\x7fb", ""},
	{"tab inside", "a\tb", ""},
	{"no UTF-8", "\xff", ""},
	{"slash", "a/b", "a/b"},

	{"a run of wide spaces", "Nika" + strings.Repeat("\u2003", 40) + "✓ Verified", "Nika ✓ Verified"},
	{"line separator", "Nika\u2028✓ Verified", "Nika ✓ Verified"},
	{"paragraph separator, no-break and ideographic spaces", "a\u2029b\u00a0c\u3000d\u1680e\u202f\u205ff", "a b c d e f"},
	{"what looks like spaces", "a\u2800\u2800b\u3164c\uffa0d\u115f\u1160e", "a b c d e"},
	{"invisible between spaces", "a \u200b \u2060 b", "a b"},
	{"joiner beside a space", "علی \u200c\u200cرضا", "علی رضا"},

	{"zero-width alone", "\u200b\u200b", ""},
	{"braille blank alone", "\u2800", ""},
	{"hangul filler alone", "\u3164", ""},
	{"all kinds of nothing", "\u115f\u1160\uffa0\u2060\ufeff\u00ad\u034f\u180e\u17b4\ufe0f\u200d\U000e0020\u2063\U0001d159", ""},
	{"marks on nothing", "\u0301\u20dd", ""},

	{"zero-width inside", "Ni\u200bka", "Nika"},
	{"soft hyphen, word joiner, byte order mark, invisible plus", "N\u00adi\u2060k\ufeffa\u2064", "Nika"},
	{"joiners among Latin letters", "Ni\u200dk\u200ca", "Nika"},
	{"joiners among letters of another alphabet", "Ве\u200dра\u200c", "Вера"},
	{"right-to-left override", "\u202eakiN", "akiN"},
	{"embeddings, isolates and marks", "\u202aa\u202b\u202c\u2066b\u2067\u2068\u2069c\u200e\u200f\u061c\u206ad", "abcd"},
	{"combining grapheme joiner", "a\u034fb", "ab"},
	{"variation selectors without what they vary", "N\ufe0fi\ufe00k\U000e0100a1\ufe0f", "Nika1"},
	{"text hidden in tags", "Nika\U000e0041\U000e0042\U000e007f", "Nika"},
	{"text hidden in a flag's tags", "🏴" + strings.Repeat("\U000e0061", 30) + "\U000e007f", "🏴"},
	{"annotation", "\ufff9a\ufffab\ufffb", "ab"},

	{"Persian", "علی\u200cرضا", "علی\u200cرضا"},
	{"Persian, more than is needed", "علی\u200c\u200c\u200d\u200bرضا", "علی\u200cرضا"},
	{"Persian, on a vowel mark", "عَ\u200cرضا", "عَ\u200cرضا"},
	{"Arabic at the ends", "\u200cعلی\u200d", "علی"},
	{"Hindi", "क्\u200dष", "क्\u200dष"},
	{"Hindi, not joined", "क्\u200cष", "क्\u200cष"},
	{"Malayalam at the end of a word", "അനില്\u200d കുമാര്\u200d", "അനില്\u200d കുമാര്\u200d"},
	{"Sinhala", "ශ්\u200dරී", "ශ්\u200dරී"},
	{"Bengali", "র\u200d্য", "র\u200d্য"},
	{"Mongolian", "ᠠ\u180bᠨ\u180eᠠ", "ᠠ\u180bᠨ\u180eᠠ"},
	{"Japanese variant", "葛\U000e0100飾", "葛\U000e0100飾"},
	{"Japanese variant, one is enough", "葛\U000e0100\U000e0101飾", "葛\U000e0100飾"},
	{"Hebrew with points", "שָׁלוֹם", "שָׁלוֹם"},
	{"Thai", "สมชาย", "สมชาย"},
	{"Vietnamese, decomposed", "Nguye\u0302\u0303n", "Nguye\u0302\u0303n"},
	{"number sign of Arabic", "\u0600١", "\u0600١"},

	{"emoji of two", "👩\u200d💻", "👩\u200d💻"},
	{"family", "👨\u200d👩\u200d👧\u200d👦", "👨\u200d👩\u200d👧\u200d👦"},
	{"skin and a sign", "👩🏽\u200d⚕\ufe0f", "👩🏽\u200d⚕\ufe0f"},
	{"heart on fire", "❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"},
	{"rainbow", "🏳\ufe0f\u200d🌈", "🏳\ufe0f\u200d🌈"},
	{"black cat", "🐈\u200d⬛", "🐈\u200d⬛"},
	{"joiner at the end of an emoji", "👩\u200d", "👩"},
	{"joiner between an emoji and a letter", "👩\u200da", "👩a"},
	{"keycap", "1\ufe0f\u20e3", "1\ufe0f\u20e3"},
	{"flag of a country", "🇬🇪", "🇬🇪"},
	{"flag of Scotland", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"},
	{"text style", "☺\ufe0e", "☺\ufe0e"},
	{"text style, one is enough", "☺\ufe0e\ufe0f", "☺\ufe0e"},
}

func TestName(t *testing.T) {
	for _, c := range names {
		got, ok := Name(c.name)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: Name(%+q) = %+q, %v; want %+q", c.why, c.name, got, ok, c.want)
		}
	}
}

func BenchmarkNameOfNothing(b *testing.B) {
	name := "ع" + strings.Repeat("\u200b\u200d", 10_000) + "ع"
	for b.Loop() {
		if got, ok := Name(name); !ok || got != "ع\u200dع" {
			b.Fatalf("%q, %v", got, ok)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, c := range names {
		f.Add(c.name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := Name(s)
		if !ok {
			return
		}
		if again, ok := Name(name); !ok || again != name {
			t.Fatalf("Name(%+q) = %+q, %v: a second time it changes", name, again, ok)
		}
		if n := utf8.RuneCountInString(name); !utf8.ValidString(name) || n < 1 || n > MaxName {
			t.Fatalf("%+q: %d characters", name, n)
		}
		if name != strings.Join(strings.Fields(name), " ") {
			t.Fatalf("%+q: white space", name)
		}
		if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Fatalf("%+q: a control character", name)
		}
		nothing := []*unicode.RangeTable{unicode.White_Space, unicode.Mn, unicode.Me, unicode.Cf, unicode.Variation_Selector}
		if !strings.ContainsFunc(name, func(r rune) bool {
			return !unicode.In(r, nothing...) || unicode.Is(unicode.Prepended_Concatenation_Mark, r)
		}) {
			t.Fatalf("%+q: nothing to see", name)
		}
		for _, hidden := range "\u200b\u2060\ufeff\u00ad\u2800\u3164\u034f" {
			if strings.ContainsRune(name, hidden) {
				t.Fatalf("%+q has %+q", name, hidden)
			}
		}
	})
}
