package log

import (
	"crypto/sha256"
	"encoding/hex"
)

// Past identifies a log up to an entry. Positions do not: a store can lose the end of a log, which then grows
// again from an earlier position. Logs of a chat with the same Past have had the same entries up to there. The
// registration does not count, because it may be replaced (State.Registration).
type Past [8]byte

// Then returns the Past of a log after another entry, which is at the position.
func (p Past) Then(position int64, entry string) Past {
	if position == 1 {
		return p
	}
	sum := sha256.Sum256(append(p[:len(p):len(p)], entry...))
	return Past(sum[:len(p)])
}

// String returns the Past in hexadecimal digits.
func (p Past) String() string { return hex.EncodeToString(p[:]) }
