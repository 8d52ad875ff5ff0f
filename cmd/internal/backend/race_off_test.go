//go:build !race

package backend_test

const slowness = 1
