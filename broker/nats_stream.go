package broker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits of the stream. It is no archive: it only has to cover the time that servers can be cut off
// before they read the store instead.
const (
	streamName  = "LIVESUPPORT"
	streamAge   = 3 * time.Minute
	streamBytes = 128 << 20
	// maxHeaders is room for the headers of a payload of MaxPayload.
	maxHeaders   = 4 << 10
	noDuplicates = time.Minute
)

// stream is the stream's name.
func (b *NATS) stream() string {
	if b.cfg.Prefix == "" {
		return streamName
	}
	return streamName + "-" + b.cfg.Prefix
}

func (b *NATS) streamConfig() jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if b.cfg.Memory {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name:        b.stream(),
		Description: "Events between the servers of Livesupport",
		Subjects:    []string{b.prefix + "users", b.prefix + chatSubjects + "*"},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxAge:      streamAge,
		MaxBytes:    streamBytes,
		MaxMsgSize:  MaxPayload + maxHeaders,
		Duplicates:  noDuplicates,
		Replicas:    b.cfg.Replicas,
		Storage:     storage,
		AllowDirect: true,
		RePublish:   &jetstream.RePublish{Source: ">", Destination: liveSubjects + ">"},
	}
}

// openStream finds the stream or creates it. The first time, it updates the stream to the
// configuration; later changes may be somebody else's and stay.
func (b *NATS) openStream(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	want := b.streamConfig()
	// A server that has switched JetStream off, or is switching it on, may not answer at all.
	lookup, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	stream, err := js.Stream(lookup, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		stream, err = js.CreateStream(ctx, want)
	case err == nil && !b.checked && !sameStream(stream.CachedInfo().Config, want):
		stream, err = js.UpdateStream(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("broker: stream %s: %s%w", want.Name, streamHint(want, err), err)
	}
	b.checked = true
	return stream, nil
}

// streamHint explains errors of the server that do not say what is missing.
func streamHint(want jetstream.StreamConfig, err error) string {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return "JetStream is not enabled there, or was switched off because its disk was full: "
	case errors.As(err, &api) && slices.Contains(noRoom, api.ErrorCode):
		return fmt.Sprintf("JetStream must have room for %d bytes (%d MiB) in its %s storage: ", want.MaxBytes, want.MaxBytes>>20, want.Storage)
	}
	return ""
}

// noRoom are the codes for too small a storage, of the server or of the account.
var noRoom = []jetstream.ErrorCode{10002, 10023, 10028, 10047}

// stuckAfter is the number of consecutive links in which a stream must store nothing before it is
// created again.
const stuckAfter = 3

// discardStuck deletes a stream that has not answered and has stored nothing in several links, so
// that the next link creates it again. After a full disk, a server silently stores nothing more in a
// stream until it is restarted. The stream's content is also in the store, which subscribers read
// after a Gap. With replicas another server takes the lead instead.
func (b *NATS) discardStuck(ctx context.Context, l *link) error {
	before := l.stream.CachedInfo()
	now, err := l.stream.Info(ctx)
	if err != nil || now.Config.Replicas > 1 || now.State.LastSeq != before.State.LastSeq || !now.Created.Equal(before.Created) {
		b.stuck = 0
		return errNoAnswer
	}
	if b.stuck++; b.stuck < stuckAfter {
		return errNoAnswer
	}
	b.stuck = 0
	if err := l.js.DeleteStream(ctx, b.stream()); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("broker: NATS stores nothing, and its stream cannot be deleted: restart NATS: %w", err)
	}
	return errors.New("broker: NATS has stored nothing for a while; creating its stream again")
}

// sameStream compares the fields that streamConfig sets.
func sameStream(have, want jetstream.StreamConfig) bool {
	same := want
	same.Subjects, same.Retention, same.Discard = have.Subjects, have.Retention, have.Discard
	same.MaxAge, same.MaxBytes, same.MaxMsgSize = have.MaxAge, have.MaxBytes, have.MaxMsgSize
	same.Duplicates, same.Replicas, same.Storage = have.Duplicates, have.Replicas, have.Storage
	same.AllowDirect, same.RePublish = have.AllowDirect, have.RePublish
	return reflect.DeepEqual(same, want)
}

// leadership returns who leads the stream and since when, which only changes with the leader. It is
// empty without a cluster.
func leadership(info *jetstream.StreamInfo) string {
	if info.Cluster == nil {
		return ""
	}
	since := ""
	if info.Cluster.LeaderSince != nil {
		since = info.Cluster.LeaderSince.String()
	}
	return info.Cluster.Leader + " " + since
}
