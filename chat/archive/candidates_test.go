package archive_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
)

// The results do not depend on how many chats have words with the same beginning, nor on the
// lengths of logs.
func TestSearchAmongMany(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		var logs []follow.Log
		n := 0
		add := func(count int, text string) (names []string) {
			for range count {
				name := fmt.Sprint("c", n)
				logs = append(logs, begin(name, float64(n)).waits(float64(n+1)).user(float64(n+2), text).ends(float64(n+100)))
				names = append([]string{name}, names...)
				n++
			}
			return names
		}
		want := add(5, "all is orderly here")
		add(60, "ordinary")
		want = append(add(1, "orderly "+strings.Repeat("and long ", 9000)), want...)
		add(450, "ordinary words")
		want = append(add(3, "more orderly words"), want...)
		add(450, "ordinary words")
		for some := range slices.Chunk(logs, 100) {
			take(t, a, some...)
		}
		if got := found(t, a, "orderl", archive.Filter{}); !slices.Equal(got, want) {
			t.Errorf("found %v, want %v", got, want)
		}
		for _, text := range []string{"orderly words", "words orderly more", "ordinary words orderl"} {
			some := want[:3]
			if strings.HasPrefix(text, "ordinary") {
				some = []string{}
			}
			if got := found(t, a, text, archive.Filter{}); !slices.Equal(got, some) {
				t.Errorf("%q finds %v, want %v", text, got, some)
			}
		}
		if got := found(t, a, "orderly", archive.Filter{To: at(103)}); !slices.Equal(got, want[6:]) {
			t.Errorf("until the third they are %v, want %v", got, want[6:])
		}
		for _, limit := range []int{1, 2, 4} {
			var got []string
			for cursor := ""; ; {
				page, next, err := a.Search(t.Context(), "orderly", archive.Filter{}, cursor, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page {
					got = append(got, strings.TrimLeft(c.ChatID, "0"))
				}
				if cursor = next; cursor == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("by pages of %d: %v, want %v", limit, got, want)
			}
		}
	})
}

// TestSearchOfAnAgent finds words in the chats of an agent who has few of many chats.
func TestSearchOfAnAgent(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		var logs []follow.Log
		var all, some, rare []string
		for n := range 1500 {
			name, agent, text := fmt.Sprint("c", n), "bob", "a common word"
			if n%3 == 0 {
				agent = "vika"
				all = append([]string{name}, all...)
				if n%2 == 0 {
					text += " and something"
					some = append([]string{name}, some...)
				}
				if n == 9 || n == 1200 {
					text += strings.Repeat(" rarely ", 1+n%7*10_000)
					rare = append([]string{name}, rare...)
				}
			}
			logs = append(logs, begin(name, float64(n)).waits(float64(n+1)).joins(float64(n+2), "X", agent).user(float64(n+3), text).ends(float64(n+100)))
		}
		for some := range slices.Chunk(logs, 100) {
			take(t, a, some...)
		}
		for text, want := range map[string][]string{"common": all, "so": some, "some com": some, "rarely": rare, "rar common": rare, "nothing": nil} {
			for _, limit := range []int{7, 1000} {
				var got []string
				for cursor := ""; ; {
					page, next, err := a.Search(t.Context(), text, archive.Filter{Agent: "vika"}, cursor, limit)
					if err != nil {
						t.Fatal(err)
					}
					for _, c := range page {
						got = append(got, strings.TrimLeft(c.ChatID, "0"))
					}
					if cursor = next; cursor == "" {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q by pages of %d: %d chats, want %d", text, limit, len(got), len(want))
				}
			}
		}
	})
}
