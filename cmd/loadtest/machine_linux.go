package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// available is the memory that the system can still give, in MiB; 0 if it does not tell.
func available() float64 {
	_, rest, _ := strings.Cut(readFile("/proc/meminfo"), "MemAvailable:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kib / 1024
}

// readMachine looks at /proc.
func readMachine() (m Machine) {
	m.Available = available()
	for line := range strings.Lines(readFile("/proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "Slab:":
			m.Slab = kib / 1024
		case "PageTables:":
			m.PageTables = kib / 1024
		case "KernelStack:":
			m.KernelStack = kib / 1024
		}
	}
	for line := range strings.Lines(readFile("/proc/net/sockstat")) {
		// TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 130
		if fields := strings.Fields(line); len(fields) >= 11 && fields[0] == "TCP:" {
			m.Sockets, _ = strconv.Atoi(fields[8])
			pages, _ := strconv.ParseFloat(fields[10], 64)
			m.Buffers = pages * float64(os.Getpagesize()) / (1 << 20)
		}
	}
	m.Caches = map[string]float64{}
	for line := range strings.Lines(readFile("/proc/slabinfo")) {
		// name, active objects, objects, size of one, ...
		if fields := strings.Fields(line); len(fields) > 4 {
			n, _ := strconv.ParseFloat(fields[2], 64)
			size, _ := strconv.ParseFloat(fields[3], 64)
			m.Caches[fields[0]] = n * size / (1 << 20)
		}
	}
	return m
}

func readFile(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "" // some are only for root
	}
	return string(text)
}

// ownUse is this process' CPU time in seconds and its memory in bytes.
func ownUse() (cpu float64, resident int64) {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		cpu = float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
	}
	if fields := strings.Fields(readFile("/proc/self/statm")); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		resident = pages * int64(os.Getpagesize())
	}
	return cpu, resident
}

// checkMachine returns an error that says which of the system's limits are too low for so
// many connections, of which each has both ends here if the servers are local.
func checkMachine(connections int, urls []string, sources int) error {
	ends := connections
	if local(urls) {
		ends *= 2
	}
	limits := readLimits()
	var missing []error
	need := func(name string, have, want int) {
		if have > 0 && have < want {
			missing = append(missing, fmt.Errorf("%s is %d: sysctl -w %s=%d", name, have, name, want))
		}
	}
	need("fs.file-max", limits.files, ends+ends/10)
	need("fs.epoll.max_user_watches", limits.watches, ends+ends/10)
	need("net.netfilter.nf_conntrack_max", limits.tracked, connections+connections/10+1000)
	if low, high := limits.ports[0], limits.ports[1]; high > low {
		// A search for a free port is fast while there are enough of them.
		if ports := max(1, sources) * (high - low); connections/max(1, len(urls)) > ports {
			missing = append(missing, fmt.Errorf(`net.ipv4.ip_local_port_range is %d %d, too few for %d connections from %d addresses to one server: sysctl -w net.ipv4.ip_local_port_range="1024 65535", or more addresses by --source`,
				low, high, connections/max(1, len(urls)), max(1, sources)))
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("this machine does not allow %d connections: %w", connections, errors.Join(missing...))
}

// systemLimits are limits of the system; 0 is one that it does not have.
type systemLimits struct {
	files, watches, tracked int
	ports                   [2]int
}

func readLimits() (l systemLimits) {
	one := func(path string) int {
		n, _ := strconv.Atoi(strings.TrimSpace(readFile(path)))
		return n
	}
	l.files = one("/proc/sys/fs/file-max")
	l.watches = one("/proc/sys/fs/epoll/max_user_watches")
	l.tracked = one("/proc/sys/net/netfilter/nf_conntrack_max")
	if fields := strings.Fields(readFile("/proc/sys/net/ipv4/ip_local_port_range")); len(fields) == 2 {
		l.ports[0], _ = strconv.Atoi(fields[0])
		l.ports[1], _ = strconv.Atoi(fields[1])
	}
	return l
}

func local(urls []string) bool {
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil {
			if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.IsLoopback() || u.Hostname() == "localhost" {
				return true
			}
		}
	}
	return false
}
