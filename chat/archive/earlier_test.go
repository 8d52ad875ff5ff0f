package archive_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"livesupport/chat/archive"
)

// What a visitor whom the site knows has talked about before.
func TestEarlier(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		take(t, a,
			begin("a1", 0).as("sub-a", "Ana", "").waits(1).joins(2, "Vika", "vika").support(3, "Vika", "from support").user(4, " \n").user(5, "the first").user(6, "the second").ends(100),
			begin("a2", 0).as("sub-a", "Ana", "").waits(1).user(2, strings.Repeat("ü", 250)).note(3, "Vika", "canary").ends(200),
			begin("a3", 0).as("sub-a", "Ana", "").waits(1).joins(2, "Bob", "bob").note(3, "Bob", "canary").ends(300),
			begin("b", 0).waits(1).user(2, "anonymous").ends(150),
			begin("c", 0).as("sub-c' OR 1=1 --", "Cleo", "").waits(1).user(2, strings.Repeat("\x01\n", 4_000)).ends(160),
		)
		for i := range 25 {
			take(t, a, begin(fmt.Sprint("m", i), 0).as("sub-m", "Mo", "").waits(1).user(2, "again").ends(float64(1000+i)))
		}
		check := func(what string, chats []archive.EarlierChat, err error, want ...string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			got := []string{}
			for _, c := range chats {
				got = append(got, strings.TrimLeft(c.ChatID, "0")+" "+c.Message)
			}
			if chats == nil || !slices.Equal(got, want) {
				t.Errorf("%s: %.300q, want %.300q", what, got, want)
			}
		}
		of := func(sub string, want ...string) {
			t.Helper()
			chats, err := a.Earlier(t.Context(), sub)
			check(sub, chats, err, want...)
		}
		before := func(name string, want ...string) {
			t.Helper()
			chats, err := a.Before(t.Context(), chatID(name))
			check(name, chats, err, want...)
		}
		of("sub-a", "a3 ", "a2 "+strings.Repeat("ü", 200), "a1 the first")
		of("sub-c' OR 1=1 --", "c "+strings.Repeat("\x01\n", 100))
		of("sub-x")
		of("")
		before("a3", "a2 "+strings.Repeat("ü", 200), "a1 the first")
		before("a1")
		before("b")
		chats, err := a.Earlier(t.Context(), "sub-m")
		if err != nil || len(chats) != 20 || chats[0].ChatID != chatID("m24") || len(chats[0].Agents) != 0 {
			t.Errorf("of many: %d %v", len(chats), err)
		}
		if chats, err := a.Earlier(t.Context(), "sub-a"); err != nil || *chats[2].Agents[0].Agent != "vika" {
			t.Errorf("its agents: %v %v", chats, err)
		}
		if _, err := a.Before(t.Context(), chatID("nothing")); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("of a chat that there is not: %v", err)
		}
	})
}
