package browser_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
	"livesupport/chat/log"
	"livesupport/cmd/internal/backend"
)

// remembers gives a site an archive, and chats that end soon; more tunes it further.
func remembers(t *testing.T, more ...func(*backend.Config)) func(*backend.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.db")
	return func(cfg *backend.Config) {
		cfg.ArchiveURL = "sqlite:" + path
		cfg.ChatTTL = 3 * time.Second
		for _, tune := range more {
			tune(cfg)
		}
	}
}

// A past is a chat that is in the archive from the start.
type past struct {
	days                   int // ago
	name, sub, team, agent string
	texts                  []string // the visitor's and the agent's in turn
	note                   string
	score                  uint8
	file                   string
	closedBy               log.Role
}

// pastID is the id of the nth past chat.
func pastID(n int) string { return fmt.Sprintf("%032x", n+1) }

// noon is that of the day on which the tests began: days are told apart, even around midnight.
var noon = sync.OnceValue(func() time.Time {
	year, month, day := time.Now().Date()
	return time.Date(year, month, day, 12, 0, 0, 0, time.Local)
})

// holds puts chats into the site's archive, as the servers do: the later in the list,
// the earlier they ended.
func (s *site) holds(chats ...past) {
	s.Helper()
	a, err := archive.New(archive.Config{URL: s.cfg.ArchiveURL, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := a.Open(ctx); err != nil {
		s.Fatal(err)
	}
	var logs []follow.Log
	for n, p := range chats {
		at := noon().AddDate(0, 0, -p.days).Add(-time.Duration(n) * time.Minute)
		c := follow.Log{ChatID: pastID(n)}
		add := func(seconds float64, e log.Event) {
			e.ID, e.At = fmt.Sprint("e", len(c.Entries)), at.Add(time.Duration(seconds*float64(time.Second))-10*time.Minute).UnixMicro()
			c.Entries = append(c.Entries, string(e.Encode()))
		}
		user, support := strings.Repeat("a", 32), strings.Repeat("b", 32)
		add(0, log.Event{Kind: log.Registered, UserID: user, Username: p.name, ChatID: c.ChatID, Verified: p.sub != "", Agent: p.sub, Team: p.team})
		add(0.1, log.Event{Kind: log.Attended, Server: "A", Fold: log.Version})
		for i, text := range p.texts {
			e := log.Event{Kind: log.Messaged, From: log.RoleUser, Content: text}
			if i == 0 && p.file != "" {
				file := strings.Repeat("f", 32)
				add(1, log.Event{Kind: log.Uploaded, From: log.RoleUser, Seq: 50, Files: &log.Files{{ID: file, Name: p.file, Type: "image/png", Size: 1024, URL: "/files/" + file}}})
				e.Files = &log.Files{{ID: file}}
			}
			if i == 1 {
				e := log.Event{Kind: log.SupportJoined, SupportID: support, SupportName: p.agent}
				if s.cfg.AgentSecret != "" {
					e.Agent = strings.ToLower(p.agent)
				}
				add(1.5, e)
			}
			if i%2 == 1 {
				e.From, e.SupportID = log.RoleSupport, support
			}
			add(2+280*float64(i)/float64(len(p.texts)), e)
		}
		if p.note != "" {
			add(300, log.Event{Kind: log.Noted, From: log.RoleSupport, SupportID: support, SupportName: p.agent, Content: p.note})
		}
		if p.score > 0 {
			add(310, log.Event{Kind: log.Rated, Score: p.score, Content: "Quick"})
		}
		if p.closedBy != "" {
			e := log.Event{Kind: log.Closed, From: p.closedBy}
			if p.closedBy == log.RoleSupport {
				e.SupportID = support
			}
			add(320, e)
		}
		add(330, log.Event{Kind: log.Ended})
		logs = append(logs, c)
		if len(logs) == 200 || n == len(chats)-1 {
			if err := a.Take(ctx, logs); err != nil {
				s.Fatal(err)
			}
			logs = nil
		}
	}
}

var someChats = []past{
	{days: 0, name: "Nika", sub: "4711", agent: "Vika", team: "billing", texts: []string{"Where is my Zwiebelkuchen?", "On its way: https://parcel.example/track/1042", "Thank you <b>so</b> much", "You are welcome"}, note: "Her parcel is in Leipzig.", file: "cat.png", score: 5, closedBy: log.RoleUser},
	{days: 1, name: "Dodo", agent: "Bob", texts: []string{"Do you ship to Iceland?", "We do. It takes about a week."}, closedBy: log.RoleSupport},
	{days: 2, name: "مريم", agent: "Vika", texts: []string{"مرحبا، أين طلبي؟", "It left our house on Monday."}},
	{days: 4, name: "Ana María", texts: []string{"Is anybody there?"}},
	{days: 40, name: "Nika", sub: "4711", agent: "Bob", texts: []string{"Can I change my address?", "Sure, what is the new one?"}, closedBy: log.RoleUser},
}
