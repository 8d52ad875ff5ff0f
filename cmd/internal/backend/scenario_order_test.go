package backend_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// errand runs functions of a scenario at the same time. The first error ends the scenario.
func (w *world) errand(all ...func() error) {
	w.Helper()
	done := make(chan error, len(all))
	for _, run := range all {
		go func() { done <- run() }()
	}
	var failures []error
	for range all {
		failures = append(failures, <-done)
	}
	if err := errors.Join(failures...); err != nil {
		w.Fatal(err)
	}
}

// chatter sends n messages, with a limited number of them unanswered, and collects what
// comes until it has total messages.
func (c *client) chatter(name string, n, total int) ([]obj, error) {
	const window = 20
	var got []obj
	sent, mine := 0, 0
	for len(got) < total {
		if sent < n && sent-mine < window {
			args := c.says(fmt.Sprintf("%s %d", name, sent))
			if err := c.write(1, text(frame("ChatMessage", args))); err != nil {
				return nil, err
			}
			sent++
			continue
		}
		message, err := c.takeMessage()
		if err != nil {
			return nil, fmt.Errorf("after %d of %d messages: %w", len(got), total, err)
		}
		if message["content"] == fmt.Sprintf("%s %d", name, mine) {
			mine++
		}
		got = append(got, message)
	}
	if mine != n {
		return nil, fmt.Errorf("%s: %d of %d own messages, in order", c.name, mine, n)
	}
	return got, nil
}

// takeMessage reads the next frame, which must be a ChatMessage of the chat.
func (c *client) takeMessage() (obj, error) {
	want := c.v.message("", "")
	for _, key := range []string{"supportId", "content", "from"} {
		want[key] = anything
	}
	got, err := c.take(frame("ChatMessage", want))
	if err != nil {
		return nil, err
	}
	return got["args"].(obj), nil
}

// sameOrder reports where two accounts of one conversation differ.
func sameOrder(a, b []obj) error {
	for i := range min(len(a), len(b)) {
		if !reflect.DeepEqual(a[i], b[i]) {
			return fmt.Errorf("at %d: %v and %v", i, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d messages", len(a), len(b))
	}
	return nil
}

func messagesOf(history obj) []obj {
	var messages []obj
	for _, message := range history["messages"].([]any) {
		messages = append(messages, message.(obj))
	}
	return messages
}

func TestScenarioOrder(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(unlimited, scenarios{
		"one order on every socket, which is the history's; nothing missing or twice around a Join": func(w *world) {
			v, user, support := w.couple()
			tab, desk := w.chat(v), w.chat(v)
			tab.rejoins("User")
			tab.expectHistory()
			desk.rejoins("Support")
			desk.expectHistory()

			const each, joiners = 60, 8
			senders := []*client{user, support, tab, desk}
			total := each * len(senders)
			accounts := make([][]obj, len(senders)+joiners)
			var errands []func() error
			for i, c := range senders {
				errands = append(errands, func() (err error) {
					accounts[i], err = c.chatter(fmt.Sprint("sender ", i), each, total)
					return err
				})
			}
			// Sockets that join while the others talk.
			late := make([]*client, joiners)
			for i := range late {
				late[i] = w.chat(v)
			}
			watch := w.chat(v) // joins first and tells the others when
			watch.rejoins("User")
			watch.expectHistory()
			errands = append(errands, func() error {
				for i := range total {
					if _, err := watch.takeMessage(); err != nil {
						return err
					}
					if next := i * (joiners + 1) / total; i*(joiners+1)%total < joiners+1 && next < joiners {
						args := with(v.asUser(), "supportId", v.supportID)
						if err := late[next].write(1, text(frame("Join", args))); err != nil {
							return err
						}
					}
				}
				return nil
			})
			for i, c := range late {
				errands = append(errands, func() error {
					history, err := c.take(frame("ChatHistory", obj{"messages": anything}))
					if err != nil {
						return err
					}
					account := messagesOf(history["args"].(obj))
					for len(account) < total {
						message, err := c.takeMessage()
						if err != nil {
							return fmt.Errorf("after %d: %w", len(account), err)
						}
						account = append(account, message)
					}
					accounts[len(senders)+i] = account
					return nil
				})
			}
			w.errand(errands...)

			last := w.chat(v)
			last.rejoins("User")
			truth := messagesOf(last.expect("ChatHistory", obj{"messages": anything}))
			if len(truth) != total {
				w.Fatalf("the history has %d of %d messages", len(truth), total)
			}
			for i := 1; i < total; i++ {
				if a, b := truth[i-1]["timestamp"].(string), truth[i]["timestamp"].(string); b < a {
					w.Fatalf("timestamp %s after %s", b, a)
				}
			}
			for i, account := range accounts {
				if err := sameOrder(truth, account); err != nil {
					w.Fatalf("socket %d differs from the history %v", i, err)
				}
			}
			for _, c := range append(senders, append(late, watch, last)...) {
				c.expectAnswersOnly()
			}
		},
		"a support joins while the user writes: what came before is the history, the rest is live": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			const before, total = 30, 120
			support := w.chat(v)
			var seen, supports []obj
			var joined obj
			w.errand(func() error {
				joinedAt, sent := -1, 0
				for len(seen) < total {
					if sent < total && sent-len(seen) < 20 {
						user.role = "User"
						if err := user.write(1, text(frame("ChatMessage", user.says(fmt.Sprint(sent))))); err != nil {
							return err
						}
						if sent++; sent == before {
							if err := support.write(1, text(frame("Join", v.asSupport("Vika")))); err != nil {
								return err
							}
						}
						continue
					}
					got, err := user.next(patience)
					if err != nil {
						return err
					}
					object, err := parse(got)
					if err != nil {
						return err
					}
					if object["type"] == "SupportJoinedUser" && joinedAt < 0 {
						joinedAt, joined = len(seen), object
						continue
					}
					want := v.message("User", fmt.Sprint(len(seen)))
					if joinedAt >= 0 {
						want["supportId"] = joined["args"].(obj)["supportId"]
					}
					if wrong := mismatch("", frame("ChatMessage", want), object); wrong != "" {
						return fmt.Errorf("the user got %s: %s", got, wrong)
					}
					seen = append(seen, object["args"].(obj))
				}
				return nil
			}, func() error {
				want := obj{
					"supportId": anyID, "supportUserName": "Vika",
					"username": v.username, "userId": v.userID, "chatId": v.chatID,
				}
				if _, err := support.take(frame("SupportJoinedUser", want)); err != nil {
					return err
				}
				history, err := support.take(frame("ChatHistory", obj{"messages": anything}))
				if err != nil {
					return err
				}
				supports = messagesOf(history["args"].(obj))
				for i, message := range supports {
					if message["supportId"] != "" {
						return fmt.Errorf("message %d of the history is not from before: %v", i, message)
					}
				}
				for len(supports) < total {
					message, err := support.takeMessage()
					if err != nil {
						return fmt.Errorf("after %d: %w", len(supports), err)
					}
					supports = append(supports, message)
				}
				return nil
			})
			if joined == nil {
				w.Fatal("the user never heard of the support")
			}
			if err := sameOrder(seen, supports); err != nil {
				w.Fatalf("user and support differ %v", err)
			}
			user.expectAnswersOnly()
			support.expectAnswersOnly()
		},
	}))
}
