package broker

import (
	"errors"
	"strings"
)

const (
	chatTopics   = "chat:"
	chatSubjects = "chat."
	// liveSubjects is the prefix of the subjects of republished messages.
	liveSubjects = "livesupport.live."
	// signalSubjects is the prefix of the subjects of signals. The stream must not have them.
	signalSubjects = "livesupport.signal."
	// markSubjects is the prefix of the broker's own messages. No topic has such a subject,
	// because two digits follow a percent sign in a topic's subject.
	markSubjects = chatSubjects + "%%"
	// maxTopic keeps the subject of a topic below the 4 KiB that a server allows for a line.
	maxTopic = 1000
)

var errTopic = errors.New("broker: topic too long")

// subject returns the subject of a topic. Characters with a meaning in subjects, and all but plain
// ASCII, are percent-encoded; chat ids stay unchanged.
func subject(topic string) string {
	rest, ok := strings.CutPrefix(topic, chatTopics)
	switch {
	case !ok:
		return topic
	case rest == "":
		return chatSubjects + "%" // a token cannot be empty
	}
	plain := true
	for i := range len(rest) {
		plain = plain && isPlain(rest[i])
	}
	if plain {
		return chatSubjects + rest
	}
	const digits = "0123456789ABCDEF"
	s := []byte(chatSubjects)
	for i := range len(rest) {
		if c := rest[i]; isPlain(c) {
			s = append(s, c)
		} else {
			s = append(s, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(s)
}

func isPlain(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '_' || c == '-'
}

// topicOf returns the topic of a subject, or "" if there is none.
func topicOf(subject string) string {
	token, ok := strings.CutPrefix(subject, chatSubjects)
	switch {
	case !ok:
		return subject
	case token == "%":
		return chatTopics
	case !strings.Contains(token, "%"):
		return chatTopics + token
	}
	topic := []byte(chatTopics)
	for i := 0; i < len(token); i++ {
		if token[i] != '%' {
			topic = append(topic, token[i])
			continue
		}
		if i+2 >= len(token) {
			return ""
		}
		high, low := digit(token[i+1]), digit(token[i+2])
		if high < 0 || low < 0 {
			return ""
		}
		topic = append(topic, byte(high<<4|low))
		i += 2
	}
	return string(topic)
}

func digit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
