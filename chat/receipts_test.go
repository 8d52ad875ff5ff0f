package chat

import (
	"math/rand"
	"testing"
)

// Marks only grow, and whatever is read is delivered.
func TestMarksGrow(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	var m, most mark
	for range 1000 {
		by := mark{Delivered: random.Int63n(50), Read: random.Int63n(50)}
		before := m
		grown := m.raise(by)
		most.Read = max(most.Read, by.Read)
		most.Delivered = max(most.Delivered, by.Delivered, by.Read)
		if m != most || grown != (m != before) {
			t.Fatalf("%v raised by %v is %v (%t), want %v", before, by, m, grown, most)
		}
	}
}
