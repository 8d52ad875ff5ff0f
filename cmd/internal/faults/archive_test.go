package faults_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"livesupport/chat/archive/archivetest"
)

// Every process dies at random moments, again and again: chat servers, lobbies, Redis, NATS
// and the archive's database. Every chat is archived once, with everything that anybody has
// seen, in order, within ten seconds of its end.
func TestArchive(t *testing.T) {
	eachArchive(t, func(w *world, s scale, database *archivetest.Postgres) {
		url := "sqlite:" + filepath.Join(w.TempDir(), "archive.db")
		if database != nil {
			url = database.NewDatabase()
		}
		k := w.keep(url, keptTTL)
		k.serve()
		k.begin(s)
		began, killed := time.Now(), 0
		for range s.kills {
			k.say(10)
			from := time.Now()
			kills := k.killers(database)
			rand.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
			for _, kill := range kills {
				wait(w.Context(), rand.N(time.Second)) // the random moment
				kill()
			}
			killed += len(kills)
			k.fault(from, time.Now())
			k.traffic.flows("after the faults", 15*time.Second)
		}
		k.traffic.healed = time.Now()
		w.Logf("%s: %d processes killed in %v", w.Name(), killed, time.Since(began).Round(time.Second))
		k.complete()
	})
}

// killers kill one process of each kind and start it again.
func (k *keeping) killers(database *archivetest.Postgres) []func() {
	i := rand.IntN(2)
	down := func() { wait(k.Context(), time.Second) }
	all := []func(){
		func() {
			k.kill(k.chats[i])
			k.chats[i] = k.startChat(k.env...)
		},
		func() {
			k.dropLobby(k.lobbies[i])
			k.lobbies[i] = k.startLobby(k.env...)
		},
		func() {
			k.redis.Kill()
			down()
			k.restartRedis()
		},
	}
	if k.nats != nil {
		all = append(all, func() {
			k.nats.end(os.Kill)
			down()
			k.nats.start()
		})
	}
	if database != nil {
		all = append(all, func() {
			database.Kill()
			down()
			database.Start()
		})
	}
	return all
}
