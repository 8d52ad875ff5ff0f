package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Answers are the texts of a bot.
type Answers struct {
	Greeting  string     `json:"greeting"` // its first message, if it is not empty
	Handover  string     `json:"handover"` // its message before a transfer, if it is not empty
	Agent     []string   `json:"agent"`    // phrases with which visitors ask for a person
	Questions []Question `json:"questions"`
}

// Question is a question with its answer. A message asks the question if it contains one
// of the phrases in Ask, or all words of one in any order.
type Question struct {
	Ask    []string `json:"ask"`
	Answer string   `json:"answer"`
}

// maxContent is the maximum number of characters in a message.
const maxContent = 8_000

// ParseAnswers reads the JSON of a file. Unknown keys are an error.
func ParseAnswers(text []byte) (Answers, error) {
	var a Answers
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, err
	}
	if d.More() {
		return a, errors.New("want one JSON object")
	}
	phrases := map[string][]string{"agent": a.Agent}
	texts := map[string]string{"greeting": a.Greeting, "handover": a.Handover}
	for i, q := range a.Questions {
		at := fmt.Sprintf("questions[%d]", i)
		phrases[at+".ask"], texts[at+".answer"] = q.Ask, q.Answer
		if len(q.Ask) == 0 || strings.TrimSpace(q.Answer) == "" {
			return a, errors.New(at + ": want at least one phrase in ask, and an answer")
		}
	}
	for at, all := range phrases {
		for _, phrase := range all {
			if len(words(phrase)) == 0 {
				return a, fmt.Errorf("%s: %q has no words", at, phrase)
			}
		}
	}
	for at, text := range texts {
		if utf8.RuneCountInString(text) > maxContent {
			return a, fmt.Errorf("%s: want at most %d characters", at, maxContent)
		}
	}
	return a, nil
}

// To returns the answer to a message, or "" if there is none. If several questions match,
// it takes the one with the longest phrase.
func (a Answers) To(_ context.Context, message string) (string, error) {
	best, answer := 0, ""
	for _, q := range a.Questions {
		if n := asks(message, q.Ask); n > best {
			best, answer = n, q.Answer
		}
	}
	return answer, nil
}

// WantsAgent reports whether a message asks for a person.
func (a Answers) WantsAgent(message string) bool { return asks(message, a.Agent) > 0 }

// asks returns the number of words in the longest phrase that a message contains.
func asks(message string, phrases []string) (longest int) {
	occur := map[string]bool{}
	for _, word := range words(message) {
		occur[word] = true
	}
	for _, phrase := range phrases {
		all, here := words(phrase), true
		for _, word := range all {
			here = here && occur[word]
		}
		// Some languages have no spaces between words.
		if !here && !unspaced(phrase) {
			continue
		}
		if here || strings.Contains(strings.ToLower(message), strings.ToLower(phrase)) {
			longest = max(longest, len(all))
		}
	}
	return longest
}

func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

// unspaced reports whether a text is in a script without spaces between words.
func unspaced(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
	})
}
