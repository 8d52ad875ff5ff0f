package follow

import (
	"fmt"

	"livesupport/chat/log"
)

// progress is how far a listener is with a log.
type progress struct {
	cursor int64    // the entry up to which the listener has everything
	tries  int64    // failed tries of the next event
	upTo   log.Past // of the log up to the cursor; zero if that is not known
}

// progressOf returns the progress with the saved fields: the cursor, the tries, and of.
func progressOf(fields []any) progress {
	p := progress{cursor: number(fields[0]), tries: number(fields[1])}
	of, _ := fields[2].(string)
	var cursor int64
	var upTo []byte
	if n, _ := fmt.Sscanf(of, "%d-%x", &cursor, &upTo); n == 2 && cursor == p.cursor && len(upTo) == len(p.upTo) {
		p.upTo = log.Past(upTo)
	}
	return p
}

// of returns the log that the progress belongs to, with the cursor: whoever has ended a chat moves only that.
func (p *progress) of() string { return fmt.Sprintf("%d-%s", p.cursor, p.upTo) }

// strays reports whether the log, which was read up to the cursor, is not the one that the cursor is of.
func (v *visiting) strays() bool {
	return v.last == v.cursor && v.upTo != log.Past{} && v.upTo != v.past
}
