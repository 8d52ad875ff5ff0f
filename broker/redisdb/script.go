package redisdb

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script. Commands refer to it by its hash. Do sends the text if the store does not know
// the script, for instance after a restart.
type Script struct{ text, hash string }

// NewScript makes a Script.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text)) // the hash that Redis uses
	return &Script{text, hex.EncodeToString(sum[:])}
}

// Line returns a command that runs the script. args begin with the given number of keys. Execute it with
// Do: Submit and Once fail if the store does not know the script.
func (s *Script) Line(keys int, args ...any) []any {
	return append(s.Begin(make([]any, 0, 3+len(args)), keys), args...)
}

// Begin appends what a Line has in front of its args, the first of which are the given number of keys.
func (s *Script) Begin(line []any, keys int) []any { return append(line, "evalsha", s, keys) }

// MarshalBinary returns the script's hash, its name in the store.
func (s *Script) MarshalBinary() ([]byte, error) { return []byte(s.hash), nil }

// withTexts executes the cmds whose script the store did not know once more, with the script's text.
func (db *DB) withTexts(ctx context.Context, cmds []redis.Cmder) error {
	var again []redis.Cmder
	for _, cmd := range cmds {
		if cmd.Err() == nil || !redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			continue
		}
		line := cmd.Args() // shared with the command
		if s, ours := line[1].(*Script); ours {
			line[0], line[1] = "eval", s.text
			cmd.SetErr(nil)
			again = append(again, cmd)
		}
	}
	if len(again) == 0 {
		return nil
	}
	return db.Do(ctx, again...)
}
