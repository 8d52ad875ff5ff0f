package chat

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/chat/log/logtest"
)

// FuzzRooms lets two servers append events in any interleaving, and brings each
// the other's news late, twice, in any order or not at all: both end in the
// state of the log, and have told every message to their session once.
func FuzzRooms(f *testing.F) {
	f.Add([]byte{1, 10, 3, 21, 130, 13, 200, 23, 140, 33, 230, 43, 150, 231, 5, 201, 15, 139})
	f.Add([]byte{3, 3, 13, 13, 23, 23, 200, 201, 202, 203, 204, 205, 210, 211})
	f.Fuzz(func(t *testing.T, choices []byte) {
		service := &Service{db: &redisdb.DB{}, held: map[*room]struct{}{}, metrics: newMetrics(), closed: true, logger: slog.New(slog.DiscardHandler), frame: func(b []byte) []byte { return append(bytes.Clone(b), '\n') }, logs: log.NewStore(nil, time.Minute, 0)}
		var rooms [2]*room
		var peers [2]*peer
		var news [2][]int64
		entries := []string{string(logtest.Registered.Encode())}
		for i := range rooms {
			peers[i] = &peer{}
			rooms[i] = &room{service: service, chatID: "c", sessions: []*Session{{service: service, peer: peers[i]}}}
			rooms[i].take(0, entries)
		}
		for i := 0; i+1 < len(choices); i += 2 {
			me := int(choices[i] % 2)
			switch choice := choices[i+1]; {
			case choice < 200: // appends, and so do retries of the same event
				e := logtest.AnyEvent(choice)
				entries = append(entries, string(e.Encode()))
				seq := int64(len(entries))
				news[1-me] = append(news[1-me], seq)
				rooms[me].offer(seq, e)
			case choice < 240 && len(news[me]) > 0: // hears of something
				seq := news[me][int(choice)%len(news[me])]
				rooms[me].offer(seq, log.Decode([]byte(entries[seq-1])))
			default: // reads what is missing
				after := rooms[me].last
				rooms[me].take(after, entries[after:])
			}
		}
		var want log.State
		for _, entry := range entries {
			want.Apply(log.Decode([]byte(entry)))
		}
		for i, r := range rooms {
			after := r.last
			r.take(after, entries[after:])
			if !reflect.DeepEqual(r.state, want) {
				t.Fatalf("server %d: %+v\nthe log says: %+v", i, r.state, want)
			}
			told := peers[i].messages()
			if len(told) != len(want.Messages) {
				t.Fatalf("server %d has told %d messages of %d", i, len(told), len(want.Messages))
			}
			for n := range told {
				if told[n] != string(appendMessagePayload(nil, &want, &want.Messages[n], 0)) {
					t.Fatalf("server %d: message %d is %s", i, n, told[n])
				}
			}
		}
	})
}
