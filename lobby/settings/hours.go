package settings

import (
	"time"
	_ "time/tzdata" // for images without time zones
)

// span is a part of a day, in minutes since its midnight. If it ends on the next day, to is
// more than the minutes of a day.
type span struct{ from, to int }

const dayMinutes = 24 * 60

// horizon is how many days ahead to look for an opening.
const horizon = 366

// Hours are opening hours in the local time of a zone. nil means always open.
type Hours struct {
	zone  *time.Location
	week  [7][]span       // by time.Weekday, in the order of their beginnings
	dates map[date][]span // the spans that begin on a date instead
}

// date is a calendar day.
type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(t time.Time) date {
	year, month, day := t.Date()
	return date{year, month, day}
}

// At reports whether the hours are open at a time. If they are not, opens is the next
// opening, or zero if there is none within 366 days.
func (h *Hours) At(t time.Time) (open bool, opens time.Time) {
	if h.Open(t) {
		return true, time.Time{}
	}
	return false, h.next(t)
}

// Open reports whether the hours are open at a time, that is, whether the zone's clock shows
// a time in a span. When the clock is put back, it shows an hour twice, which then counts
// twice; when it is put forward, it skips an hour.
func (h *Hours) Open(t time.Time) bool {
	if h == nil {
		return true
	}
	shown := wall(t.In(h.zone))
	day := midnight(shown)
	minute := int(shown.Sub(day) / time.Minute)
	return anyHas(h.of(day), minute) || anyHas(h.of(day.AddDate(0, 0, -1)), minute+dayMinutes)
}

// next returns the first opening after t, at which the hours are closed.
func (h *Hours) next(t time.Time) time.Time {
	from := t.In(h.zone)
	limit := from.AddDate(0, 0, horizon)
	for first := true; !from.After(limit); first = false {
		if !first && h.Open(from) {
			return from // the clock change leads into a span
		}
		// Until the next change, the clock's offset from UTC is constant.
		_, change := from.ZoneBounds()
		if start := h.firstStart(from, limit, change); !start.IsZero() {
			return start
		}
		if change.IsZero() {
			break
		}
		from = change.In(h.zone)
	}
	return time.Time{}
}

// firstStart returns the first beginning of a span that is at or after from, not after limit
// and before the clock change. It returns zero if there is none.
func (h *Hours) firstStart(from, limit, change time.Time) time.Time {
	shown := wall(from)
	ahead := shown.Sub(from)
	// 24:00 of the day before is today's midnight.
	for day := midnight(shown).AddDate(0, 0, -1); ; day = day.AddDate(0, 0, 1) {
		if start := day.Add(-ahead); start.After(limit) || !change.IsZero() && !start.Before(change) {
			return time.Time{}
		}
		for _, s := range h.of(day) {
			start := day.Add(time.Duration(s.from)*time.Minute - ahead)
			if start.Before(from) {
				continue
			}
			if start.After(limit) || !change.IsZero() && !start.Before(change) {
				return time.Time{}
			}
			return start
		}
	}
}

// of returns the spans that begin on a day.
func (h *Hours) of(day time.Time) []span {
	if spans, ok := h.dates[dateOf(day)]; ok {
		return spans
	}
	return h.week[day.Weekday()]
}

func anyHas(spans []span, minute int) bool {
	for _, s := range spans {
		if s.from <= minute && minute < s.to {
			return true
		}
	}
	return false
}

// wall returns the time that the clock shows at t as a time in UTC, where every day has the
// same number of minutes.
func wall(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, t.Nanosecond(), time.UTC)
}

// midnight returns the beginning of a wall time's day.
func midnight(wall time.Time) time.Time {
	year, month, day := wall.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
