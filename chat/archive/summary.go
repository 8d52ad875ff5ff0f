package archive

import (
	"livesupport/chat/log"
)

// Summary has the facts and figures of a chat that the archive derives from its log
// (Summarize). Times are in microseconds since 1970, durations in microseconds; a missing one is
// negative.
type Summary struct {
	ChatID, UserID, Username string
	Verified                 bool
	Sub, Team                string // "" if there is none
	Agents                   []Agent
	Started, Ended           int64
	EndedBy                  string   // User, Support or expiry
	Messages                 int      // from both sides
	Score                    int      // 0 without a rating
	Files                    []string // in messages

	Wait         int64 // from the user's announcement to the first support's Join
	FirstAnswer  int64 // to the first message of a support
	Duration     int64 // of the whole chat
	UserMessages int
	Answers      int // messages from supports
	Transfers    int // how often a support left while the chat went on
	Missed       bool
	Abandoned    bool // the user ended it before a support joined
}

// Agent is an agent who has had a chat.
type Agent struct {
	Agent    string // the token's sub, "" without tokens
	Name     string
	Held     int64 // how long the agent had the chat, in microseconds
	Messages int
}

// EndedByExpiry is the EndedBy of a chat that nobody has closed.
const EndedByExpiry = "expiry"

// Kept reports whether to archive the chat: it had a message or a support.
func (s *Summary) Kept() bool { return s.Messages > 0 || len(s.Agents) > 0 }

// step is an applied entry, with the state after it, the support before it, and the chat's
// time.
type step struct {
	*log.State
	before log.Support
	event  log.Event
	at     int64
}

// replay folds a log and calls f for every applied entry.
func replay(entries []string, f func(step)) *log.State {
	var s log.State
	at := int64(0)
	for _, entry := range entries {
		e := log.Decode([]byte(entry))
		before := s.Support
		if s.Apply(e) != log.Applied {
			continue
		}
		switch e.Kind {
		case log.Read, log.Attended, log.Connected, log.Disconnected: // these do not advance the chat's time
		default:
			at = max(at, e.At)
		}
		f(step{&s, before, e, at})
	}
	return &s
}

// Summarize makes the summary of a whole log.
func Summarize(entries []string) Summary {
	sum, _ := summarize(entries, func(step) {})
	return sum
}

// digest makes the summary of a whole log, and its words for searches.
func digest(entries []string) (Summary, []string) {
	v := newVocabulary()
	sum, s := summarize(entries, v.step)
	return sum, v.words(s)
}

// summarize makes the summary of a whole log. It also calls more for every applied entry, and
// returns the last state.
func summarize(entries []string, more func(step)) (Summary, *log.State) {
	sum := Summary{Wait: -1, FirstAnswer: -1}
	announced, since, last := int64(-1), int64(0), int64(0) // since: when the current support came
	holder := -1                                            // their index in Agents
	leave := func(at int64) {
		if holder >= 0 {
			sum.Agents[holder].Held += max(0, at-since)
			holder = -1
		}
	}
	s := replay(entries, func(now step) {
		more(now)
		last = now.at
		if now.Support != now.before {
			if now.before.ID != "" {
				leave(now.at)
				if !now.Released().Lost {
					sum.Transfers++
				}
			}
			if now.Support.ID != "" {
				holder, since = sum.agent(now.Support), now.at
			}
		}
		switch now.event.Kind {
		case log.Registered, log.RegisteredFor:
			sum.Started = now.at
		case log.Attended:
			if announced < 0 {
				announced = max(now.event.At, sum.Started)
			}
		case log.SupportJoined:
			if sum.Wait < 0 {
				sum.Wait = max(0, now.at-waitFrom(announced, sum.Started))
			}
		case log.Messaged:
			if now.event.From != log.RoleSupport {
				sum.UserMessages++
				break
			}
			sum.Answers++
			if holder >= 0 {
				sum.Agents[holder].Messages++
			}
			if sum.FirstAnswer < 0 {
				sum.FirstAnswer = max(0, now.at-waitFrom(announced, sum.Started))
			}
		}
	})
	sum.ChatID, sum.UserID, sum.Username, sum.Verified = s.ChatID, s.UserID, s.Username, s.Verified
	sum.Sub, sum.Team, sum.Score = s.Subject, s.Team, int(s.Rating.Score)
	sum.Messages = len(s.Messages)
	for _, u := range s.Uploads {
		if u.Carried {
			sum.Files = append(sum.Files, u.ID)
		}
	}
	sum.Ended, sum.EndedBy = last, EndedByExpiry
	if s.Closed.From != "" {
		sum.Ended, sum.EndedBy = s.Closed.At, string(s.Closed.From)
	}
	leave(sum.Ended)
	sum.Duration = sum.Ended - sum.Started
	sum.Missed = len(sum.Agents) == 0
	sum.Abandoned = sum.Missed && s.Closed.From == log.RoleUser
	return sum, s
}

func waitFrom(announced, started int64) int64 {
	if announced < 0 {
		return started
	}
	return announced
}

// agent returns the index of a support in Agents, which has each support once.
func (s *Summary) agent(support log.Support) int {
	for i, a := range s.Agents {
		if a.Agent == support.Agent && a.Name == support.Name {
			return i
		}
	}
	s.Agents = append(s.Agents, Agent{Agent: support.Agent, Name: support.Name})
	return len(s.Agents) - 1
}
