package web

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var proxies = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("127.0.0.1/32"),
}

func TestForwardedFor(t *testing.T) {
	for _, test := range []struct{ peer, xff, forwarded, want string }{
		// Nobody in front, or nobody who is trusted.
		{"203.0.113.7", "", "", "203.0.113.7"},
		{"203.0.113.7", "198.51.100.1", "", "203.0.113.7"},
		{"203.0.113.7", "", "for=198.51.100.1", "203.0.113.7"},
		{"203.0.113.7", "10.0.0.1, 10.0.0.2", "for=10.0.0.1", "203.0.113.7"},
		// One proxy, and a client who writes the header, too.
		{"10.0.0.1", "203.0.113.7", "", "203.0.113.7"},
		{"10.0.0.1", "198.51.100.1, 203.0.113.7", "", "203.0.113.7"},
		{"10.0.0.1", "10.0.0.9,203.0.113.7", "", "203.0.113.7"},
		{"10.0.0.1", "rubbish, ,203.0.113.7", "", "203.0.113.7"},
		{"::ffff:10.0.0.1", "203.0.113.7", "", "203.0.113.7"},
		// More proxies.
		{"10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2,  10.0.0.3", "", "203.0.113.7"},
		{"127.0.0.1", "203.0.113.7, 2001:db8:1::5", "", "203.0.113.7"},
		{"10.0.0.1", "10.0.0.3, 10.0.0.2", "", "10.0.0.3"},
		// Forms of an address.
		{"10.0.0.1", "203.0.113.7:4711", "", "203.0.113.7"},
		{"10.0.0.1", "2001:db8::7", "", "2001:db8::7"},
		{"10.0.0.1", "[2001:db8::7]", "", "2001:db8::7"},
		{"10.0.0.1", "[2001:db8::7]:4711", "", "2001:db8::7"},
		// A proxy that does not say who.
		{"10.0.0.1", "203.0.113.7, unknown", "", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.7, 10.0.0.2, ", "", "10.0.0.1"},
		// RFC 7239.
		{"10.0.0.1", "", "for=203.0.113.7", "203.0.113.7"},
		{"10.0.0.1", "", `For="[2001:db8::7]:4711";proto=https;by=10.0.0.1`, "2001:db8::7"},
		{"10.0.0.1", "", `for=198.51.100.1, for="203.0.113.7:80" ; host=a, proto=http;for=10.0.0.2`, "203.0.113.7"},
		{"10.0.0.1", "", "for=203.0.113.7, for=_hidden", "10.0.0.1"},
		{"10.0.0.1", "", "for=203.0.113.7, proto=https", "10.0.0.1"},
		{"10.0.0.1", "", `for="198.51.100.1, for=203.0.113.7`, "203.0.113.7"},
		// The header that the proxy does not know is the client's own.
		{"10.0.0.1", "203.0.113.7", "for=198.51.100.1", "10.0.0.1"},
		{"10.0.0.1", "198.51.100.1", "for=203.0.113.7", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.7", "for=203.0.113.7", "203.0.113.7"},
	} {
		got := forwardedFor(netip.MustParseAddr(test.peer), proxies, test.xff, test.forwarded)
		require.Equal(t, netip.MustParseAddr(test.want), got, "%+v", test)
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7":          "203.0.113.7",
		"::ffff:203.0.113.7":   "203.0.113.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::":       "2001:db8:1:2::",
		"fe80::1%eth0":         "fe80::",
	} {
		require.Equal(t, netip.MustParseAddr(want), network(netip.MustParseAddr(address)), address)
	}
	require.Equal(t, netip.Addr{}, network(netip.Addr{}))
}

// FuzzForwardedFor: whatever a client writes to the left, the address that a
// trusted proxy adds is the one that counts.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "198.51.100.1", "10.0.0.1,", `for="x`, `",";=`, "[::", "for=10.0.0.1;for=1.2.3.4"} {
		f.Add(seed)
	}
	proxy, client := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.7")
	f.Fuzz(func(t *testing.T, written string) {
		require.Equal(t, client, forwardedFor(proxy, proxies, written+",203.0.113.7", ""))
		require.Equal(t, client, forwardedFor(proxy, proxies, "", written+", for=203.0.113.7"))
		require.Equal(t, client, forwardedFor(client, proxies, written, written))
		if got := forwardedFor(proxy, proxies, "203.0.113.7", written); got != client {
			require.Equal(t, proxy, got)
		}
	})
}

func TestAddressRate(t *testing.T) {
	now := time.Now()
	allowed := func(r *addressRate, a netip.Addr, at time.Time) bool {
		ok, after := r.allow(a, at)
		require.Equal(t, ok, after == 0)
		return ok
	}
	one, two := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	r := newAddressRate(30, maxBuckets)
	for range 30 {
		require.True(t, allowed(r, one, now))
	}
	ok, after := r.allow(one, now)
	require.False(t, ok)
	require.InDelta(t, 2*time.Second, after, float64(time.Millisecond))
	require.True(t, allowed(r, two, now), "another address")
	require.False(t, allowed(r, one, now.Add(time.Second)), "refusals do not count")
	require.True(t, allowed(r, one, now.Add(2*time.Second)))
	require.False(t, allowed(r, one, now.Add(3*time.Second)))

	// A new generation keeps the buckets that are in use.
	later := now.Add(61 * time.Second)
	for range 29 {
		require.True(t, allowed(r, one, later))
	}
	require.False(t, allowed(r, one, later))

	require.True(t, allowed(nil, one, now), "no limit")
	slow := newAddressRate(0.5, maxBuckets)
	require.True(t, allowed(slow, one, now))
	require.False(t, allowed(slow, one, now.Add(119*time.Second)))
	require.True(t, allowed(slow, one, now.Add(121*time.Second)))
}

func TestAddressRateIsBounded(t *testing.T) {
	const bound = 100
	r := newAddressRate(1, bound)
	now := time.Now()
	refused := 0
	for i := range 10 * bound {
		if ok, _ := r.allow(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::", i)), now); !ok {
			refused++
		}
		require.LessOrEqual(t, len(r.new)+len(r.old), 2*bound)
	}
	require.Equal(t, 9*bound-1, refused, "those who come late share one bucket")
	for range 5 { // whatever generation it is
		now = now.Add(2 * time.Minute)
		for i := range 10 * bound {
			r.allow(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::", i)), now)
			require.LessOrEqual(t, len(r.new)+len(r.old), 4*bound)
		}
	}
}

func TestSocketCounts(t *testing.T) {
	counts := socketCounts{}
	a, b := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	first, second, other := counts.add(a), counts.add(a), counts.add(b)
	require.Equal(t, 2, counts.of(a))
	counts.remove(first)
	counts.remove(nil)
	require.Equal(t, 1, counts.of(a))
	counts.remove(second)
	counts.remove(other)
	require.Empty(t, counts)
}

func TestOriginAllowed(t *testing.T) {
	s := &Server{options: Options{AllowedOrigins: []string{"https://shop.example", "https://*.example.com", "http://*.b.example:8080"}}}
	for _, origin := range []string{
		"", "https://shop.example", "https://SHOP.example", "https://a.example.com", "https://a.b.example.com", "http://x.b.example:8080",
	} {
		require.True(t, s.originAllowed(origin), origin)
	}
	for _, origin := range []string{
		"null", "*", "https://*.example.com ", "http://shop.example", "https://shop.example:444", "https://shop.example.evil",
		"https://example.com", "https://.example.com", "https://evilexample.com", "http://a.example.com", "https://a.example.com:444",
		"https://a.example.com.evil", "https://evil/.example.com", "https://evil:443/.example.com", "https://evil#.example.com",
		"https://evil?.example.com", "https://u@x.example.com", "http://x.b.example", "https://", strings.Repeat("x", 5000),
	} {
		require.False(t, s.originAllowed(origin), origin)
	}
	s.options.AllowedOrigins = []string{"*"}
	require.True(t, s.originAllowed("https://anything.example"))
}
