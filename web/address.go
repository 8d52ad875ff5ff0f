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

// clientAddress is where a request comes from: the peer of its connection or, if
// that is a proxy which is trusted, the address that the proxy names. It stands
// for all that one customer of a network provider can send from: an IPv4 address,
// or an IPv6 network of 64 bits.
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

// addressLocal is where clientAddress is kept for the upgrade, if sockets are
// counted.
const addressLocal = "address"

// headerList is all lines of a header as one.
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

// forwardedFor goes back from a peer, over the proxies that are trusted, to the
// address of who asked the first of them. What stands to the left of that may
// have been written by anyone. A proxy sets one of the two headers and passes the
// other one on as it came: where both are there and disagree, neither counts.
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

// walk reads hops from the right for as long as the one before is trusted.
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

// hopAddress reads an address with or without a port, in brackets or not.
func hopAddress(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	hop = strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]")
	a, err := netip.ParseAddr(hop)
	return a, err == nil
}

// forwardedElements returns the "for" of every element of a Forwarded header
// (RFC 7239), empty where there is none. A quoted string cannot hide a comma: no
// address has one.
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

// maxBuckets bounds how many addresses are told apart.
const maxBuckets = 100_000

// addressRate limits how often something may happen per address: a minute's
// worth at once, and then evenly. It keeps two generations of buckets; one that
// nobody has asked for during a whole generation is full again, and forgotten.
// When there are too many addresses, those that come then share a bucket. It may
// be used concurrently; nil limits nothing.
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

// allow takes one from the bucket of an address, or reports after how long there
// will be one.
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

// socketCounts counts the sockets of each address; entries are of addresses that
// have one. The hub's lock guards it.
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
