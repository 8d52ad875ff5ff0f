// Command subscriber is the lobby: agents see the waiting visitors on its port and
// claim them. Any number of lobbies can share one Redis.
package main

import (
	"os"

	"livesupport/cmd/internal/backend"
)

func main() {
	os.Exit(backend.Main("subscriber", backend.Lobby, nil))
}
