package client

import "time"

const (
	// typingRepeat is how often a Typing is repeated while this side types.
	typingRepeat = 3 * time.Second
	// typingPause is the minimum time between two Typing, because the server passes on one a second.
	typingPause = time.Second
	// typingShown is how long the other side counts as typing after its last Typing.
	typingShown = 6 * time.Second
)

type typing struct {
	*connection
	other  string
	signal func(kind string, args any) bool
	said   bool // the server was told that this side is typing
	at     time.Time
	shown  Typing
}

func (t *typing) key() {
	pause := typingPause
	if t.said {
		pause = typingRepeat
	}
	if time.Since(t.at) >= pause && t.signal("Typing", map[string]bool{"typing": true}) {
		t.said, t.at = true, time.Now()
	}
}

func (t *typing) stop() {
	if t.said {
		t.signal("Typing", map[string]bool{"typing": false})
	}
	t.said = false
}

func (t *typing) take(e Typing) {
	if e.From != t.other {
		return
	}
	t.clear(alarmTyping)
	if e.Typing {
		t.set(alarmTyping, typingShown, func() { t.show(Typing{From: t.other}) })
	} else {
		e.Text = ""
	}
	t.show(e)
}

// wrote ends the typing of a message's sender.
func (t *typing) wrote(from string) { t.take(Typing{From: from}) }

func (t *typing) left() {
	t.said = false
	t.wrote(t.other)
}

func (t *typing) show(e Typing) {
	if e != t.shown && (e.Typing || t.shown.Typing) {
		t.shown = e
		t.tell(e)
	}
}
