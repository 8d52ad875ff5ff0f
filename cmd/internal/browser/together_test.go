package browser_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestTogether has the visitor's side and the agent's of one conversation at one moment.
// With -artifacts it writes together.png and agent.png of web/screenshots.
func TestTogether(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	shop := strings.Replace(s.pages(map[string]string{"/orders": `<body style="margin: 2rem; font-family: sans-serif"><h1>Your orders</h1>{{line}}`}), "127.0.0.1", "shop.localhost", 1)
	visitor := newWindow(t, look{width: 500, height: 800})
	visitor.visit(shop + "/orders")
	agent := s.agent(look{width: 1280, height: 800}, "Vika")
	s.agent(desktop, "Kiku")

	dodo := s.visitor(phone)
	dodo.asks("Dodo", "How long does delivery to Norway take?")
	agent.takes("Dodo")
	agent.says("About a week. Is that all right?")
	dodo.conversation("How long does delivery to Norway take?", "About a week. Is that all right?")

	said := []string{
		"Hello! Where is my order 1042?",
		"Hello Nika, let me see.",
		"It left our warehouse on Monday: https://parcel.example/1042",
		"Great, thank you! Can I still change the address?",
		"Sure. What is the new one?",
	}
	visitor.asks("Nika", said[0])
	agent.takes("Nika")
	agent.says(said[1])
	agent.says(said[2])
	visitor.says(said[3])
	agent.conversation(said[:4]...)
	agent.click(".as-note")
	agent.fill("#note", "The parcel has been in Leipzig since Tuesday.")
	agent.press(kb.Enter)
	agent.shows(".team-note .text", "in Leipzig since Tuesday")
	agent.click(".modes button:not(.as-note)")
	agent.says(said[4])
	dodo.says("A week is fine, thank you!")
	agent.until("one message is unread", `$$(".tab .count").some((one) => shown(one) && one.textContent === "1")`)
	maria := newWindow(t, phone)
	maria.visit(shop + "/orders")
	maria.asks("Maria", "Hi, is the blue one back in stock?")

	visitor.conversation(said...)
	agent.conversation(said...)
	visitor.shows(".presence", "Vika is online")
	agent.shows(".fate", "Read")
	agent.shows(".queue", "Maria")
	agent.shows(".colleagues", "Kiku")
	for _, w := range []*window{visitor, agent} {
		w.until("the last message is in view", `(({ bottom }) => bottom > 0 && bottom < innerHeight)($$(".messages .bubble").at(-1).getBoundingClientRect())`)
	}

	agent.shot("agent")

	const margin = 40
	sides := []image.Image{decoded(t, visitor.picture()), decoded(t, agent.picture())}
	size := image.Pt(margin, 0)
	for _, one := range sides {
		size.X += one.Bounds().Dx() + margin
		size.Y = max(size.Y, one.Bounds().Dy()+2*margin)
	}
	picture := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(picture, picture.Bounds(), image.NewUniform(color.RGBA{0xdf, 0xe3, 0xe2, 0xff}), image.Point{}, draw.Src)
	left := margin
	for _, one := range sides {
		at := image.Rectangle{Max: one.Bounds().Size()}.Add(image.Pt(left, (size.Y-one.Bounds().Dy())/2))
		draw.Draw(picture, at.Inset(-1), image.NewUniform(color.RGBA{0xb4, 0xbb, 0xb9, 0xff}), image.Point{}, draw.Src)
		draw.Draw(picture, at, one, one.Bounds().Min, draw.Src)
		left += at.Dx() + margin
	}
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "together.png"), file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
