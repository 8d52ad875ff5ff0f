package bot

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../bot/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseAnswers(text); err != nil {
		t.Errorf("the example: %v", err)
	}
	a, err := ParseAnswers([]byte(`{"agent":["real person","人"],"questions":[
		{"ask":["open"],"answer":"always"},{"ask":["open sunday","sonntag"],"answer":"not on Sundays"},{"ask":["营业时间"],"answer":"九点"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string]string{
		"Are you OPEN?":           "always",
		"sunday, are you open":    "not on Sundays",
		"Auch am Sonntag?":        "not on Sundays",
		"opening":                 "",
		"你们的营业时间是什么？":             "九点",
		"":                        "",
		"the shop's openness, no": "",
	} {
		if got, _ := a.To(context.Background(), message); got != want {
			t.Errorf("%q is answered by %q, want %q", message, got, want)
		}
	}
	for message, want := range map[string]bool{"A person, a real one!": true, "person": false, "我要找人": true, "": false} {
		if got := a.WantsAgent(message); got != want {
			t.Errorf("%q asks for a person: %v", message, got)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`:                 "cannot unmarshal",
		`{"question":[]}`:    `unknown field "question"`,
		`{} {}`:              "one JSON object",
		`{"agent":["?"]}`:    `agent: "?" has no words`,
		`{"questions":[{}]}`: "questions[0]: want",
		`{"questions":[{"ask":["a"],"answer":" "}]}`:               "questions[0]: want",
		`{"questions":[{"ask":["-"],"answer":"a"}]}`:               `questions[0].ask: "-" has no words`,
		`{"greeting":"` + strings.Repeat("x", maxContent+1) + `"}`: "greeting: want at most 8000",
	} {
		if _, err := ParseAnswers([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", text, err, want)
		}
	}
}
