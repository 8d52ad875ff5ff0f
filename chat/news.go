package chat

import (
	"bytes"
	"errors"
	"strconv"
)

// News is what servers tell each other about a chat, on its topic: that the log
// has an entry at position seq, and usually which. The payload is the position
// in decimal, then a space and the entry. Its header is the W3C trace context of
// the publication, if that is traced: the first member of the entry, where servers
// that do not know it ignore it. The log has none.
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

// traceparentOf returns the trace context in the entry that news has brought; it
// is empty if there is none.
func traceparentOf(entry []byte) string {
	rest, found := bytes.CutPrefix(entry, []byte(header))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

var errNews = errors.New("chat: malformed news")

// decodeNews returns a nil entry if the news does not bring it.
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
