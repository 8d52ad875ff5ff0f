//go:build race

package backend_test

// slowness stretches the scenarios' patience: the race detector makes the
// embedded Redis's scripts several times slower.
const slowness = 4
