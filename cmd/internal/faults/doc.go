// Package faults holds tests only. They start the real commands as processes, a
// redis-server with an append-only file and, for BROKER=nats, a nats-server;
// then they break things under traffic and count what became of every message.
//
//	FAULTS=short go test -v ./cmd/internal/faults
//	FAULTS=long go test -v -timeout 60m ./cmd/internal/faults
//
// The short form takes some minutes; it is also what runs where CI is true,
// unless FAULTS is off. The long form has 100 chats, ten kills, outages of 20 s
// and 100,000 chats. Without either variable, or without redis-server, the tests
// are skipped.
package faults
