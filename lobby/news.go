package lobby

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// newsWanted says which news a lobby wants, and since when.
type newsWanted struct {
	born  string
	stirs int64
	kinds string // letters of the kinds below; "" for nothing
}

const (
	newsAgents = "a"
	newsOffers = "o"
	newsChats  = "h"
)

// news has the changes of agents, offers and chats.
type news struct {
	newsWanted      // what to ask for next time
	watched    bool // somebody wants news of agents
	all        bool // the news is complete: what it does not have is gone
	agents     []agentNews
	offers     []offerNews
	chats      []chatNews
}

// agentNews is an agent. Without seats, the agent is gone.
type agentNews struct {
	id       string
	away     bool
	capacity int64
	// The numbers of chats whose support the agent is, of claims, and of offers.
	held, claimed, offered int64
	seats                  []seatNews
}

// seatNews is one server's report about an agent.
type seatNews struct {
	since int64
	shows bool // offers
	teams teamSet
	about
}

// about is the part of a server's report that the script does not read.
type about struct {
	Name  string `json:"name"`
	Known bool   `json:"known"` // has a token
}

// offerNews is an open offer. Without an agent, the offer has ended.
type offerNews struct {
	chatID, agent string
	expires       int64 // ms
	text          offerText
	user          User
}

// chatNews is a chat with a support. Without a supportId, it no longer has one.
type chatNews struct {
	chatID, agent, supportID string
	heldRecord
}

func parseNews(from any) (n news, err error) {
	parts, ok := from.([]any)
	if !ok || len(parts) < 4 {
		return n, errReply
	}
	n.born, _ = parts[0].(string)
	n.stirs, _ = parts[1].(int64)
	n.watched, n.all = parts[2] == int64(1), parts[3] == int64(1)
	for _, part := range parts[4:] {
		values, ok := part.([]any)
		if !ok || len(values) == 0 {
			return n, errReply
		}
		name, _ := values[0].(string)
		if name == "" {
			return n, errReply
		}
		switch kind, id := name[:1], name[1:]; kind {
		case newsAgents:
			a, ok := parseAgent(id, values[1:])
			if !ok {
				return n, errReply
			}
			n.agents = append(n.agents, a)
		case newsOffers:
			o, ok := parseOffer(id, values[1:])
			if !ok {
				return n, errReply
			}
			n.offers = append(n.offers, o)
		case newsChats:
			c, ok := parseChat(id, values[1:])
			if !ok {
				return n, errReply
			}
			n.chats = append(n.chats, c)
		}
	}
	return n, nil
}

func parseAgent(id string, values []any) (a agentNews, ok bool) {
	a.id = id
	if len(values) == 0 {
		return a, true
	}
	if len(values) != 6 {
		return a, false
	}
	a.away = values[0] == statusAway
	a.capacity, _ = values[1].(int64)
	a.held, _ = values[2].(int64)
	a.claimed, _ = values[3].(int64)
	a.offered, _ = values[4].(int64)
	seats, err := texts(values[5])
	for _, seat := range seats {
		s, fine := parseSeat(seat)
		if !fine {
			return a, false
		}
		a.seats = append(a.seats, s)
	}
	return a, err == nil
}

func parseSeat(seat string) (s seatNews, ok bool) {
	fields := strings.SplitN(seat, " ", 4) // at, flags, length of the teams, the rest
	if len(fields) < 4 {
		return s, false
	}
	var errs [3]error
	var length int
	s.since, errs[0] = strconv.ParseInt(fields[0], 10, 64)
	length, errs[1] = strconv.Atoi(fields[2])
	if errs[1] != nil || length < 0 || length > len(fields[3]) {
		return s, false
	}
	s.shows, s.teams = fields[1] == "1", teamSet(fields[3][:length])
	errs[2] = json.Unmarshal([]byte(fields[3][length:]), &s.about)
	return s, errs == [3]error{}
}

func parseOffer(id string, values []any) (o offerNews, ok bool) {
	o.chatID = id
	if len(values) == 0 {
		return o, true
	}
	if len(values) != 3 {
		return o, false
	}
	o.agent, _ = values[0].(string)
	rest, _ := values[1].(string)
	record, _ := values[2].(string)
	expires, text, _ := strings.Cut(rest, " ")
	var errs [2]error
	o.expires, errs[0] = strconv.ParseInt(expires, 10, 64)
	if text != "" {
		errs[1] = json.Unmarshal([]byte(text), &o.text)
	}
	o.user, ok = parseRecord([]byte(record))
	return o, ok && errs == [2]error{}
}

func parseChat(id string, values []any) (c chatNews, ok bool) {
	c.chatID = id
	if len(values) == 0 {
		return c, true
	}
	if len(values) != 2 {
		return c, false
	}
	c.agent, _ = values[0].(string)
	rest, _ := values[1].(string)
	supportID, record, _ := strings.Cut(rest, " ")
	c.supportID = supportID
	return c, json.Unmarshal([]byte(record), &c.heldRecord) == nil
}

// teams returns the teams of the seat that the script uses.
func (a *agentNews) teams() teamSet {
	var teams teamSet
	for i, s := range a.seats {
		if i == 0 || s.shows {
			teams = s.teams
		}
	}
	return teams
}
