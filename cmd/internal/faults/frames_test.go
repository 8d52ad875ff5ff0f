package faults_test

import (
	"fmt"
	"strings"
	"time"
)

const someChat = "/chat/00000000000000000000000000000000"

// breakFrames sends single violations of the protocol, each on its own socket.
func breakFrames(_ *world, _ scale, chat, lobby *server) error {
	unmasked := []byte{0x81, 2, 'h', 'i'}
	huge := append([]byte{0x81, 0x80 | 127}, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4)
	negative := append([]byte{0x81, 0x80 | 127}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4)
	closing := func(code int, reason string) []byte {
		return rawFrame(0x88, string([]byte{byte(code >> 8), byte(code)})+reason)
	}
	type breach struct {
		name   string
		bytes  []byte
		code   int
		answer string // of a socket that stays
	}
	breaches := []breach{
		{"reserved bit 1", rawFrame(0x81|0x40, "{}"), 1002, ""},
		{"reserved bits 2 and 3", rawFrame(0x81|0x30, "{}"), 1002, ""},
		{"no mask", unmasked, 1002, ""},
		{"a ping over 125 bytes", rawFrame(0x89, strings.Repeat("x", 126)), 1002, ""},
		{"a pong over 125 bytes", rawFrame(0x8a, strings.Repeat("x", 70_000)), 1002, ""},
		{"a close frame over 125 bytes", closing(1000, strings.Repeat("x", 130)), 1002, ""},
		{"a ping in fragments", rawFrame(0x09, "x"), 1002, ""},
		{"a continuation of nothing", rawFrame(0x80, "x"), 1002, ""},
		{"a new message within another", append(rawFrame(0x01, "{"), rawFrame(0x81, "{}")...), 1002, ""},
		{"a close frame of one byte", rawFrame(0x88, "x"), 1002, ""},
		{"a length of 63 bits", huge, 1009, ""},
		{"a length of 64 bits", negative, 1002, ""},
		{"a message over 64 KiB", rawText(strings.Repeat("x", 65_537)), 1009, ""},
		{"a close frame whose reason is no UTF-8", closing(1000, "\xff\xfe"), 1002, ""},
		{"invalid UTF-8", rawText(`{"type":"` + "\xff" + `"}`), 0, `"bad_json"`},
		{"a lone surrogate", rawText(`{"type":"\ud800"}`), 0, `"bad_json"`},
		{"a binary message", rawFrame(0x82, "{}"), 0, `"bad_json"`},
		{"an empty message", rawText(""), 0, `"bad_json"`},
		{"deep nesting", rawText(`{"type":"Join","args":` + strings.Repeat("[", 60_000)), 0, `"bad_json"`},
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		breaches = append(breaches, breach{fmt.Sprintf("opcode %d", op), rawFrame(0x80|op, "x"), 1002, ""})
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535} {
		breaches = append(breaches, breach{fmt.Sprintf("close code %d", code), closing(code, ""), 1002, ""})
	}
	var all errgroup
	for _, target := range []struct{ addr, path string }{{chat.addr, someChat}, {lobby.addr, "/users"}} {
		for _, b := range breaches {
			if b.answer != "" {
				b.bytes, b.code = append(b.bytes, closing(1000, "")...), 1000
			}
			all.Go(func() error {
				socket, err := dialRaw(target.addr, target.path)
				if err != nil {
					return err
				}
				defer socket.Close()
				socket.SetWriteDeadline(time.Now().Add(5 * time.Second))
				_, err = socket.Write(b.bytes)
				if e := socket.end(5 * time.Second); err != nil || e.err != nil || e.code != b.code || !strings.Contains(e.last, b.answer) {
					return fmt.Errorf("%s on %s: write %v, then %+v; want close %d and %q", b.name, target.path, err, e, b.code, b.answer)
				}
				return nil
			})
		}
	}
	return all.Wait()
}
