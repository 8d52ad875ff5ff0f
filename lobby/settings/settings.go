// Package settings reads the operator's settings file (cmd/deploy/README.md, "Hours, teams
// and forms"): opening hours, teams, the form before a chat, the consent text, the text for
// closed hours, and canned replies. Parse is strict, and its errors name the place. File
// keeps the last valid settings. Hours are evaluated on request, in the local time of their
// zone; nothing is scheduled.
package settings

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Settings has the settings of one file. It never changes and is safe for concurrent use.
type Settings struct {
	hours *Hours // nil means always open
	teams []Team
	// Form has the questions before a chat.
	Form []Field
	// Consent is the text that a visitor must agree to, nil if there is none.
	Consent *Consent
	// Replies has the canned replies of agents.
	Replies []Reply
	// Shown has the parts that pages show.
	Shown Shown
	// Hash is the same for files with the same settings, and "none" without a file.
	Hash string
}

// Shown has parts of a file as written, in all languages. A part that the file lacks is
// nil.
type Shown struct {
	Form    jsontext.Value `json:"form,omitzero"`
	Away    jsontext.Value `json:"away,omitzero"`
	Consent jsontext.Value `json:"consent,omitzero"`
}

// Team is a team that visitors can ask for.
type Team struct {
	ID, Name string
	hours    *Hours // nil means the desk's hours
}

// Field is a question of the form.
type Field struct {
	ID       string
	Kind     Kind
	Required bool
	Options  []string // of a Select
}

// Kind is the kind of a question.
type Kind string

// The kinds of questions.
const (
	Text     Kind = "text"
	Email    Kind = "email"
	Select   Kind = "select"
	Checkbox Kind = "checkbox"
)

var kinds = []Kind{Text, Email, Select, Checkbox}

// Consent is the text that a visitor must agree to before a chat.
type Consent struct {
	text map[string]string // by language
	Link string
}

// In returns the text in a language (BCP 47), or else in English, or else in any language.
func (c *Consent) In(language string) string {
	primary, _, _ := strings.Cut(language, "-")
	for _, tag := range []string{language, primary, "en"} {
		if text, ok := c.text[tag]; ok {
			return text
		}
	}
	for _, tag := range sorted(c.text) {
		return c.text[tag]
	}
	return ""
}

// Reply is a canned reply. The console fills in {username} and {agent}.
type Reply struct {
	Shortcut string `json:"shortcut"`
	Text     string `json:"text"`
}

// HasTeam reports whether visitors can ask for a team. Without teams in the file they can
// ask for any.
func (s *Settings) HasTeam(id string) bool {
	return len(s.teams) == 0 || slices.ContainsFunc(s.teams, func(t Team) bool { return t.ID == id })
}

// Teams returns the teams in the order of the file.
func (s *Settings) Teams() []Team { return s.teams }

// Open reports whether the desk is open at a time: within its hours or, if only teams have
// hours, while at least one team is open. opens is the next opening, zero if the desk is
// open or does not open within 366 days.
func (s *Settings) Open(at time.Time) (open bool, opens time.Time) {
	if s.hours != nil || !slices.ContainsFunc(s.teams, func(t Team) bool { return t.hours != nil }) {
		return s.hours.At(at)
	}
	for _, t := range s.teams {
		teamOpen, teamOpens := t.hours.At(at)
		if teamOpen {
			return true, time.Time{}
		}
		if opens.IsZero() || !teamOpens.IsZero() && teamOpens.Before(opens) {
			opens = teamOpens
		}
	}
	return false, opens
}

// TeamOpen reports whether a team is open at a time, by its own hours or, if it has none, by
// the desk's.
func (s *Settings) TeamOpen(t Team, at time.Time) bool {
	if t.hours != nil {
		return t.hours.Open(at)
	}
	return s.hours.Open(at)
}
