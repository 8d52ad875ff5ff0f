package lobby

import "strings"

// teamSet has the teams of an agent in the queue's form: each between line feeds, "" for an
// agent who sees all users.
type teamSet string

// newTeamSet makes a teamSet of the teams for which has returns true. If has is nil, it
// takes all that are valid names of teams.
func newTeamSet(teams []string, has func(team string) bool) teamSet {
	var b strings.Builder
	for _, team := range teams {
		if team == "" || strings.ContainsAny(team, "\n\x00") || has != nil && !has(team) {
			continue
		}
		if b.Len() == 0 {
			b.WriteByte('\n')
		}
		b.WriteString(team)
		b.WriteByte('\n')
	}
	return teamSet(b.String())
}

func (s teamSet) list() []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.Trim(string(s), "\n"), "\n")
}

// sees reports whether an agent with these teams sees users of a team.
func (s teamSet) sees(team string) bool {
	return s == "" || team == "" || strings.Contains(string(s), "\n"+team+"\n")
}
