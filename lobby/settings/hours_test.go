package settings

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// at reads a time of a zone, "2026-03-29 02:30", or with an offset, "… +0200".
func at(t testing.TB, zone, text string) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	require.NoError(t, err)
	layout := "2006-01-02 15:04"
	if strings.Count(text, " ") == 2 {
		layout += " -0700"
	}
	moment, err := time.ParseInLocation(layout, text, location)
	require.NoError(t, err)
	return moment
}

// daily are hours with the same spans on every day.
func daily(zone string, spans ...string) string {
	return hoursOf(zone, map[string][]string{"mon": spans, "tue": spans, "wed": spans, "thu": spans, "fri": spans, "sat": spans, "sun": spans})
}

func hoursOf(zone string, week map[string][]string, more ...string) string {
	var days []string
	for _, day := range sorted(week) {
		days = append(days, fmt.Sprintf(`%q:[%s]`, day, quoted(week[day])))
	}
	parts := append([]string{fmt.Sprintf(`"zone":%q,"week":{%s}`, zone, strings.Join(days, ","))}, more...)
	return "{" + strings.Join(parts, ",") + "}"
}

func quoted(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return `"` + strings.Join(texts, `","`) + `"`
}

func parseHours(t testing.TB, text string) *Hours {
	t.Helper()
	s, err := Parse([]byte(`{"hours":` + text + `}`))
	require.NoError(t, err, text)
	return s.hours
}

// TestHours: whether the hours are open at a time, and when they are next.
func TestHours(t *testing.T) {
	const berlin, newYork, tokyo = "Europe/Berlin", "America/New_York", "Asia/Tokyo"
	office := map[string][]string{"mon": {"09:00-12:00", "13:00-17:00"}, "tue": {"13:00-17:00", "09:00-12:00"}, "fri": {"22:00-02:00"}}
	christmas := hoursOf(berlin, map[string][]string{"thu": {"20:00-06:00"}, "fri": {"09:00-17:00"}, "sat": {"09:00-12:00"}},
		`"holidays":["2026-12-25","2026-12-24"]`, `"openings":{"2026-12-24":["09:00-01:00"],"2026-12-27":["10:00-14:00"],"2027-01-01":[]}`)
	for _, test := range []struct {
		hours, zone string
		at, opens   string // "" is open now, "never" not within 366 days
	}{
		// Two spans a day, a span over midnight, days that are not named.
		{hoursOf(berlin, office), berlin, "2026-11-30 08:59", "2026-11-30 09:00"},
		{hoursOf(berlin, office), berlin, "2026-11-30 09:00", ""},
		{hoursOf(berlin, office), berlin, "2026-11-30 11:59", ""},
		{hoursOf(berlin, office), berlin, "2026-11-30 12:00", "2026-11-30 13:00"},
		{hoursOf(berlin, office), berlin, "2026-11-30 17:00", "2026-12-01 09:00"},
		{hoursOf(berlin, office), berlin, "2026-12-01 17:00", "2026-12-04 22:00"},
		{hoursOf(berlin, office), berlin, "2026-12-04 22:00", ""},
		{hoursOf(berlin, office), berlin, "2026-12-05 01:59", ""},
		{hoursOf(berlin, office), berlin, "2026-12-05 02:00", "2026-12-07 09:00"},
		{hoursOf(berlin, office), newYork, "2026-11-30 03:00", ""}, // 9 o'clock in Berlin
		// 23:30–00:30, around the turn of a month and a year.
		{daily(berlin, "23:30-00:30"), berlin, "2026-12-31 23:29", "2026-12-31 23:30"},
		{daily(berlin, "23:30-00:30"), berlin, "2026-12-31 23:30", ""},
		{daily(berlin, "23:30-00:30"), berlin, "2027-01-01 00:29", ""},
		{daily(berlin, "23:30-00:30"), berlin, "2027-01-01 00:30", "2027-01-01 23:30"},
		{hoursOf(berlin, map[string][]string{"sun": {"23:30-00:30"}}), berlin, "2026-11-30 00:29", ""}, // a Monday
		{hoursOf(berlin, map[string][]string{"sun": {"23:30-00:30"}}), berlin, "2026-11-29 00:15", "2026-11-29 23:30"},
		// Midnight.
		{daily(berlin, "20:00-24:00"), berlin, "2026-11-30 23:59", ""},
		{daily(berlin, "20:00-24:00"), berlin, "2026-11-30 00:00", "2026-11-30 20:00"},
		{daily(berlin, "00:00-24:00"), berlin, "2026-11-30 00:00", ""},
		{daily(berlin, "08:00-08:00"), berlin, "2026-11-30 07:59", ""}, // until the same time of the next day
		{hoursOf(berlin, map[string][]string{"mon": {"08:00-08:00"}}), berlin, "2026-12-01 08:00", "2026-12-07 08:00"},
		{hoursOf(berlin, map[string][]string{"mon": {"24:00-02:00"}}), berlin, "2026-11-30 12:00", "2026-12-01 00:00"},
		{hoursOf(berlin, map[string][]string{"mon": {"24:00-02:00"}}), berlin, "2026-12-01 01:59", ""},
		{hoursOf(berlin, map[string][]string{"mon": {"24:00-02:00"}}), berlin, "2026-12-01 02:00", "2026-12-08 00:00"},
		// Berlin, spring: at 02:00 it is 03:00.
		{daily(berlin, "09:00-17:00"), berlin, "2026-03-28 17:00", "2026-03-29 09:00"},
		{daily(berlin, "09:00-17:00"), berlin, "2026-03-29 16:59", ""},
		{daily(berlin, "02:30-05:00"), berlin, "2026-03-29 01:59", "2026-03-29 03:00"},
		{daily(berlin, "02:30-05:00"), berlin, "2026-03-29 03:00", ""},
		{daily(berlin, "02:15-02:45"), berlin, "2026-03-29 01:00", "2026-03-30 02:15"}, // never shown on that day
		{daily(berlin, "22:00-02:30"), berlin, "2026-03-29 01:59", ""},
		{daily(berlin, "22:00-02:30"), berlin, "2026-03-29 03:00", "2026-03-29 22:00"},
		{daily(berlin, "03:00-04:00"), berlin, "2026-03-29 01:59", "2026-03-29 03:00"},
		// Berlin, autumn: at 03:00 it is 02:00 again.
		{daily(berlin, "09:00-17:00"), berlin, "2026-10-24 17:00", "2026-10-25 09:00"},
		{daily(berlin, "02:30-05:00"), berlin, "2026-10-25 02:29 +0200", "2026-10-25 02:30 +0200"},
		{daily(berlin, "02:30-05:00"), berlin, "2026-10-25 02:59 +0200", ""},
		{daily(berlin, "02:30-05:00"), berlin, "2026-10-25 02:00 +0100", "2026-10-25 02:30 +0100"},
		{daily(berlin, "02:30-05:00"), berlin, "2026-10-25 04:59 +0100", ""},
		{daily(berlin, "22:00-02:30"), berlin, "2026-10-25 02:29 +0200", ""},
		{daily(berlin, "22:00-02:30"), berlin, "2026-10-25 02:30 +0200", "2026-10-25 02:00 +0100"},
		{daily(berlin, "22:00-02:30"), berlin, "2026-10-25 02:29 +0100", ""},
		{daily(berlin, "22:00-02:30"), berlin, "2026-10-25 02:30 +0100", "2026-10-25 22:00 +0100"},
		{daily(berlin, "02:00-03:00"), berlin, "2026-10-25 02:59 +0200", ""},
		{daily(berlin, "02:00-03:00"), berlin, "2026-10-25 02:00 +0100", ""},
		{daily(berlin, "02:00-03:00"), berlin, "2026-10-25 03:00 +0100", "2026-10-26 02:00 +0100"},
		// New York, spring and autumn, two weeks and one before Berlin and after it.
		{daily(newYork, "09:00-17:00"), newYork, "2026-03-07 17:00", "2026-03-08 09:00"},
		{daily(newYork, "02:30-05:00"), newYork, "2026-03-08 01:59", "2026-03-08 03:00"},
		{daily(newYork, "23:00-03:30"), newYork, "2026-03-08 03:29", ""},
		{daily(newYork, "01:30-02:00"), newYork, "2026-11-01 01:29 -0400", "2026-11-01 01:30 -0400"},
		{daily(newYork, "01:30-02:00"), newYork, "2026-11-01 01:00 -0500", "2026-11-01 01:30 -0500"},
		{daily(newYork, "01:30-02:00"), newYork, "2026-11-01 02:00 -0500", "2026-11-02 01:30 -0500"},
		{daily(newYork, "09:00-17:00"), berlin, "2026-03-28 14:00", ""},                 // five hours behind
		{daily(newYork, "09:00-17:00"), berlin, "2026-03-29 14:59", "2026-03-29 15:00"}, // and six again
		// No clock is changed here.
		{daily(tokyo, "02:30-05:00"), tokyo, "2026-03-29 02:29", "2026-03-29 02:30"},
		{daily(tokyo, "09:00-17:00"), berlin, "2026-03-28 01:00", ""},
		{daily(tokyo, "09:00-17:00"), berlin, "2026-03-29 03:00", ""},
		{daily(tokyo, "09:00-17:00"), berlin, "2026-03-29 10:00", "2026-03-30 02:00"},
		{daily("UTC", "09:00-17:00"), "UTC", "2026-03-29 09:00", ""},
		// Leap day, a Tuesday.
		{hoursOf(berlin, map[string][]string{"tue": {"09:00-17:00"}}), berlin, "2028-02-28 12:00", "2028-02-29 09:00"},
		{hoursOf(berlin, map[string][]string{"tue": {"22:00-02:00"}}), berlin, "2028-03-01 01:59", ""},
		{hoursOf(berlin, nil, `"openings":{"2028-02-29":["23:30-00:30"]}`), berlin, "2028-02-29 12:00", "2028-02-29 23:30"},
		{hoursOf(berlin, nil, `"openings":{"2028-02-29":["23:30-00:30"]}`), berlin, "2028-03-01 00:29", ""},
		{hoursOf(berlin, map[string][]string{"tue": {"09:00-17:00"}}, `"holidays":["2028-02-29"]`), berlin, "2028-02-29 10:00", "2028-03-07 09:00"},
		// Holidays close what begins on them, openings replace it, also on a holiday.
		{christmas, berlin, "2026-12-24 08:00", "2026-12-24 09:00"},
		{christmas, berlin, "2026-12-24 21:00", ""},
		{christmas, berlin, "2026-12-25 00:59", ""}, // began the day before
		{christmas, berlin, "2026-12-25 01:00", "2026-12-26 09:00"},
		{christmas, berlin, "2026-12-25 10:00", "2026-12-26 09:00"},
		{christmas, berlin, "2026-12-26 12:00", "2026-12-27 10:00"},
		{christmas, berlin, "2026-12-27 14:00", "2026-12-31 20:00"},
		{christmas, berlin, "2027-01-01 05:59", ""}, // that of the day before
		{christmas, berlin, "2027-01-01 10:00", "2027-01-02 09:00"},
		// A year ahead, and not.
		{hoursOf(berlin, nil, `"openings":{"2027-11-29":["10:00-11:00"]}`), berlin, "2026-11-28 10:00", "2027-11-29 10:00"},
		{hoursOf(berlin, nil, `"openings":{"2027-11-29":["10:00-11:00"]}`), berlin, "2026-11-28 09:59", "never"},
		{hoursOf(berlin, nil, `"openings":{"2027-11-29":["10:00-11:00"]}`), berlin, "2027-11-29 11:00", "never"},
		{`{}`, berlin, "2026-11-28 10:00", "never"},
		{hoursOf(tokyo, nil), berlin, "2026-11-28 10:00", "never"},
		// A date that the place has left out.
		{daily("Pacific/Apia", "09:00-17:00"), "Pacific/Apia", "2011-12-29 17:00", "2011-12-31 09:00"},
	} {
		name := test.hours + " at " + test.at + " in " + test.zone
		moment := at(t, test.zone, test.at)
		open, opens := parseHours(t, test.hours).At(moment)
		require.Equal(t, test.opens == "", open, name)
		switch test.opens {
		case "", "never":
			require.True(t, opens.IsZero(), "%s: opens %s", name, opens)
		default:
			want := at(t, test.zone, test.opens)
			require.True(t, want.Equal(opens), "%s: opens %s instead of %s", name, opens, want)
		}
	}
}

// TestOpen: the desk's hours, its teams', and none.
func TestOpen(t *testing.T) {
	monday := at(t, "UTC", "2026-11-30 10:00")
	early, late := hoursOf("UTC", map[string][]string{"mon": {"06:00-09:00"}}), hoursOf("UTC", map[string][]string{"mon": {"18:00-22:00"}})
	now := hoursOf("UTC", map[string][]string{"mon": {"09:00-17:00"}})
	never := `{}`
	for _, test := range []struct {
		settings string
		open     bool
		opens    string
		teams    []bool
	}{
		{`{}`, true, "", nil},
		{`{"teams":[{"id":"a"}]}`, true, "", []bool{true}},
		{`{"hours":` + now + `,"teams":[{"id":"a"},{"id":"b","hours":` + late + `}]}`, true, "", []bool{true, false}},
		{`{"hours":` + late + `,"teams":[{"id":"a"},{"id":"b","hours":` + now + `}]}`, false, "2026-11-30 18:00", []bool{false, true}},
		{`{"teams":[{"id":"a","hours":` + late + `},{"id":"b","hours":` + now + `}]}`, true, "", []bool{false, true}},
		{`{"teams":[{"id":"a","hours":` + late + `},{"id":"b","hours":` + early + `}]}`, false, "2026-11-30 18:00", []bool{false, false}},
		{`{"teams":[{"id":"a","hours":` + never + `},{"id":"b","hours":` + early + `}]}`, false, "2026-12-07 06:00", []bool{false, false}},
		{`{"teams":[{"id":"a","hours":` + early + `},{"id":"b","hours":` + never + `}]}`, false, "2026-12-07 06:00", []bool{false, false}},
		{`{"teams":[{"id":"a","hours":` + never + `}]}`, false, "", []bool{false}},
		{`{"teams":[{"id":"a","hours":` + late + `},{"id":"b"}]}`, true, "", []bool{false, true}},
		{`{"hours":` + never + `}`, false, "", nil},
	} {
		s, err := Parse([]byte(test.settings))
		require.NoError(t, err)
		open, opens := s.Open(monday)
		require.Equal(t, test.open, open, test.settings)
		require.Equal(t, test.opens == "", opens.IsZero(), test.settings)
		if test.opens != "" {
			require.True(t, at(t, "UTC", test.opens).Equal(opens), "%s: %s", test.settings, opens)
		}
		for i, team := range s.Teams() {
			require.Equal(t, test.teams[i], s.TeamOpen(team, monday), "%s: team %d", test.settings, i)
		}
	}
}

// FuzzHours: what is said of the next opening is what looking at every minute says.
func FuzzHours(f *testing.F) {
	f.Add(uint8(0), int64(1774746000), uint16(150), uint16(300), uint16(0), uint16(0), uint8(1)) // Berlin, 2026-03-29
	f.Add(uint8(0), int64(1792882800), uint16(150), uint16(300), uint16(1320), uint16(150), uint8(0))
	f.Add(uint8(1), int64(1793509200), uint16(90), uint16(120), uint16(1440), uint16(1440), uint8(64))
	f.Add(uint8(2), int64(1835395200), uint16(1410), uint16(30), uint16(1439), uint16(0), uint8(128)) // 2028-02-29
	f.Add(uint8(3), int64(1325203200), uint16(540), uint16(1020), uint16(0), uint16(1440), uint8(3))
	f.Add(uint8(4), int64(1775322000), uint16(105), uint16(125), uint16(0), uint16(0), uint8(255))
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Apia", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu", "America/Havana"}
	f.Fuzz(func(t *testing.T, zone uint8, unix int64, from1, to1, from2, to2 uint16, days uint8) {
		location, err := time.LoadLocation(zones[int(zone)%len(zones)])
		require.NoError(t, err)
		moment := time.Unix(unix%4_000_000_000, 0).UTC().Truncate(time.Minute)
		text := func(from, to uint16) string {
			from, to = from%(dayMinutes+1), to%(dayMinutes+1)
			return fmt.Sprintf("%02d:%02d-%02d:%02d", from/60, from%60, to/60, to%60)
		}
		week := map[string][]string{}
		for i, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
			if days&(1<<i) != 0 {
				week[day] = []string{text(from1, to1), text(from2, to2)}
			}
		}
		more := fmt.Sprintf(`"openings":{%q:[%q]}`, moment.In(location).AddDate(0, 0, 1).Format(time.DateOnly), text(from2, to1))
		h := parseHours(t, hoursOf(location.String(), week, more))
		open, opens := h.At(moment)
		require.Equal(t, h.Open(moment), open)
		require.True(t, opens.IsZero() || opens.After(moment) && h.Open(opens))
		if open {
			require.True(t, opens.IsZero())
			return
		}
		for minute := range 8 * dayMinutes {
			m := moment.Add(time.Duration(minute) * time.Minute)
			if h.Open(m) {
				require.True(t, m.Equal(opens), "opens at %s, not at %s", m.In(location), opens)
				return
			}
		}
		require.True(t, opens.IsZero() || opens.Sub(moment) >= 8*24*time.Hour, "opens %s", opens)
	})
}
