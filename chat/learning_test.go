package chat

import (
	"strings"
	"testing"
	"time"

	"livesupport/chat/log/logtest"
)

// A client may have learned something from another server that this server has not been told yet.
// The client is not refused for that, but only for what the log does not have.
func TestWhatOtherServersKnow(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUserWith(u, allFeatures)
	observer := d.services[0].connect(u.ChatID)
	observer.send(`{"type":"Join","args":{"userId":%q,"from":"Observer","supportUserName":"Ona"}}`, u.UserID)
	// tries sends a frame and returns the code of its refusal, "" if it is accepted.
	tries := func(who *peer, frame string) string {
		before := len(who.frames(`{"type":"Error"`))
		who.send("%s", frame)
		if refused := who.frames(`{"type":"Error"`)[before:]; len(refused) > 0 {
			_, code, _ := strings.Cut(refused[0], `"code":"`)
			code, _, _ = strings.Cut(code, `"`)
			return code
		}
		return ""
	}
	for _, one := range []struct {
		who         *peer
		frame, code string
	}{
		{user, `{"type":"Rate","args":{"score":5}}`, "forbidden"},
		{user, `{"type":"Receipt","args":{"read":1}}`, "bad_request"},
		{observer, transfers, "bad_request"},
	} {
		if got := tries(one.who, one.frame); got != one.code {
			t.Errorf("%s is refused with %q before the log has what it needs", one.frame, got)
		}
	}
	d.write(u, logtest.SupportJoins("first"))
	if got := tries(user, `{"type":"Rate","args":{"score":5}}`); got != "" || user.last(`{"type":"Rated"`) == "" {
		t.Errorf("Rate is refused with %q", got)
	}
	d.write(u, logtest.SupportSays("hello", "first", "Hello"))
	if got := tries(user, `{"type":"Receipt","args":{"read":1}}`); got != "" {
		t.Errorf("Receipt is refused with %q", got)
	}
	if got := tries(observer, transfers); got != "" {
		t.Errorf("Transfer is refused with %q", got)
	}
	d.write(u, logtest.SupportJoins("second"))
	if got := tries(observer, transfers); got != "" {
		t.Errorf("the second Transfer is refused with %q", got)
	}
}
