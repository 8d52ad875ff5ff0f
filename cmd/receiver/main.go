// Command receiver is an example of a webhook receiver for WEBHOOK_URL. It verifies the
// signature of each request, handles each event once, and prints it. It forgets which events
// it has seen when it ends. A receiver in production stores that in its database, in the
// transaction that also stores the effect of the event.
//
//	WEBHOOK_SECRET=whsec_… go run ./cmd/receiver 127.0.0.1:8080
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// remembered is longer than the servers retry an event, which is a day.
const remembered = 25 * time.Hour

type receiver struct {
	signed *standardwebhooks.Webhook
	take   func(id string, event []byte) error // after an error the server sends the event again

	mu           sync.Mutex      // held while an event is handled, to keep the order
	taken, older map[string]bool // by id
	since        time.Time
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	event, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 1<<20))
	if err != nil || r.signed.Verify(event, request.Header) != nil {
		http.Error(w, "not signed with the secret", http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.since) > remembered {
		r.taken, r.older, r.since = map[string]bool{}, r.taken, time.Now()
	}
	id := request.Header.Get("webhook-id")
	if !r.taken[id] && !r.older[id] {
		if err := r.take(id, event); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		r.taken[id] = true
	}
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	signed, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil || os.Getenv("WEBHOOK_SECRET") == "" || len(os.Args) != 2 {
		log.Fatal("usage: WEBHOOK_SECRET=whsec_… receiver HOST:PORT")
	}
	server := http.Server{Addr: os.Args[1], ReadTimeout: 10 * time.Second, Handler: &receiver{signed: signed, take: func(id string, event []byte) error {
		_, err := fmt.Printf("%s %s\n", id, event)
		return err
	}}}
	log.Fatal(server.ListenAndServe())
}
