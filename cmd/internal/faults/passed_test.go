package faults_test

import (
	"encoding/json"
	"slices"
)

// passed is what a chat's log tells of who had it.
type passed struct {
	messages        []message       // those that count
	stale           map[string]bool // messages of a support who did not have the chat, or behind its end
	given, lost     map[string]int  // releases, by supportId
	support         string
	former          []string
	moves           int
	lostBy          string
	connected       []string
	takes, takeBack int
	agents          map[string]string // of the supportIds, where agents need tokens
	closedBy        string            // "" of an open chat
	notes           int
}

// passedOn folds a log with the same result as the servers, but in its own way.
func passedOn(entries []entry) *passed {
	p := &passed{stale: map[string]bool{}, given: map[string]int{}, lost: map[string]int{}, agents: map[string]string{}}
	for _, e := range entries {
		switch e.Kind {
		case "supportJoined":
			back := slices.Contains(p.former, e.SupportID)
			if p.closedBy != "" || p.support != "" || back && (p.lostBy != e.SupportID || e.Seq != p.moves) {
				continue
			}
			if back {
				p.takeBack++
				p.former = slices.DeleteFunc(p.former, func(id string) bool { return id == e.SupportID })
			}
			p.takes++
			p.agents[e.SupportID] = e.Agent
			p.support, p.lostBy, p.connected = e.SupportID, "", []string{e.Server}
			p.moves++
		case "released":
			if p.closedBy != "" || e.SupportID == "" || e.SupportID != p.support || e.Lost && e.Seq != p.moves {
				continue
			}
			if e.Lost {
				p.lost[p.support]++
				p.lostBy = p.support
			} else {
				p.given[p.support]++
			}
			p.former = append(p.former, p.support)
			p.support = ""
			p.moves++
		case "connected", "disconnected":
			i := slices.Index(p.connected, e.Server)
			if e.SupportID != p.support || p.support == "" || (e.Kind == "connected") == (i >= 0) {
				continue
			}
			if i < 0 {
				p.connected = append(p.connected, e.Server)
			} else {
				p.connected = slices.Delete(p.connected, i, i+1)
			}
			p.moves++
		case "message":
			known := slices.ContainsFunc(p.messages, func(m message) bool { return m.MessageID == e.MessageID && m.From == e.From })
			switch {
			case known:
			case p.closedBy != "":
				p.stale[e.MessageID] = true
			case e.From == "Support" && (p.support == "" || e.SupportID != p.support):
				p.stale[e.MessageID] = true
			default:
				p.messages = append(p.messages, message{MessageID: e.MessageID, From: e.From, SupportID: p.support})
			}
		case "closed":
			if p.closedBy == "" && (e.From != "Support" || e.SupportID != "" && e.SupportID == p.support) {
				p.closedBy = e.From
			}
		case "note":
			p.notes++
		}
	}
	return p
}

// history returns what a server shows of a chat to an observer.
func (w *world) history(s *server, v visitor) ([]message, error) {
	conn, err := dialAs(w.Context(), s.addr, "/chat/"+v.ChatID, w.token)
	if err != nil {
		return nil, err
	}
	frames, stop := listen(conn)
	defer stop()
	join := encode("Join", map[string]any{"userId": v.UserID, "from": "Observer", "supportUserName": "Boss", "features": []string{"messageId", "close"}})
	if err := write(w.Context(), conn, join); err != nil {
		return nil, err
	}
	for {
		text, err := next(frames, answerWithin)
		if err != nil {
			return nil, err
		}
		var f told
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return nil, err
		}
		if f.Type == "ChatHistory" {
			return f.Args.Messages, nil
		}
	}
}

// bare returns the parts of messages that are compared.
func bare(messages []message) []string {
	out := make([]string, len(messages))
	for i, m := range messages {
		out[i] = m.From + " " + m.MessageID + " " + m.SupportID
	}
	return out
}
