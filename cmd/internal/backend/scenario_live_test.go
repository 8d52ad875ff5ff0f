package backend_test

import (
	"cmp"
	"strings"
)

// Sockets that have listed features, for the scenarios of the extensions.

// joinsWith sends a Join that lists features: the first one of its role, or that of
// a refreshed page once the chat has a support.
func (c *client) joinsWith(role string, features ...string) {
	c.t.Helper()
	c.role = role
	args := c.v.asUser()
	if role == "Support" {
		args = c.v.asSupport(cmp.Or(c.v.supportName, "Vika"))
	}
	if c.v.supportID != "" {
		args = with(args, "supportId", c.v.supportID)
	}
	c.send("Join", with(args, "features", listed(features)))
}

// listed is a list in JSON, too, if there are none.
func listed(features []string) []string { return append([]string{}, features...) }

// rejoined opens a socket that takes part in a chat with a support and lists
// features; it wants the history and returns the socket.
func (w *world) rejoined(v *visitor, role string, features []string, history ...obj) *client {
	w.Helper()
	c := w.chat(v)
	c.joinsWith(role, features...)
	c.expectHistory(history...)
	return c
}

// liveCouple is couple with both sockets listing features.
func (w *world) liveCouple(features ...string) (v *visitor, user, support *client) {
	w.Helper()
	v = w.register("Nika")
	user, support = w.chat(v), w.chat(v)
	user.joinsWith("User", features...)
	user.expect("UserJoined", v.pending())
	support.joinsWith("Support", features...)
	v.supportName = "Vika"
	v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
	user.expectSupportJoined()
	return v, user, support
}

// entries counts the entries of a chat's log that contain a text.
func (w *world) entries(v *visitor, text string) (n int) {
	w.Helper()
	log, err := w.redis().LRange(w.Context(), "chat:{"+v.chatID+"}", 0, -1).Result()
	if err != nil {
		w.Fatal(err)
	}
	for _, entry := range log {
		n += min(1, strings.Count(entry, text))
	}
	return n
}

// logs reports whether a chat's log has entries with these texts, as many as named.
func (w *world) logs(v *visitor, texts ...string) bool {
	w.Helper()
	wanted := map[string]int{}
	for _, text := range texts {
		wanted[text]++
	}
	for text, n := range wanted {
		if w.entries(v, text) < n {
			return false
		}
	}
	return true
}

// skip takes the frames of a type, and waits for one of another, which stays.
func (c *client) skip(typ string) {
	c.t.Helper()
	for {
		frame, err := c.next(patience)
		if err != nil {
			c.t.Fatalf("%s: %v", c.name, err)
		}
		if !strings.HasPrefix(frame, `{"type":"`+typ+`"`) {
			c.unread(frame)
			return
		}
	}
}
