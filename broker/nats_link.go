package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// linkTimeout bounds connecting to one server, and one request.
	linkTimeout = 2500 * time.Millisecond
	// openTimeout bounds everything that is done before a new link counts as ready.
	openTimeout = 15 * time.Second
	// Every beatEvery the stream is asked for a sign of life, which must come within
	// markTimeout. Together that is less than 5 s.
	beatEvery   = time.Second
	markTimeout = 2500 * time.Millisecond
	markAgain   = 250 * time.Millisecond
	// maxLive bounds the queue of the dispatching goroutine.
	maxLive = 8192
	// maxLiveSignals bounds the queue of signals.
	maxLiveSignals = 4096
)

var (
	errNoAnswer = errors.New("broker: no answer from the stream")
	errNewPast  = errors.New("broker: the stream was created again")
)

// link is one connection, which never reconnects. Order and replay depend on which messages came
// before a loss and which after it, and nats.go's own reconnecting does not tell that.
type link struct {
	ctx  context.Context // ends, with the cause, when the link fails
	fail context.CancelCauseFunc

	prefix  string // of all subjects
	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	dialErr error // of the latest dial
	ended   chan struct{}

	live    chan *nats.Msg // all topics
	dropped chan struct{}  // live was full; capacity 1
	marks   chan *nats.Msg
	signals chan *nats.Msg // all topics

	answers chan *nats.Msg // to publications
	inbox   string         // what their subjects begin with
	waiting sync.Map       // of publications: chan error by the rest of the subject

	// Used only by the writing goroutine:
	subs   map[string]*nats.Subscription
	leader string
	id     string
	count  int
}

// mark is a message from this link that has come back from the stream.
type mark struct {
	seq  uint64
	time time.Time
}

// session makes a link, and uses it until it fails.
func (b *NATS) session() error {
	number := b.count.Add(1)
	l := &link{
		prefix:  b.prefix,
		ended:   make(chan struct{}),
		live:    make(chan *nats.Msg, maxLive),
		dropped: make(chan struct{}, 1),
		marks:   make(chan *nats.Msg, 16),
		signals: make(chan *nats.Msg, maxLiveSignals),
		answers: make(chan *nats.Msg, 2*maxPending), // including late ones
		subs:    make(map[string]*nats.Subscription),
		id:      b.id + strconv.FormatUint(number, 36),
	}
	l.ctx, l.fail = context.WithCancelCause(b.topics.ctx)
	defer l.fail(nil)
	if err := b.connect(l); err != nil {
		b.unreachable(err)
		return err
	}
	defer b.topics.disconnected()
	defer l.close()
	if err := b.open(l); err != nil {
		if l.ctx.Err() != nil {
			err = context.Cause(l.ctx) // such as a missing permission, which is reported separately
		}
		b.unreachable(err)
		return err // the next link replays what has come live meanwhile
	}
	b.link.Store(l)
	b.topics.setUp()
	b.log.Info("connected to NATS", "server", l.nc.ConnectedServerName(), "topics", len(l.subs))

	var others sync.WaitGroup
	others.Go(func() { l.fail(b.write(l)) })
	others.Go(l.acknowledge)
	others.Go(func() { l.fail(b.passSignals(l)) })
	b.dispatch(l)
	err := context.Cause(l.ctx)
	b.link.Store(nil)
	b.topics.setDown(err)
	if b.topics.ctx.Err() == nil {
		b.log.Warn("lost the connection to NATS", "error", err)
	}
	others.Wait()
	b.finish(l)
	return err
}

// unreachable logs why a link was not made.
func (b *NATS) unreachable(err error) {
	if b.topics.ctx.Err() == nil {
		b.log.Warn("cannot use NATS", "error", err) // logged once a minute while it lasts
	}
}

// connect makes the connection, to any of the servers.
func (b *NATS) connect(l *link) error {
	servers := slices.Concat(b.servers, b.discovered)
	options := append([]nats.Option{
		func(o *nats.Options) error { o.Servers = servers; return nil },
		nats.Name("livesupport"),
		nats.NoReconnect(),
		nats.SkipHostLookup(), // the dialer resolves names, and ends with the link
		nats.SetCustomDialer(l),
		nats.Timeout(linkTimeout),
		nats.FlusherTimeout(2 * time.Second),
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil && strings.HasPrefix(sub.Subject, signalSubjects) && errors.Is(err, nats.ErrSlowConsumer) {
				return // signals came faster than they could be handled
			}
			l.troubled(err)
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			l.fail(fmt.Errorf("broker: lost the connection: %w", orClosed(nc.LastError())))
			close(l.ended)
		}),
	}, b.options...)
	all := nats.GetDefaultOptions()
	for _, option := range options {
		if err := option(&all); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
	var err error
	if l.nc, err = all.Connect(); err != nil {
		if errors.Is(err, nats.ErrNoServers) && l.dialErr != nil {
			err = l.dialErr
		}
		return fmt.Errorf("broker: connect to NATS: %w", err)
	}
	b.discovered = b.withUser(l.nc.DiscoveredServers())
	l.js, err = jetstream.New(l.nc, jetstream.WithDefaultTimeout(linkTimeout))
	if err == nil {
		l.inbox = l.nc.NewInbox() + "."
		_, err = l.nc.ChanSubscribe(l.inbox+"*", l.answers)
	}
	if err != nil {
		l.close()
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

func orClosed(err error) error {
	if err == nil {
		return nats.ErrConnectionClosed
	}
	return err
}

// withUser adds the user of the configured servers to discovered ones.
func (b *NATS) withUser(servers []string) []string {
	first, err := url.Parse(b.servers[0])
	if err != nil {
		return nil
	}
	var with []string
	for _, server := range servers {
		if u, err := url.Parse(server); err == nil {
			u.User = first.User
			with = append(with, u.String())
		}
	}
	return with
}

// Dial implements nats.CustomDialer. Its connections end with the link, whatever nats.go is doing
// with them.
func (l *link) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, linkTimeout)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		l.dialErr = err
		return nil, err
	}
	context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	return conn, nil
}

// troubled handles errors of a live connection.
func (l *link) troubled(err error) {
	if !errors.Is(err, nats.ErrSlowConsumer) {
		l.fail(fmt.Errorf("broker: %w", err))
		return
	}
	select {
	case l.dropped <- struct{}{}:
	default:
	}
}

// close ends the connection. Afterwards nothing more arrives in the channels. A second call does
// nothing.
func (l *link) close() {
	l.fail(nats.ErrConnectionClosed)
	l.nc.Close()
	<-l.ended
}

// finish handles the messages that have arrived on an open link before it ended.
func (b *NATS) finish(l *link) {
	l.close()
	for len(l.live) > 0 {
		b.take(<-l.live)
	}
	if len(l.dropped) > 0 {
		b.topics.gapAll()
	}
}

// open brings a new link to the state of the last one: it subscribes to all topics, and delivers
// what they have missed. Live messages wait in their channel meanwhile.
func (b *NATS) open(l *link) error {
	ctx, cancel := context.WithTimeout(l.ctx, openTimeout)
	defer cancel()
	var err error
	if l.stream, err = b.openStream(ctx, l.js); err != nil {
		return err
	}
	l.leader = leadership(l.stream.CachedInfo())
	b.topics.connected()
	names, _ := b.topics.commands(math.MaxInt)
	if err := l.subscribe(names); err != nil {
		return err
	}
	here, err := l.mark(ctx)
	if errors.Is(err, errNoAnswer) {
		return b.discardStuck(ctx, l)
	}
	if err != nil {
		return err
	}
	gap := false
	if b.verified != (mark{}) && len(names) > 0 {
		if err := b.replay(ctx, l, b.verified, here); err != nil {
			if l.ctx.Err() != nil {
				return context.Cause(l.ctx)
			}
			b.log.Warn("cannot replay missed events", "error", err)
			gap = true
		}
	}
	b.stuck = 0
	b.topics.resumed(names, here.seq, gap)
	b.verified = here
	return nil
}

// dispatch delivers live messages until the link fails.
func (b *NATS) dispatch(l *link) {
	for {
		select {
		case msg := <-l.live:
			b.take(msg)
		case <-l.dropped:
			for range len(l.live) { // everything that came before the loss
				b.take(<-l.live)
			}
			b.log.Warn("events came faster than they could be handled")
			b.topics.gapAll()
		case <-l.ctx.Done():
			return
		}
	}
}

func (b *NATS) take(msg *nats.Msg) {
	n, err := numbersOf(msg)
	if err != nil {
		b.log.Debug("a message is not from the stream", "error", err)
		return
	}
	b.topics.arrived(topicOf(strings.TrimPrefix(n.subject, b.prefix)), n.seq, n.previous, msg.Data)
}

// write subscribes and unsubscribes, and checks that the stream answers.
func (b *NATS) write(l *link) error {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	latest := b.verified
	for {
		due := false
		select {
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		case <-b.topics.wake:
		case <-beat.C:
			due = true
		}
		join, leave := b.topics.commands(maxChannels)
		for _, name := range leave {
			if err := l.subs[name].Unsubscribe(); err != nil {
				return fmt.Errorf("broker: %w", err)
			}
			delete(l.subs, name)
			b.topics.left(name)
		}
		if len(join) == 0 && !due {
			continue
		}
		if err := l.subscribe(join); err != nil {
			return err
		}
		here, err := l.mark(l.ctx)
		if err != nil {
			return err
		}
		if here.seq <= latest.seq {
			return errNewPast
		}
		latest = here
		for _, name := range join {
			b.topics.joinedAt(name, here.seq)
		}
		if due {
			if err := b.beat(l, here); err != nil {
				return err
			}
		}
	}
}

// beat checks whether the stream has a new leader, because the old one may have stored messages that
// it could not pass on.
func (b *NATS) beat(l *link, here mark) error {
	if l.leader != "" {
		ctx, cancel := context.WithTimeout(l.ctx, markTimeout)
		info, err := l.stream.Info(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		if leader := leadership(info); leader != l.leader {
			l.leader = leader
			if err := b.replay(l.ctx, l, b.verified, here); err != nil {
				if l.ctx.Err() != nil {
					return context.Cause(l.ctx) // the next link will replay
				}
				b.log.Warn("cannot replay missed events", "error", err)
				b.topics.gapAll()
			}
		}
	}
	b.verified = here
	return nil
}

func (l *link) subscribe(names []string) error {
	for _, name := range names {
		sub, err := l.nc.ChanSubscribe(liveSubjects+l.prefix+subject(name), l.live)
		if err != nil {
			return fmt.Errorf("broker: subscribe: %w", err)
		}
		l.subs[name] = sub
	}
	return nil
}

// mark sends a message through the stream and waits until it comes back, on a subscription that is
// newer than those of the topics. This proves that the stream stores messages, and that its leader
// passes them on to the topics' subscriptions; in a cluster, an answer of the connected server would
// not prove that. The sequence number says from where on the topics are served.
func (l *link) mark(ctx context.Context) (mark, error) {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	l.count++
	subject := l.prefix + markSubjects + l.id + "-" + strconv.Itoa(l.count)
	sub, err := l.nc.ChanSubscribe(liveSubjects+subject, l.marks)
	if err != nil {
		return mark{}, fmt.Errorf("broker: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	again := time.NewTicker(markAgain)
	defer again.Stop()
	for {
		if err := l.nc.Publish(subject, nil); err != nil {
			return mark{}, fmt.Errorf("broker: %w", err)
		}
		for waiting := true; waiting; {
			select {
			case msg := <-l.marks:
				if msg.Subject != liveSubjects+subject {
					continue // a late answer
				}
				n, err := numbersOf(msg)
				return mark{n.seq, n.time}, err
			case <-again.C:
				waiting = false
			case <-l.ctx.Done():
				return mark{}, context.Cause(l.ctx)
			case <-ctx.Done():
				return mark{}, errNoAnswer
			}
		}
	}
}
