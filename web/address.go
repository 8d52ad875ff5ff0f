package web

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/time/rate"
)

// clientAddress returns the address that a request comes from: the peer of the connection
// or, if that is a trusted proxy, the address that the proxy names. Of an IPv6 address it
// returns the /64 network, because one customer of a provider can use all of that.
func (s *Server) clientAddress(c *fiber.Ctx) netip.Addr {
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	if !isTrusted(peer, s.options.TrustedProxies) {
		s.unknownProxy(c)
	} else {
		peer = forwardedFor(peer, s.options.TrustedProxies,
			headerList(c, fiber.HeaderXForwardedFor), headerList(c, fiber.HeaderForwarded))
	}
	return network(peer)
}

// forwardedOrigin returns the scheme and the host that a client has asked for, according
// to the proxy in front if that is trusted.
func (s *Server) forwardedOrigin(c *fiber.Ctx) (scheme, host string) {
	scheme, host = "http", string(c.Request().Host())
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	if !isTrusted(peer, s.options.TrustedProxies) {
		return scheme, host
	}
	first := func(list string) string {
		value, _, _ := strings.Cut(list, ",")
		return strings.TrimSpace(value)
	}
	toldScheme, toldHost := first(headerList(c, fiber.HeaderXForwardedProto)), first(headerList(c, fiber.HeaderXForwardedHost))
	for pair := range strings.SplitSeq(first(headerList(c, fiber.HeaderForwarded)), ";") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.ToLower(name) {
		case "proto":
			toldScheme = strings.Trim(value, `"`)
		case "host":
			toldHost = strings.Trim(value, `"`)
		}
	}
	if strings.EqualFold(toldScheme, "https") {
		scheme = "https"
	}
	if toldHost != "" {
		host = toldHost
	}
	return scheme, host
}

// addressLocal is the key of a request's clientAddress, kept for the upgrade if sockets
// are counted.
const addressLocal = "address"

// headerList joins all lines of a header.
func headerList(c *fiber.Ctx, name string) string {
	lines := c.Request().Header.PeekAll(name)
	parts := make([]string, len(lines))
	for i, line := range lines {
		parts[i] = string(line)
	}
	return strings.Join(parts, ",")
}

func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		prefix, _ := a.Prefix(64) // an IPv6 address has that many bits
		return prefix.Addr()
	}
	return a
}

// forwardedFor goes back from the peer over trusted proxies and returns the address that
// sent the request to the first of them. Anybody may have written what is left of that
// address in the header. A proxy sets one of the two headers and passes the other one on
// unchanged, so if both are present and disagree, forwardedFor ignores both.
func forwardedFor(peer netip.Addr, trusted []netip.Prefix, xForwardedFor, forwarded string) netip.Addr {
	first := peer
	if xForwardedFor != "" {
		first = walk(peer, trusted, strings.Split(xForwardedFor, ","))
	}
	if forwarded == "" {
		return first
	}
	second := walk(peer, trusted, forwardedElements(forwarded))
	if xForwardedFor != "" && first != second {
		return peer
	}
	return second
}

// walk reads hops from the right as long as the previous one is trusted.
func walk(peer netip.Addr, trusted []netip.Prefix, hops []string) netip.Addr {
	for i := len(hops) - 1; i >= 0 && isTrusted(peer, trusted); i-- {
		hop, ok := hopAddress(hops[i])
		if !ok {
			break // the proxy does not say who
		}
		peer = hop
	}
	return peer
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	for _, prefix := range trusted {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// hopAddress parses an address with or without a port, with or without brackets.
func hopAddress(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	hop = strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]")
	a, err := netip.ParseAddr(hop)
	return a, err == nil
}

// forwardedElements returns the "for" of every element of a Forwarded header (RFC 7239),
// or an empty string for an element without one. It need not care about commas in quoted
// strings, because no address has a comma.
func forwardedElements(header string) []string {
	elements := strings.Split(header, ",")
	for i, element := range elements {
		elements[i] = ""
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				elements[i] = strings.Trim(value, `"`)
			}
		}
	}
	return elements
}

// maxBuckets is how many addresses have a bucket of their own.
const maxBuckets = 100_000

// addressRate limits how often something may happen per address. It allows a burst of one
// minute's worth and an even rate after that. It keeps two generations of buckets; a bucket
// that was not used for a whole generation is full again and therefore dropped. When there
// are too many addresses, new ones share a bucket. It is safe for concurrent use; nil
// limits nothing.
type addressRate struct {
	perMinute float64
	bound     int

	mu       sync.Mutex
	since    time.Time
	new, old map[netip.Addr]*rate.Limiter
	rest     *rate.Limiter
}

func newAddressRate(perMinute float64, bound int) *addressRate {
	if perMinute == 0 {
		return nil
	}
	r := &addressRate{perMinute: perMinute, bound: bound, new: map[netip.Addr]*rate.Limiter{}}
	r.rest = r.bucket()
	return r
}

func (r *addressRate) bucket() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(r.perMinute/60), max(1, int(r.perMinute)))
}

// allow takes one token from the bucket of an address, or returns how long to wait for
// one.
func (r *addressRate) allow(a netip.Addr, now time.Time) (ok bool, after time.Duration) {
	if r == nil {
		return true, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A bucket fills up in a minute, the smallest in the time for one.
	if now.Sub(r.since) > max(time.Minute, time.Duration(float64(time.Minute)/r.perMinute)) {
		r.new, r.old, r.since = map[netip.Addr]*rate.Limiter{}, r.new, now
	}
	bucket := r.new[a]
	if bucket == nil {
		bucket = r.old[a]
		switch {
		case bucket == nil && len(r.new) >= r.bound:
			bucket = r.rest
		case bucket == nil:
			bucket = r.bucket()
			r.new[a] = bucket
		default:
			delete(r.old, a)
			r.new[a] = bucket
		}
	}
	reservation := bucket.ReserveN(now, 1)
	if after = reservation.DelayFrom(now); after > 0 {
		reservation.CancelAt(now)
	}
	return after == 0, after
}

// socketCounts counts the sockets of each address. It only has addresses with sockets. The
// hub's lock guards it.
type socketCounts map[netip.Addr]*socketCount

type socketCount struct {
	address netip.Addr
	n       int
}

func (c socketCounts) of(a netip.Addr) int {
	if count := c[a]; count != nil {
		return count.n
	}
	return 0
}

func (c socketCounts) add(a netip.Addr) *socketCount {
	count := c[a]
	if count == nil {
		count = &socketCount{address: a}
		c[a] = count
	}
	count.n++
	return count
}

func (c socketCounts) remove(count *socketCount) {
	if count == nil {
		return
	}
	if count.n--; count.n == 0 {
		delete(c, count.address)
	}
}
