package embedded_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"livesupport/broker/embedded"
)

func TestNATS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	for round := range 2 { // the second time there is what the first has stored
		server, err := embedded.StartNATS(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if !strings.HasPrefix(server.URL(), "nats://127.0.0.1:") {
			t.Errorf("URL %q", server.URL())
		}
		if other, err := embedded.StartNATS(dir); err == nil {
			other.Close()
			t.Error("two servers in one folder")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		nc, err := nats.Connect(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(ctx, "s", []byte("x")); err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.State.Msgs; got != uint64(round+1) {
			t.Errorf("%d messages in round %d", got, round)
		}
		account, err := js.AccountInfo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if account.Limits.MaxStore > 1<<30 || account.Limits.MaxMemory > 1<<28 {
			t.Errorf("limits %+v", account.Limits)
		}
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "big", Subjects: []string{"b"}, MaxBytes: 1 << 31}); err == nil {
			t.Error("room for 2 GiB")
		}
		nc.Close()
		server.Close()
		server.Close()
	}
}
