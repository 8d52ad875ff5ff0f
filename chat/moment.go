package chat

import "time"

// moment is a time by this process's monotonic clock, in nanoseconds. It takes a third of
// the memory of a time.Time, and each chat has many. The zero moment means none.
type moment int64

// begin is earlier than any moment that is used, so that none of them is zero.
var begin = time.Now().Add(-time.Hour)

func now() moment { return moment(time.Since(begin)) }

func (m moment) isNone() bool { return m == 0 }

func (m moment) add(d time.Duration) moment { return m + moment(d) }

// sub returns the time from earlier to m.
func (m moment) sub(earlier moment) time.Duration { return time.Duration(m - earlier) }

func (m moment) since() time.Duration { return now().sub(m) }

func (m moment) until() time.Duration { return m.sub(now()) }
