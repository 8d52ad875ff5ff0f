package backend_test

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"livesupport/cmd/internal/backend"
)

func TestScenarioFlood(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(func(c *backend.Config) { c.FrameRate, c.ByteRate = 20, 64<<10 }, scenarios{
		"who sends too much is told, and closed with 1008; others are not": func(w *world) {
			_, user, support := w.couple()
			for name, frame := range map[string]ws.Frame{
				"pongs":      ws.NewPongFrame(nil),
				"heartbeats": ws.NewTextFrame([]byte("pong:user")),
				"bytes":      ws.NewTextFrame([]byte(`{"type":"Pong","pad":"` + strings.Repeat("x", 60<<10) + `"}`)),
			} {
				for _, s := range w.rawPorts() {
					s.name = name
					frames := make([]ws.Frame, 75)
					for i := range frames {
						frames[i] = frame
					}
					if name == "bytes" {
						frames = frames[:3]
					}
					s.send(frames...)
					s.expectAlive() // so much may come at once
					for _, f := range frames {
						if err := ws.WriteFrame(s, ws.MaskFrame(f)); err != nil {
							break // it is cut
						}
					}
					s.expectJSON(obj{"type": "Error", "args": obj{"code": "rate_limited", "message": aSentence}})
					s.expectEnd(ws.StatusPolicyViolation)
				}
			}
			user.said("we go on", support)
			support.said("so do we", user)
			for _, addr := range []string{w.chats[0], w.lobbies[0]} {
				if body := w.get(addr, "/metrics").body; !strings.Contains(body, "livesupport_flooding_clients_cut_total") {
					w.Errorf("metrics: %.500s", body)
				}
			}
		},
	}), alone(func(c *backend.Config) { c.MessageRate = 5; c.MessageBurst = 5; c.FrameRate = 2 }, scenarios{
		"messages count too, those that are refused as well": func(w *world) {
			v := w.register("Nika")
			s := w.rawDial(w.nextChat(), "/chat/"+v.chatID)
			for range 20 {
				if err := ws.WriteFrame(s, ws.MaskFrame(ws.NewTextFrame([]byte(`{"type":"ChatMessage","args":{}}`)))); err != nil {
					break
				}
			}
			for got := 0; ; got++ {
				f, err := s.next()
				if err != nil || got > 20 {
					w.Fatalf("after %d answers: %v", got, err)
				}
				if strings.Contains(string(f.Payload), "rate_limited") {
					break
				}
			}
			s.expectEnd(ws.StatusPolicyViolation)
		},
	}))
}
