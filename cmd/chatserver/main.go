// Command chatserver is the chat server: visitors and agents talk on its port. It keeps
// no state of its own, so any number of chat servers can share one Redis.
package main

import (
	"os"

	"livesupport/cmd/internal/backend"
)

func main() {
	os.Exit(backend.Main("chatserver", backend.Chat, nil))
}
