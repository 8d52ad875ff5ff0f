package apitest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
)

// report is what all tests of a package have shown.
var report = struct {
	sync.Mutex
	failures []string
	seen     map[string]bool // everything that the contract has
}{seen: map[string]bool{}}

// maxFailures is how many are kept: most would be about one thing.
const maxFailures = 20

func fail(format string, args ...any) error {
	failure := fmt.Sprintf(format, args...)
	report.Lock()
	defer report.Unlock()
	if len(report.failures) < maxFailures && !slices.Contains(report.failures, failure) {
		report.failures = append(report.failures, failure)
	}
	return errors.New("contract: " + failure)
}

// expect notes something that the contract has.
func expect(what string) {
	report.Lock()
	defer report.Unlock()
	if !report.seen[what] {
		report.seen[what] = false
	}
}

func see(what string) {
	report.Lock()
	defer report.Unlock()
	report.seen[what] = true
}

// Unseen is what the contract has and nothing has sent by now.
func Unseen() (names []string) {
	theContract()
	report.Lock()
	defer report.Unlock()
	for name := range maps.Keys(report.seen) {
		if !report.seen[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Exit is for a package's TestMain: it makes the exit code of its tests 1 if something
// did not fit. Where all of them have run and complete is set, everything that the
// contract has must have been sent, too, but for the exceptions.
func Exit(code int, complete bool, exceptions ...string) int {
	report.Lock()
	failures := slices.Clone(report.failures)
	report.Unlock()
	for _, failure := range failures {
		fmt.Fprintln(os.Stderr, "contract:", failure)
		code = max(code, 1)
	}
	if code != 0 || !complete || !all() {
		return code
	}
	for _, name := range Unseen() {
		if !slices.Contains(exceptions, name) {
			fmt.Fprintln(os.Stderr, "contract: nothing has sent:", name)
			code = 1
		}
	}
	return code
}

// all reports whether no flag leaves tests out.
func all() bool {
	for _, name := range []string{"run", "skip", "list", "short"} {
		if set := flag.Lookup("test." + name); set != nil && set.Value.String() != set.DefValue {
			return false
		}
	}
	return true
}
