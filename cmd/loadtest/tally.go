package main

// tally counts the numbers that came from one sender: each should come once, and
// in order. It keeps a bit for each number up to the highest. Not safe for
// concurrent use.
type tally struct {
	seen []uint64 // a bit for each number
	next uint32   // one more than the highest
	// Different numbers, repetitions, and numbers behind a higher one.
	got, doubled, late int
}

// take notes a number and reports whether it is new.
func (t *tally) take(n uint32) bool {
	word, bit := int(n/64), uint64(1)<<(n%64)
	if word >= len(t.seen) {
		t.seen = append(t.seen, make([]uint64, word+1-len(t.seen))...)
	}
	if t.seen[word]&bit != 0 {
		t.doubled++
		return false
	}
	t.seen[word] |= bit
	t.got++
	if n < t.next {
		t.late++
	} else {
		t.next = n + 1
	}
	return true
}

// order is a fingerprint of a sequence of numbers.
type order uint64

func (o *order) add(sender int, number uint32) {
	*o = (*o ^ order(sender)<<32 ^ (order(number) + 1)) * 0x100000001b3
	*o ^= *o >> 29
}
