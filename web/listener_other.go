//go:build !linux

package web

import "net"

// inherit leaves the options to each connection: whether they would come from the listener
// is not known here.
func inherit(net.Listener) bool { return false }
