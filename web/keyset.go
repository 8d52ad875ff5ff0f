package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// keysEvery is how often the keys are fetched anew; one that was withdrawn
	// counts no longer than that.
	keysEvery = 15 * time.Minute
	// keysAgain is how soon they are fetched again if that did not work, or if a
	// token names a key that is not among them.
	keysAgain = 10 * time.Second
	// keysTimeout bounds a fetch, and how long a token waits for one.
	keysTimeout = 5 * time.Second
	// keysBytes bounds what a fetch reads.
	keysBytes = 1 << 20
)

// keySet is the public keys at a URL (JWKS, RFC 7517), of an OpenID Connect
// provider for instance. It follows their rotation; while they cannot be fetched,
// those that are known go on counting.
type keySet struct {
	url    string
	again  time.Duration // keysAgain, shorter in tests
	log    *slog.Logger
	client http.Client
	stop   context.CancelFunc
	ended  chan struct{}
	wanted chan struct{} // a token names an unknown key; capacity 1

	mu       sync.Mutex
	keys     keyfunc.Keyfunc // nil before the first fetch that worked
	fetching bool
	last     time.Time     // when a fetch last began
	fetched  chan struct{} // closed when the fetch that goes on, or comes next, has ended
}

// NewKeySetVerifier checks tokens against the keys at a URL (RS256, ES256,
// EdDSA), which it fetches in the background.
func NewKeySetVerifier(url, audience, issuer string, log *slog.Logger) *Verifier {
	return newKeySetVerifier(url, audience, issuer, keysAgain, log)
}

func newKeySetVerifier(url, audience, issuer string, again time.Duration, log *slog.Logger) *Verifier {
	ctx, stop := context.WithCancel(context.Background())
	k := &keySet{
		url: url, again: again, log: log, stop: stop,
		client: http.Client{
			Timeout:   keysTimeout,
			Transport: http.DefaultTransport.(*http.Transport).Clone(),
			// Nobody but the configured address says whose tokens count.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		ended:   make(chan struct{}),
		wanted:  make(chan struct{}, 1),
		fetched: make(chan struct{}),

		fetching: true, last: time.Now(),
	}
	go k.follow(ctx)
	return &Verifier{
		parser: newParser([]string{
			jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg(),
		}, audience, issuer),
		key:  k.key,
		keys: k,
	}
}

func (k *keySet) close() {
	k.stop()
	<-k.ended
	k.client.CloseIdleConnections()
}

// follow fetches the keys, regularly and when a token wants one.
func (k *keySet) follow(ctx context.Context) {
	defer close(k.ended)
	for {
		k.mu.Lock()
		k.last, k.fetching = time.Now(), true
		k.mu.Unlock()
		keys, err := k.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := keysEvery
		if err != nil {
			pause = k.again
			k.log.Warn("cannot fetch the keys of agents' tokens", "error", err)
		}
		k.mu.Lock()
		if err == nil {
			k.keys = keys
		}
		k.fetching = false
		close(k.fetched)
		k.fetched = make(chan struct{})
		k.mu.Unlock()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-k.wanted:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (k *keySet) fetch(ctx context.Context) (keyfunc.Keyfunc, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", response.Status)
	}
	var set jwkset.JWKSMarshal
	if err := json.NewDecoder(io.LimitReader(response.Body, keysBytes)).Decode(&set); err != nil {
		return nil, err
	}
	// Keys of kinds that do not count here, or for other uses, may stand beside.
	storage := jwkset.NewMemoryStorage()
	usable := 0
	for _, key := range set.Keys {
		if key.KTY == jwkset.KtyOct || key.USE != "" && key.USE != jwkset.UseSig {
			continue
		}
		parsed, err := jwkset.NewJWKFromMarshal(key, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err == nil && storage.KeyWrite(ctx, parsed) == nil {
			usable++
		}
	}
	if usable == 0 {
		return nil, errors.New("there is no key for signatures")
	}
	return keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: storage})
}

// errNoKeys: it is not known whether a token is good.
var errNoKeys = errors.New("the keys of agents' tokens could not be fetched yet")

// key finds the key that a token names. An unknown one may be new: then the
// token waits for the keys to be fetched, unless that was done just now.
func (k *keySet) key(token *jwt.Token) (any, error) {
	k.mu.Lock()
	keys, fetched, fetching := k.keys, k.fetched, k.fetching
	due := !fetching && time.Since(k.last) >= k.again
	k.mu.Unlock()
	if keys != nil {
		key, err := keys.Keyfunc(token)
		if err == nil || !fetching && !due {
			return key, err
		}
	} else if !fetching && !due {
		return nil, errNoKeys
	}
	if due {
		select {
		case k.wanted <- struct{}{}:
		default:
		}
	}
	timer := time.NewTimer(keysTimeout)
	defer timer.Stop()
	select {
	case <-fetched:
	case <-k.ended:
	case <-timer.C:
	}
	k.mu.Lock()
	keys = k.keys
	k.mu.Unlock()
	if keys == nil {
		return nil, errNoKeys
	}
	return keys.Keyfunc(token)
}
