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
	// keysEvery is how often the keys are fetched. A withdrawn key is valid no longer than
	// that.
	keysEvery = 15 * time.Minute
	// keysAgain is how soon they are fetched again after a failure, or if a token names an
	// unknown key.
	keysAgain = 10 * time.Second
	// keysTimeout bounds a fetch, and how long a token waits for one.
	keysTimeout = 5 * time.Second
	// keysBytes bounds the size of a fetch.
	keysBytes = 1 << 20
)

// keySet has the public keys at a URL (JWKS, RFC 7517), for instance those of an OpenID
// Connect provider. It follows their rotation. While it cannot fetch them, the known keys
// stay valid.
type keySet struct {
	url    string
	again  time.Duration // keysAgain, shorter in tests
	log    *slog.Logger
	client http.Client
	stop   context.CancelFunc
	ended  chan struct{}
	wanted chan struct{} // a token names an unknown key; capacity 1

	mu       sync.Mutex
	keys     keyfunc.Keyfunc // nil before the first successful fetch
	fetching bool
	last     time.Time     // when a fetch last began
	fetched  chan struct{} // closed at the end of the current or next fetch
}

// NewKeySetVerifier makes a Verifier for tokens that were signed with one of the keys at a
// URL (RS256, ES256, EdDSA). It fetches the keys in the background.
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
			// Only the configured address decides whose tokens are valid.
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

// follow fetches the keys regularly, and when a token names an unknown one.
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
			k.log.Warn("cannot fetch the keys for agents' tokens", "error", err)
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
		return nil, fmt.Errorf("the response is %s", response.Status)
	}
	var set jwkset.JWKSMarshal
	if err := json.NewDecoder(io.LimitReader(response.Body, keysBytes)).Decode(&set); err != nil {
		return nil, err
	}
	// There may also be keys of other kinds or for other uses.
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

// errNoKeys means that it is unknown whether a token is valid.
var errNoKeys = errors.New("the keys for agents' tokens have not been fetched yet")

// key returns the key that a token names. An unknown key may be new, so key waits for the
// next fetch unless the keys were fetched just now.
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
