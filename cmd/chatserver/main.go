// Command chatserver is the chat server: users and agents talk on its port. It
// keeps nothing itself, so any number of them may share one Redis.
package main

import (
	"os"

	"livesupport/cmd/internal/backend"
)

func main() {
	os.Exit(backend.Main("chatserver", backend.Chat, nil))
}
