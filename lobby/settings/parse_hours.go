package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

type hoursValue struct {
	Zone     string              `json:"zone"`
	Week     weekValue           `json:"week"`
	Holidays []string            `json:"holidays"`
	Openings map[string][]string `json:"openings"`
}

type weekValue struct {
	Mon []string `json:"mon"`
	Tue []string `json:"tue"`
	Wed []string `json:"wed"`
	Thu []string `json:"thu"`
	Fri []string `json:"fri"`
	Sat []string `json:"sat"`
	Sun []string `json:"sun"`
}

// hours checks the hours at a path.
func (v *hoursValue) hours(path string) (*Hours, error) {
	h := &Hours{zone: time.UTC, dates: map[date][]span{}}
	if v.Zone != "" {
		zone, err := time.LoadLocation(v.Zone)
		if err != nil || v.Zone == "Local" { // the server's own zone is no place
			return nil, badValue(path+".zone", "%q is not a time zone: want a name such as Europe/Berlin", v.Zone)
		}
		h.zone = zone
	}
	for _, day := range []struct {
		name  string
		of    time.Weekday
		spans []string
	}{
		{"mon", time.Monday, v.Week.Mon}, {"tue", time.Tuesday, v.Week.Tue}, {"wed", time.Wednesday, v.Week.Wed},
		{"thu", time.Thursday, v.Week.Thu}, {"fri", time.Friday, v.Week.Fri}, {"sat", time.Saturday, v.Week.Sat},
		{"sun", time.Sunday, v.Week.Sun},
	} {
		spans, err := parseSpans(path+".week."+day.name, day.spans)
		if err != nil {
			return nil, err
		}
		h.week[day.of] = spans
	}
	for i, text := range v.Holidays {
		on, err := parseDate(fmt.Sprintf("%s.holidays[%d]", path, i), text)
		if err != nil {
			return nil, err
		}
		h.dates[on] = nil
	}
	for _, text := range sorted(v.Openings) { // also on a holiday
		at := keyOf(path+".openings", text)
		on, err := parseDate(at, text)
		if err != nil {
			return nil, err
		}
		if h.dates[on], err = parseSpans(at, v.Openings[text]); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func parseDate(path, text string) (date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return date{}, badValue(path, "%q is not a date: want one such as 2026-12-25", text)
	}
	return dateOf(t), nil
}

func parseSpans(path string, texts []string) ([]span, error) {
	var spans []span
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", path, i)
		from, to, found := strings.Cut(text, "-")
		if !found {
			return nil, badValue(at, "%q is not a span: want one such as 09:00-17:00", text)
		}
		var s span
		for _, end := range []struct {
			text string
			at   *int
		}{{from, &s.from}, {to, &s.to}} {
			minute, ok := parseTime(end.text)
			if !ok {
				return nil, badValue(at, "%q is not a time: want hours and minutes such as 09:00", end.text)
			}
			*end.at = minute
		}
		if s.to <= s.from {
			s.to += dayMinutes
		}
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	return spans, nil
}

// parseTime parses 00:00 to 24:00 and returns the minute of the day.
func parseTime(text string) (minute int, ok bool) {
	if len(text) != len("00:00") || text[2] != ':' {
		return 0, false
	}
	for i, c := range []byte(text) {
		if i != 2 && (c < '0' || c > '9') {
			return 0, false
		}
	}
	hour := int(text[0]-'0')*10 + int(text[1]-'0')
	minute = int(text[3]-'0')*10 + int(text[4]-'0')
	return hour*60 + minute, minute < 60 && hour*60+minute <= dayMinutes
}
