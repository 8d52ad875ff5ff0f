package chat

import (
	"bytes"
	"errors"
	"strconv"
)

// News is a message between the servers of a chat, on the chat's topic: it says that the log
// has an entry at position seq, and usually brings the entry. The payload is the position in
// decimal, a space, and the entry. If the publication is traced, the entry's first member is
// the W3C trace context, which older servers ignore. The log has no trace contexts.
func encodeNews(seq int64, entry []byte, traceparent string) []byte {
	b := make([]byte, 0, 20+len(entry)+len(header)+2+len(traceparent))
	b = strconv.AppendInt(b, seq, 10)
	if entry == nil {
		return b
	}
	b = append(b, ' ')
	if traceparent != "" {
		b = append(append(append(b, header...), traceparent...), `",`...)
		entry = entry[1:]
	}
	return append(b, entry...)
}

const header = `{"traceparent":"`

// traceparentOf returns the trace context in an entry from news, empty without one.
func traceparentOf(entry []byte) string {
	rest, found := bytes.CutPrefix(entry, []byte(header))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

var errNews = errors.New("chat: malformed news")

// decodeNews returns a nil entry if the news has only a position.
func decodeNews(payload []byte) (seq int64, entry []byte, err error) {
	for i, c := range payload {
		switch {
		case c >= '0' && c <= '9' && i < 18:
			seq = seq*10 + int64(c-'0')
		case c == ' ' && i > 0:
			return seq, payload[i+1:], nil
		default:
			return 0, nil, errNews
		}
	}
	if seq == 0 {
		return 0, nil, errNews
	}
	return seq, nil, nil
}
