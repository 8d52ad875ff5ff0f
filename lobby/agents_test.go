package lobby

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
)

// desktop is the page of an agent who lists features.
type desktop struct {
	page
	*Agent
	t *testing.T
}

func (l *Lobby) sitDown(t *testing.T, who *wire.Identity, args string) *desktop {
	t.Helper()
	d := &desktop{t: t}
	d.Agent = l.Connect(&d.page, who)
	d.send("Load", args)
	return d
}

func (d *desktop) send(kind, args string) {
	d.t.Helper()
	d.Receive([]byte(`{"type":"`+kind+`","args":`+args+`}`), time.Now())
}

// frame is a frame of these kinds, taken apart.
type frame struct {
	Type string
	Args struct {
		UserID, ChatID, Username, Agent, Expires, From, Note, Code, SupportID, SupportUserName, Since, Team string
		Agents                                                                                              []shownAgent
	}
}

// of are the frames that have come of a kind.
func (d *desktop) of(kind string) (list []frame) {
	d.t.Helper()
	for _, text := range d.got() {
		var f frame
		if err := json.Unmarshal([]byte(text), &f, json.MatchCaseInsensitiveNames(true)); err != nil {
			d.t.Fatalf("%s: %v", text, err)
		}
		if f.Type == kind {
			list = append(list, f)
		}
	}
	return list
}

// agents is what the page shows of agents.
func (d *desktop) agents() string {
	lists := d.of("Agents")
	if len(lists) == 0 {
		return "none"
	}
	var b []string
	for _, a := range lists[len(lists)-1].Args.Agents {
		name := a.SupportUserName
		if name == "" {
			name = "-"
		}
		text := fmt.Sprintf("%s %s %d/%d", name, a.Status, a.Chats, a.Capacity)
		if a.Teams != nil {
			text += " " + strings.Join(a.Teams, "+")
		}
		b = append(b, text)
	}
	return strings.Join(b, ", ")
}

func (d *desktop) shows(want string) {
	d.t.Helper()
	eventually(d.t, "agents: "+want, func() bool { return d.agents() == want })
}

func (d *desktop) await(kind string, n int) []frame {
	d.t.Helper()
	eventually(d.t, fmt.Sprint(n, " of ", kind), func() bool { return len(d.of(kind)) >= n })
	return d.of(kind)
}

func identity(name string, teams ...string) *wire.Identity {
	return &wire.Identity{Subject: strings.ToLower(name), Name: name, Teams: teams}
}

// TestAgents: a socket that lists it is told of all agents, at whatever lobby: their status and how
// many chats they have, until they are gone.
func TestAgents(t *testing.T) {
	d := deploy(t, silent{}, 2, slow)
	vika := d.lobbies[0].sitDown(t, identity("Vika", "billing"), `{"features":["agents"]}`)
	vika.shows("Vika online 0/0 billing")
	dodo := d.lobbies[1].sitDown(t, identity("Dodo"), `{}`) // as a README client
	vika.shows("Dodo online 0/0, Vika online 0/0 billing")
	again := d.lobbies[1].sitDown(t, identity("Vika", "billing"), `{"features":["agents"]}`)
	again.shows("Dodo online 0/0, Vika online 0/0 billing")

	vika.send("Status", `{"status":"away","capacity":4}`)
	again.shows("Dodo online 0/0, Vika away 0/4 billing")
	for n, agent := range []string{"vika", "vika", "dodo"} {
		if err := d.queue.Taken(t.Context(), Held{User: user(n), Agent: agent, SupportID: "s"}); err != nil {
			t.Fatal(err)
		}
	}
	again.shows("Dodo online 1/0, Vika away 2/4 billing")
	if err := d.queue.Drop(t.Context(), user(0).ChatID); err != nil {
		t.Fatal(err)
	}
	vika.Closed() // the status is one on all sockets
	dodo.Closed()
	again.shows("Vika away 1/4 billing")
	again.send("Status", `{"status":"online","capacity":0}`)
	again.shows("Vika online 1/0 billing")
	for i, at := range again.times[1:] {
		if again.of("Agents"); strings.Contains(again.frames[i+1], `"Agents"`) && strings.Contains(again.frames[i], `"Agents"`) && at.Sub(again.times[i]) < agentsEvery*9/10 {
			t.Errorf("told again after %v", at.Sub(again.times[i]))
		}
	}
	again.Closed()
	last := d.lobbies[0].sitDown(t, identity("Vika"), `{"features":["agents"]}`)
	last.shows("Vika online 1/0")
}

// TestAgentsWithoutTokens: each socket is an agent, who has the chats that the socket has claimed.
func TestAgentsWithoutTokens(t *testing.T) {
	d := deploy(t, silent{}, 2, slow)
	if err := d.queue.Add(t.Context(), user(1)); err != nil {
		t.Fatal(err)
	}
	first := d.lobbies[0].sitDown(t, nil, `{}`)
	first.send("JoinUser", fmt.Sprintf(`{"userId":%q,"chatId":%q}`, user(1).UserID, user(1).ChatID))
	second := d.lobbies[1].sitDown(t, nil, `{"features":["agents"],"supportUserName":" Nino "}`)
	second.shows("- online 1/0, Nino online 0/0")
	if err := d.queue.Taken(t.Context(), Held{User: user(1), SupportID: "s"}); err != nil {
		t.Fatal(err)
	}
	first.send("Status", `{"status":"online","capacity":2}`)
	second.shows("- online 1/2, Nino online 0/0")
	third := d.lobbies[1].sitDown(t, nil, `{"features":["agents"],"supportUserName":"Nino"}`)
	third.shows("- online 1/2, Nino online 0/0, Nino online 0/0")
	first.Closed()
	second.shows("Nino online 0/0, Nino online 0/0")
}

// TestStatusRefused: an invalid Status changes nothing.
func TestStatusRefused(t *testing.T) {
	d := deploy(t, silent{}, 1, slow)
	vika := d.lobbies[0].sitDown(t, nil, `{"features":["agents"],"supportUserName":"Vika"}`)
	vika.send("Status", `{"status":"away","capacity":100}`)
	vika.shows("Vika away 0/100")
	wrong := []string{
		`{"status":"away"}`, `{"capacity":1}`, `{}`, `null`, `{"status":"busy","capacity":1}`, `{"status":"online","capacity":-1}`,
		`{"status":"online","capacity":101}`, `{"status":"online","capacity":1.5}`, `{"status":"online","capacity":"1"}`,
		`{"status":1,"capacity":1}`, `{"status":null,"capacity":1}`, `{"status":"online","capacity":null}`,
	}
	for i, args := range wrong {
		vika.send("Status", args)
		if errors := vika.of("Error"); len(errors) != i+1 || errors[i].Args.Code != "bad_request" {
			t.Errorf("%s: %+v", args, errors)
		}
	}
	for i, args := range []string{`{"supportUserName":"\u0000"}`, `{"supportUserName":1}`, `{"features":1}`} {
		vika.send("Load", args)
		if errors := vika.of("Error"); len(errors) != len(wrong)+i+1 || errors[len(wrong)+i].Args.Code != "bad_request" {
			t.Errorf("%s: %+v", args, errors)
		}
	}
	other := d.lobbies[0].sitDown(t, identity("Dodo"), `{"supportUserName":"Vika"}`)
	if errors := other.of("Error"); len(errors) != 1 || errors[0].Args.Code != "forbidden" {
		t.Errorf("another's name: %+v", errors)
	}
	other.send("Load", `{"supportUserName":"Dodo"}`)
	vika.shows("Dodo online 0/0, Vika away 0/100")
}

// TestOffers: an agent's sockets that list offers are told of an offer and of its end.
func TestOffers(t *testing.T) {
	cfg := slow
	cfg.OfferTTL = 3 * time.Second
	d := deploy(t, silent{}, 2, cfg)
	ctx := t.Context()
	u := told(1, 3)
	u.Since = time.Now().UnixMicro()
	watcher := d.lobbies[1].sitDown(t, nil, `{}`)
	vika := d.lobbies[0].sitDown(t, identity("Vika"), `{"features":["offers"]}`)
	detailed := d.lobbies[1].sitDown(t, identity("Vika"), `{"features":["offers","details"]}`)
	mute := d.lobbies[1].sitDown(t, identity("Vika"), `{}`)
	reach := func(want bool) {
		t.Helper()
		eventually(t, "Vika can be reached", func() bool { ok, err := d.queue.Reachable(ctx, "vika"); return err == nil && ok == want })
	}
	reach(true)
	release := func() {
		t.Helper()
		if err := d.queue.Release(ctx, u, Offered{Agent: "vika", From: "Dodo", Note: "a note"}); err != nil {
			t.Fatal(err)
		}
	}
	user := fmt.Sprintf(`{"userId":%q,"chatId":%q}`, u.UserID, u.ChatID)

	release()
	offer := vika.await("Offer", 1)[0].Args
	if expires, err := time.Parse("2006-01-02T15:04:05.000000Z", offer.Expires); err != nil || time.Until(expires) > 3*time.Second || time.Until(expires) < 0 {
		t.Errorf("expires at %s", offer.Expires)
	}
	if offer.UserID != u.UserID || offer.ChatID != u.ChatID || offer.Username != u.Username || offer.From != "Dodo" || offer.Note != "a note" || offer.Since != "" {
		t.Errorf("offered: %+v", offer)
	}
	if offer := detailed.await("Offer", 1)[0].Args; offer.Team != u.Team || offer.Since != timestamp(u.Since) {
		t.Errorf("offered: %+v", offer)
	}
	late := d.lobbies[1].sitDown(t, identity("Vika"), `{"features":["offers"]}`)
	late.await("Offer", 1)

	// It runs out, and the user is everybody's.
	for _, page := range []*desktop{vika, detailed, late} {
		if gone := page.await("OfferGone", 1); gone[0].Args.UserID != u.UserID {
			t.Errorf("gone: %+v", gone)
		}
	}
	watcher.await("UserJoined", 1)
	back, err := d.queue.TakeBack(ctx, u.ChatID, "s")
	if err != nil || !back {
		t.Fatal(back, err)
	}
	watcher.await("RemoveUser", 1)

	// Accepted: the agent who takes the user gets RemoveUser, the others are told that the offer is
	// over.
	release()
	late.await("Offer", 2)
	vika.await("Offer", 2)
	detailed.await("Offer", 2)
	vika.send("JoinUser", user)
	detailed.await("OfferGone", 2)
	if n := len(vika.of("RemoveUser")); n != 2 || len(vika.of("Error")) != 0 {
		t.Errorf("%d of RemoveUser: %q", n, vika.got())
	}
	late.await("OfferGone", 2)
	vika.send("JoinUser", user)
	if n := len(vika.of("RemoveUser")); n != 3 {
		t.Errorf("%d of RemoveUser", n)
	}
	if err := d.queue.Taken(ctx, Held{User: u, Agent: "vika", SupportID: "s2"}); err != nil {
		t.Fatal(err)
	}

	// Declined.
	release()
	late.await("Offer", 3)
	vika.await("Offer", 3)
	mute.send("Decline", `{"userId":"`+u.UserID+`"}`)
	mute.send("Decline", fmt.Sprintf(`{"userId":%q,"chatId":%q}`, u.UserID, u.UserID))
	mute.send("Decline", user)
	late.await("OfferGone", 3)
	watcher.await("UserJoined", 2)
	mute.send("Decline", user) // nothing to decline
	if errors := mute.of("Error"); len(errors) != 1 || errors[0].Args.Code != "bad_request" {
		t.Errorf("declining: %+v", errors)
	}
	vika.await("OfferGone", 2)
	if n := len(vika.of("OfferGone")); n != 2 {
		t.Errorf("who accepted was told %d times that an offer is over", n)
	}
	if n := len(mute.of("Offer")); n != 0 {
		t.Errorf("offered %d times to who does not list it", n)
	}
	for _, page := range []*desktop{vika, detailed, late, mute} {
		page.Closed()
	}
	reach(false)
}

// TestTeams: agents see users of their teams, and those without one.
func TestTeams(t *testing.T) {
	d := deploy(t, silent{}, 2, slow)
	d.lobbies[0].cfg.HasTeam = func(team string) bool { return team != "gone" }
	ctx := t.Context()
	teams := map[int]string{1: "billing", 2: "", 3: "sales", 4: "gone"}
	add := func(n int) {
		u := user(n)
		u.Team = teams[n]
		if err := d.queue.Add(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	add(1)
	add(2)
	add(3)
	pages := map[*desktop][]int{
		d.lobbies[0].sitDown(t, identity("Vika", "billing"), `{"batch":true}`):                         {1, 2},
		d.lobbies[0].sitDown(t, identity("Dodo", "sales", "billing"), `{}`):                            {1, 2, 3},
		d.lobbies[0].sitDown(t, identity("Nino"), `{"features":["details"]}`):                          {1, 2, 3, 4},
		d.lobbies[0].sitDown(t, identity("Gia", "gone"), `{"features":["verified"]}`):                  {1, 2, 3, 4},
		d.lobbies[0].sitDown(t, identity("Lali", "gone", "billing"), `{"features":["details"]}`):       {1, 2},
		d.lobbies[1].sitDown(t, identity("Irma", "other", "bill", "sales billing"), `{"batch":false}`): {2},
		d.lobbies[1].sitDown(t, nil, `{}`):                                                             {1, 2, 3, 4},
	}
	add(4)
	sees := func(d *desktop, what string) (users []int) {
		for n := range 4 {
			for _, text := range d.got() {
				if strings.Contains(text, user(n+1).UserID) && strings.Contains(text, what) {
					users = append(users, n+1)
					break
				}
			}
		}
		return users
	}
	for page, want := range pages {
		eventually(t, fmt.Sprintf("%s sees %v", page.id, want), func() bool { return slices.Equal(sees(page, "username"), want) })
	}
	for n := range 4 {
		u := user(n + 1)
		u.Team, u.Messages, u.Message = teams[n+1], 1, "hello"
		if err := d.queue.Change(ctx, []User{u}); err != nil {
			t.Fatal(err)
		}
	}
	for page, want := range pages {
		if page.group.audience == detailed {
			eventually(t, fmt.Sprintf("%s is told of changes of %v", page.id, want), func() bool { return slices.Equal(sees(page, "UserChanged"), want) })
		}
		claimed := 3
		if page.who != nil && page.who.Name == "Vika" {
			page.send("JoinUser", fmt.Sprintf(`{"userId":%q,"chatId":%q}`, user(claimed).UserID, user(claimed).ChatID))
			if errors := page.of("Error"); len(errors) != 1 || errors[0].Args.Code != "already_taken" || len(page.of("RemoveUser")) != 1 {
				t.Errorf("another team's user: %q", page.got())
			}
		}
	}
	if err := d.queue.Remove(ctx, user(3).ChatID); err != nil {
		t.Fatal(err)
	}
	for page, want := range pages {
		if slices.Contains(want, 3) {
			page.await("RemoveUser", 1)
		}
	}
	for page, want := range pages {
		n := 0
		if slices.Contains(want, 3) {
			n = 1
		}
		if page.who != nil && page.who.Name == "Vika" {
			n = 1
		}
		if got := len(page.of("RemoveUser")); got != n {
			t.Errorf("%s got %d of RemoveUser", page.id, got)
		}
	}
}

// TestChats: supervisors, or everybody if there are no tokens, are told which chats have a support.
func TestChats(t *testing.T) {
	d := deploy(t, silent{}, 2, slow)
	ctx := t.Context()
	boss := identity("Boss")
	boss.Supervisor = true
	pages := []*desktop{
		d.lobbies[0].sitDown(t, boss, `{"features":["chats"]}`),
		d.lobbies[1].sitDown(t, nil, `{"features":["chats"]}`),
	}
	other := d.lobbies[0].sitDown(t, identity("Vika"), `{"features":["chats"]}`)
	held := Held{User: user(1), Agent: "vika", SupportID: "s1", SupportUserName: "Vika", Since: 1697998739360855}
	held.Team = "billing"
	eventually(t, "chats are watched", func() bool { watched, err := d.queue.Hold(ctx, nil); return watched && err == nil })
	if err := d.queue.Taken(ctx, held); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"type":"Chat","args":{"chatId":%q,"userId":%q,"username":"user 1","agent":"vika","supportId":"s1","supportUserName":"Vika","team":"billing","since":"2023-10-22T18:18:59.360855Z"}}`,
		user(1).ChatID, user(1).UserID)
	for _, page := range pages {
		page.await("Chat", 1)
		if !slices.Contains(page.got(), want) {
			t.Errorf("got %q", page.got())
		}
	}
	pages = append(pages, d.lobbies[1].sitDown(t, boss, `{"features":["chats"]}`))
	pages[2].await("Chat", 1)
	if err := d.queue.Release(ctx, held.User, Offered{}); err != nil {
		t.Fatal(err)
	}
	if err := d.queue.Taken(ctx, Held{User: user(1), Agent: "dodo", SupportID: "s2", SupportUserName: "Dodo"}); err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		page.await("Chat", 2)
		page.await("ChatGone", 1)
	}
	if err := d.queue.Drop(ctx, user(1).ChatID); err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if gone := page.await("ChatGone", 2); gone[1].Args.ChatID != user(1).ChatID {
			t.Errorf("gone: %+v", gone)
		}
	}
	if n := len(other.of("Chat")) + len(other.of("ChatGone")); n != 0 {
		t.Errorf("an agent who is no supervisor got %d", n)
	}
}
