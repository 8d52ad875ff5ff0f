package archive_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
)

// What is found does not depend on how many chats have words that begin alike, nor on how
// long logs are.
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
