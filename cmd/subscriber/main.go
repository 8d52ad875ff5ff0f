// Command subscriber is the lobby: agents see on its port who waits, and claim
// them. Any number of them may share one Redis.
package main

import (
	"os"

	"livesupport/cmd/internal/backend"
)

func main() {
	os.Exit(backend.Main("subscriber", backend.Lobby, nil))
}
