// Package client is a client of the chat server (port 9000) and the lobby (port 9001) for Go
// programs: bots, bridges, tests. It is the counterpart of the pages' client.js: the names are
// alike, and the same table of behaviours is tested against both.
//
// A Chat is one participant's end of a chat. A Lobby is an agent's view of the waiting visitors.
// Each keeps one connection, answers the heartbeat, notices silence, reconnects after a loss with
// growing random pauses, and joins again as the same participant. A message that a Chat sends
// arrives once and in order, or is refused, whatever happens to the connection. Events come over
// the channel Events, which the caller must read. It is closed at the end, and then Err says why.
//
// All methods are safe for concurrent use, also by the reader of Events, and wait no longer than
// their context. A Chat or a Lobby ends with the context that it was opened with, or by Close,
// which waits until all goroutines have ended.
//
// The package is at the top of the repository, beside the servers' packages, because others import
// it. It imports none of the servers' packages and none of them imports it; they only share the
// protocol.
package client
