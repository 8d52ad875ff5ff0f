package backend_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// TestScenarioStoreTakesNothing: a Redis that answers and takes nothing is as good
// as none. Nobody is ready, steadily; the operator and the figures are told in
// Redis's own words; and all is well when it takes writes again.
func TestScenarioStoreTakesNothing(t *testing.T) {
	t.Parallel()
	type harm struct {
		said string   // by Redis
		also bool     // registrations are refused, too
		do   []string // commands, a space between the words
		undo []string
	}
	all := scenarios{}
	// Its next save fails, since the folder is gone; and a script runs until it is killed.
	const cannotSave, busy = "RMDIR", "EVAL while(true)do;end 0"
	for name, h := range map[string]harm{
		"cannot save":           {"MISCONF", true, []string{cannotSave, "CONFIG SET save 3600,1", "BGSAVE"}, []string{"CONFIG SET stop-writes-on-bgsave-error no"}},
		"busy":                  {"BUSY", true, []string{"CONFIG SET busy-reply-threshold 10", busy}, []string{"SCRIPT KILL"}},
		"replica":               {"READONLY", true, []string{"REPLICAOF 127.0.0.1 1"}, []string{"REPLICAOF NO ONE"}},
		"full":                  {"OOM", true, []string{"CONFIG SET maxmemory 1"}, []string{"CONFIG SET maxmemory 0"}},
		"too few replicas":      {"NOREPLICAS", true, []string{"CONFIG SET min-replicas-to-write 1"}, []string{"CONFIG SET min-replicas-to-write 0"}},
		"no appends allowed":    {"NOPERM", false, []string{"ACL SETUSER default -rpushx"}, []string{"ACL SETUSER default +rpushx"}},
		"no claims allowed":     {"zadd", false, []string{"ACL SETUSER default -zadd"}, []string{"ACL SETUSER default +zadd"}},
		"no chats allowed":      {"keys", true, []string{"ACL SETUSER default resetkeys ~{lobby}:*"}, []string{"ACL SETUSER default ~*"}},
		"no channels allowed":   {"NOPERM", false, []string{"ACL SETUSER default resetchannels", "CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE normal"}, []string{"ACL SETUSER default &*"}},
		"no publishing allowed": {"publish", false, []string{"ACL SETUSER default -publish", "CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE normal"}, []string{"ACL SETUSER default +publish"}},
	} {
		all[name] = func(w *world) {
			server := brokertest.StartRedisServer(w.T)
			p := place{split: true, open: at(server.URL())}
			w.deployment = p.start(w.T, func(cfg *backend.Config) { cfg.MetricsAddr = "127.0.0.1:0" })
			admin := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true, Protocol: 2})
			w.Cleanup(func() { _ = admin.Close() })
			tell := func(lines []string) {
				for _, line := range lines {
					if line == cannotSave {
						if err := os.RemoveAll(server.Dir()); err != nil {
							w.Fatal(err)
						}
						continue
					}
					var words []any
					for word := range strings.FieldsSeq(line) {
						words = append(words, strings.NewReplacer(",", " ", ";", " ").Replace(word))
					}
					if line == busy {
						_ = admin.Do(w.Context(), words...).Err() // no answer in time, for it runs
						continue
					}
					if err := admin.Do(w.Context(), words...).Err(); err != nil {
						w.Fatalf("%s: %v", line, err)
					}
				}
			}
			w.waiting("Nika")

			tell(h.do)
			told := func(b *backend.Backend) bool {
				r := w.get(b.MetricsAddr(), "/readyz")
				return r.status == http.StatusServiceUnavailable && strings.Contains(string(r.body), h.said)
			}
			for _, b := range w.backends {
				w.within(15*time.Second, "the operator is told "+h.said, func() bool { return told(b) })
			}
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); pass(50 * time.Millisecond) {
				for _, addr := range append(w.chats, w.lobbies...) {
					if status := w.get(addr, "/readyz").status; status != http.StatusServiceUnavailable {
						w.Fatalf("/readyz flaps: %d", status)
					}
				}
				for _, b := range w.backends {
					if !told(b) {
						w.Fatalf("the operator is told something else: %s", w.get(b.MetricsAddr(), "/readyz").body)
					}
				}
			}
			if h.also {
				if r := w.get(w.chats[0], "/user/join/Nika"); r.status != http.StatusServiceUnavailable {
					w.Errorf("a registration: %d", r.status)
				}
				if !strings.Contains(string(w.get(w.backends[0].MetricsAddr(), "/metrics").body), "\nlivesupport_registrations_failed_total 1\n") {
					w.Error("a failed registration does not count")
				}
			}

			tell(h.undo)
			for _, b := range w.backends {
				w.eventually("nothing is missing", func() bool { return w.get(b.MetricsAddr(), "/readyz").status == http.StatusOK })
			}
			w.waiting("Dodo")
		}
	}
	atOnce(t, all, func(t *testing.T, run func(*world)) { run(&world{T: t}) })
}

// within polls until the condition holds.
func (w *world) within(limit time.Duration, what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(slowness * limit); !holds(); pass(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, b := range w.backends {
				w.Logf("%s", w.get(b.MetricsAddr(), "/readyz").body)
			}
			w.Fatalf("still not: %s", what)
		}
	}
}

// leastACL is the user that the page of operation gives, with the words that it wants to be added on a Cluster.
func leastACL(t *testing.T, cluster bool) (words []any) {
	t.Helper()
	page, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, found := strings.Cut(string(page), "ACL SETUSER livesupport ")
	rule, _, _ = strings.Cut(rule, "\n")
	_, more, also := strings.Cut(string(page), "On a Cluster add `")
	more, _, _ = strings.Cut(more, "`")
	if !found || !also {
		t.Fatal("cmd/deploy/README.md has no ACL SETUSER livesupport, or nothing to add on a Cluster")
	}
	if cluster {
		rule += " " + more
	}
	words = []any{"ACL", "SETUSER", "livesupport"}
	for word := range strings.FieldsSeq(strings.ReplaceAll(rule, ">PASSWORD", ">s3cret")) {
		words = append(words, word)
	}
	return words
}

// TestScenarioLeastRights: with the rights of that page, and no others, everything
// works that works with all.
func TestScenarioLeastRights(t *testing.T) {
	t.Parallel()
	t.Run("one Redis", func(t *testing.T) {
		t.Parallel()
		leastRights(t, false, brokertest.StartRedisServer(t).Addr())
	})
	t.Run("Cluster", func(t *testing.T) {
		t.Parallel()
		leastRights(t, true, brokertest.StartRedisCluster(t).Addrs()...)
	})
}

func leastRights(t *testing.T, cluster bool, servers ...string) {
	w := &world{T: t}
	var admins []*redis.Client
	for _, addr := range servers {
		admin := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true, Protocol: 2})
		t.Cleanup(func() { _ = admin.Close() })
		if err := admin.Do(context.Background(), leastACL(t, cluster)...).Err(); err != nil {
			t.Fatal(err)
		}
		admins = append(admins, admin)
	}
	p := place{split: true, open: at("redis://livesupport:s3cret@" + servers[0])}
	folder := t.TempDir()
	w.deployment = p.start(t, func(c *backend.Config) {
		c.ChatTTL = slowness * 5 * time.Second
		c.FilesURL = "file://" + filepath.ToSlash(folder)
		archiveIn(t, c)
	})
	agents := w.agents(2)
	v := w.register("Nika")
	user := w.userAt(w.chats[0], v)
	each(agents, func(a *client) { a.expectAnnounced(v) })
	support := w.supportAt(w.chats[1], v, "Vika")
	user.expectSupportJoined()
	each(agents, func(a *client) { a.expectRemoved(v) })
	said := []obj{user.said("hello", support), support.said("welcome", user)}
	late := w.chatAt(w.chats[0], v)
	late.rejoins("User")
	late.expectHistory(said...)
	w.uploaded(v, "a.txt", "text/plain", "hello") // no message will carry it

	each(append(agents, user, support, late), (*client).ignoreRest) // the chat ends
	_, user, support = w.liveCouple("receipts", "presence", "typing", "close")
	support.expect("Presence", present("User", "online"))
	user.expect("Presence", present("Support", "online"))
	user.saidNumbered("hello", 1, support)
	support.send("Receipt", obj{"read": 1})
	user.expect("Receipt", receipt("Support", 1, 1))
	support.send("CloseChat", nil)
	user.expectClosed("Support")
	support.expectClosed("Support")
	each([]*client{user, support}, (*client).ignoreRest)
	archive := w.archive()
	w.within(keptTTL+10*time.Second*slowness, "the chat is in the archive", func() bool {
		_, err := archive.Entries(context.Background(), v.chatID)
		return err == nil
	})
	w.within(10*time.Second, "the file is gone with its chat", func() bool {
		left, err := filepath.Glob(filepath.Join(folder, "*", "*"))
		return err == nil && len(left) == 0
	})
	for _, admin := range admins {
		if refused := admin.Do(context.Background(), "ACL", "LOG").Val(); fmt.Sprint(refused) != "[]" {
			t.Errorf("refused: %v", refused)
		}
	}
}
