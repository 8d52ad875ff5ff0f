package browser_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// inFolder keeps a site's files in a folder of the test.
func inFolder(t *testing.T) func(*backend.Config) {
	t.Helper()
	folder := filepath.ToSlash(t.TempDir())
	return func(cfg *backend.Config) { cfg.FilesURL = "file://" + folder }
}

// A sent file, as JavaScript that makes it.
type sent struct {
	name, kind string
	content    []byte
}

func (f sent) js() string {
	return fmt.Sprintf(`new File([Uint8Array.from(atob(%q), (c) => c.charCodeAt(0))], %q, { type: %q })`,
		base64.StdEncoding.EncodeToString(f.content), f.name, f.kind)
}

// gives hands files to a page as a person does: picked, dropped or pasted.
func (w *window) gives(how string, files ...sent) {
	w.Helper()
	items := ""
	for _, f := range files {
		items += fmt.Sprintf("data.items.add(%s);", f.js())
	}
	does := map[string]string{
		"picked":       `const input = $(".composer input[multiple]"); input.files = data.files; input.dispatchEvent(new Event("change"));`,
		"photographed": `const input = $(".composer input[capture]"); input.files = data.files; input.dispatchEvent(new Event("change"));`,
		"dropped": `for (const type of ["dragenter", "dragover", "drop"]) {
			$(".log").dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, composed: true, cancelable: true }));
		}`,
		"pasted": paste("#message") + ";",
	}[how]
	get[any](w, `(() => { const data = new DataTransfer();`+items+does+`})()`)
}

// paste is JavaScript that pastes what is in data, and returns false if the page handles it. In
// Firefox no script can make such an event with content.
func paste(field string) string {
	return fmt.Sprintf(`$(%q).dispatchEvent(Object.defineProperty(new ClipboardEvent("paste", { bubbles: true, composed: true, cancelable: true }), "clipboardData", { value: data }))`, field)
}

// takesFiles waits until files can be sent.
func (w *window) takesFiles() {
	w.Helper()
	w.until("files can be sent", `shown($(".attach"))`)
}

// ready waits until that many files are ready to go with a message.
func (w *window) ready(count int) {
	w.Helper()
	w.until(fmt.Sprintf("%d files are ready", count), fmt.Sprintf(`$$(".tray li").length === %d && $$(".tray li").every((one) => one.dataset.state === "there")`, count))
}

// picture is a PNG of one colour.
func picture(width, height int, c color.Color) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, painted(width, height, c)); err != nil {
		panic(err) // memory takes it
	}
	return b.Bytes()
}

func painted(width, height int, c color.Color) image.Image {
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		p.Set(i%width, i/width, c)
	}
	return p
}

const place = "52.5163 N 13.3777 E"

// photograph is a JPEG as from a phone that was held upright: the picture lies on its side, and the
// file says so, and where it was taken.
func photograph(width, height int) []byte {
	var plain bytes.Buffer
	if err := jpeg.Encode(&plain, painted(width, height, color.RGBA{200, 80, 40, 255}), nil); err != nil {
		panic(err) // memory takes it
	}
	tiff := []byte("MM\x00\x2a\x00\x00\x00\x08\x00\x02" +
		"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + "\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x26" + "\x00\x00\x00\x00" + place)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	b := []byte{0xff, 0xd8, 0xff, 0xe1}
	b = binary.BigEndian.AppendUint16(b, uint16(len(segment)+2))
	b = append(append(b, segment...), plain.Bytes()[2:]...)
	return append(b, "\xff\xd8 a film of "+place...)
}

// download fetches what is at a link's or a picture's address.
func (w *window) download(expression string) (content []byte, kind string) {
	w.Helper()
	response, err := http.Get(get[string](w, expression))
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	if content, err = io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		w.Fatalf("%s: %v", response.Status, err)
	}
	return content, response.Header.Get("Content-Type")
}

// loaded waits until the conversation shows that many pictures.
func (w *window) loaded(count int) {
	w.Helper()
	w.until(fmt.Sprintf("%d pictures are shown", count),
		fmt.Sprintf(`$$(".messages .picture img").length === %d && $$(".messages .picture img").every((one) => one.complete && one.naturalWidth > 0)`, count))
}

// TestAttachments: what is pasted in one window appears in the other one, which is at another pair
// of servers with the same store.
func TestAttachments(t *testing.T) {
	t.Parallel()
	files := inFolder(t)
	s := startSite(t, files)
	second := startSite(t, func(cfg *backend.Config) {
		files(cfg)
		cfg.RedisURL = s.cfg.RedisURL
	})
	as := desktop
	as.script = `window.jumps = 0;
		new PerformanceObserver((list) => list.getEntries().forEach(({ value, hadRecentInput }) => { window.jumps += hadRecentInput ? 0 : value; }))
			.observe({ type: "layout-shift", buffered: true });`
	visitor := s.visitor(as)
	agent := second.agent(as, "Vika")
	visitor.asks("Nika", "one")
	agent.takes("Nika")
	visitor.conversation("one")

	visitor.takesFiles()
	visitor.until("the limits are told", `$(".attach").title.includes("5 files") && $(".attach").title.includes("10 MB") && $(".attach").title.includes("PNG, JPEG, GIF, WebP, PDF, TXT")`)
	var screen []byte
	agent.do("take a picture", func(ctx context.Context) (err error) {
		screen, err = agent.tab.picture(ctx)
		return err
	})
	visitor.gives("pasted", sent{"image.png", "image/png", screen})
	visitor.ready(1)
	visitor.shot("visitor-file-ready")
	visitor.accessible("with a file to send")
	visitor.fill("#message", "What does this mean?")
	visitor.sends()
	for _, w := range []*window{visitor, agent} {
		w.conversation("one", "What does this mean?")
		w.loaded(1)
		w.until("its place has one size", `(({ width, height }) => width === 208 && height === 156)($(".picture").getBoundingClientRect())`)
	}
	visitor.until("nothing is left to send", `$$(".tray li").length === 0 && !shown($(".tray"))`)
	got, kind := agent.download(`$(".picture").href`)
	if a, b := decoded(t, screen), decoded(t, got); kind != "image/png" || a.Bounds() != b.Bounds() || a.At(5, 5) != b.At(5, 5) {
		t.Errorf("%s of %v came as %v", kind, a.Bounds(), b.Bounds())
	}
	agent.until("it opens in a window of its own, which learns nothing", `(({ target, rel, href }) => target === "_blank" && rel.includes("noopener") && rel.includes("noreferrer") && /\/files\/[0-9a-f]{32}$/.test(href))($(".picture"))`)

	// Several at once, without words, from the agent; a document is named.
	agent.takesFiles()
	agent.gives("dropped", sent{"blue.png", "image/png", picture(30, 200, color.RGBA{0, 0, 200, 255})}, sent{"bill 7.pdf", "application/pdf", []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n" + strings.Repeat("x", 3000))})
	agent.ready(2)
	agent.accessible("with files to send")
	agent.shot("agent-files-ready")
	agent.click(".send")
	for _, w := range []*window{visitor, agent} {
		w.loaded(2)
		w.shows(".messages .document", "bill 7.pdf")
		w.shows(".document .file-kind", "PDF, 3 kB")
		w.until("no message without words is shown as empty", `$$(".bubble.blank").length === 0`)
		w.accessible("with files")
	}
	agent.shows(".tab .last", "blue.png · bill 7.pdf")
	if _, kind := visitor.download(`$(".document").href`); kind != "application/pdf" {
		t.Errorf("the document comes as %s", kind)
	}
	visitor.shot("visitor-files")
	agent.shot("agent-files")

	// Both come back from a reload, and nothing moves when the pictures come.
	for _, w := range []*window{visitor, agent} {
		w.reload()
		w.loaded(2)
		w.shows(".document", "bill 7.pdf")
		if jumps := get[float64](w, `jumps`); jumps > 0.01 {
			t.Errorf("the layout jumps by %v", jumps)
		}
	}
	// An old client has lines with addresses.
	old := get[string](visitor, `new Promise((resolve) => {
		const { chatId, userId, username, supportId } = JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(" chat"))[1]);
		const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat/" + chatId);
		socket.onopen = () => socket.send(JSON.stringify({ type: "Join", args: { userId, username, supportId, from: "User" } }));
		socket.onmessage = ({ data }) => {
			if (!data.includes("ChatHistory")) return;
			socket.close();
			resolve(JSON.parse(data).args.messages.map(({ content }) => content).join("|"));
		};
	})`)
	if want := "|What does this mean?\nimage.png " + get[string](visitor, `$(".picture").href`) + "|blue.png http://"; !strings.Contains(old, want) {
		t.Errorf("an old client reads %q", old)
	}
}

func decoded(t *testing.T, content []byte) image.Image {
	t.Helper()
	p, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPhotographs: a photograph arrives without the place where it was taken, and the right way up.
func TestPhotographs(t *testing.T) {
	t.Parallel()
	s := startSite(t, inFolder(t))
	as := phone
	as.dark, as.language = true, "ar"
	visitor := newWindow(t, as)
	visitor.visit(s.pages(map[string]string{"/": s.line(`data-language="ar"`)}))
	visitor.asks("ليلى", "one")
	visitor.takesFiles()
	visitor.until("the camera is there", `shown($(".camera")) && $("input[capture]").getAttribute("capture") === "environment" && $("input[capture]").accept === "image/*"`)
	visitor.until("the picker is told what is taken", `$("input[multiple]").accept === "image/png,image/jpeg,image/gif,image/webp,application/pdf,text/plain"`)
	visitor.gives("photographed", sent{"IMG_0001.jpg", "image/jpeg", photograph(64, 32)})
	visitor.ready(1)
	fits := func(state string) {
		t.Helper()
		visitor.until(state+" is not wider than the screen", `$$(".composer, .composer > *, .field > *, .tray li, .attachments, .attachments > li").filter(shown).every((one) => {
			const { left, right } = one.getBoundingClientRect();
			return left >= 0 && right <= innerWidth + 0.5;
		})`)
		visitor.accessible(state)
		visitor.shot("phone-arabic-" + state)
	}
	fits("photograph-ready")
	visitor.click(".send")
	visitor.loaded(1)
	fits("photograph")
	got, _ := visitor.download(`$(".picture").href`)
	if bytes.Contains(got, []byte(place)) {
		t.Error("it says where it was taken")
	}
	if size := decoded(t, got).Bounds().Size(); size != image.Pt(64, 32) {
		t.Errorf("its pixels are %v", size)
	}
	visitor.until("upright", `$(".picture img").naturalWidth === 32 && $(".picture img").naturalHeight === 64`)

	// By whatever way it comes.
	for i, how := range []string{"picked", "dropped", "pasted"} {
		visitor.gives(how, sent{"IMG_0002.jpg", "image/jpeg", photograph(64, 32)})
		visitor.ready(1)
		visitor.click(".send")
		visitor.loaded(i + 2)
		if got, _ := visitor.download(`$$(".picture").at(-1).href`); bytes.Contains(got, []byte(place)) || len(got) < 500 {
			t.Errorf("%s: %d bytes, with a place: %t", how, len(got), bytes.Contains(got, []byte(place)))
		}
	}
}

// TestPicker: the button opens the browser's own picker, and the picked file is sent, by keyboard
// alone.
func TestPicker(t *testing.T) {
	t.Parallel()
	s := startSite(t, inFolder(t))
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	visitor.takesFiles()
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	visitor.picks(path, func() {
		get[any](visitor, `$(".attach").focus()`)
		visitor.press("\r")
	})
	visitor.ready(1)
	get[any](visitor, `$("#message").focus()`)
	visitor.press("\r")
	visitor.shows(".messages .document", "notes.txt")
	visitor.until("the field has the focus", `root.activeElement === $("#message")`)
}

// picks chooses a file in the browser's picker, which something opens.
func (w *window) picks(path string, open func()) {
	w.Helper()
	opened := make(chan *page.EventFileChooserOpened, 1)
	err := chromedp.Listen(w.ctx, func(event any) {
		if event, ok := event.(*page.EventFileChooserOpened); ok {
			opened <- event
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	call(w, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true})
	open()
	select {
	case picker := <-opened:
		call(w, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{path}, BackendNodeID: picker.BackendNodeID})
	case <-time.After(patience):
		w.Fatal("no picker was opened")
	}
}

// TestUploadsOnABadNetwork: a slow upload shows its progress and can be cancelled, a failed one can
// be sent again, and a message waits for its files.
func TestUploadsOnABadNetwork(t *testing.T) {
	t.Parallel()
	s := startSite(t, inFolder(t))
	cable := brokertest.StartProxy(t, s.backend.ChatAddr())
	visitor, agent := newWindow(t, desktop), s.agent(desktop, "Vika")
	visitor.visit("http://" + cable.Addr())
	visitor.asks("Nika", "one")
	agent.takes("Nika")
	visitor.takesFiles()
	slow := func(rate float64) {
		call(visitor, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{DownloadThroughput: -1, UploadThroughput: rate}},
		})
	}
	big := sent{"log.txt", "text/plain", bytes.Repeat([]byte("0123456789abcdef"), 64<<10)} // a megabyte
	slow(100 << 10)
	visitor.gives("picked", big)
	visitor.until("it gets on", `$(".tray progress").value > 0.05 && $(".tray progress").value < 1 && /^Uploading: \d+%$/.test($(".tray .fate").textContent)`)
	visitor.shot("visitor-uploading")
	visitor.accessible("uploading")
	visitor.click(`.tray [aria-label="Cancel the upload of log.txt"]`)
	visitor.until("it is gone, and the field has the focus", `$$(".tray li").length === 0 && root.activeElement === $("#message")`)

	// A message waits for its file; nothing of it can be changed meanwhile.
	visitor.gives("picked", big)
	visitor.until("it gets on", `$(".tray progress").value > 0.02`)
	visitor.fill("#message", "two")
	visitor.press("\r")
	visitor.shows(".waits", "Your message will be sent as soon as the files are uploaded.")
	visitor.until("it cannot be changed", `$("#message").readOnly && $("#message").value === "two"`)
	visitor.shot("visitor-message-waits")

	// The network goes: the message is as it was, and the file can be sent again.
	cable.Cut()
	visitor.shows(".tray .fate", "We can’t reach the chat right now.")
	visitor.until("the message can be changed", `!$("#message").readOnly && $("#message").value === "two" && $(".waits").textContent === ""`)
	visitor.accessible("an upload has failed")
	visitor.shot("visitor-upload-failed")
	visitor.press("\r")
	visitor.until("nothing was sent", `$$(".messages .bubble").length === 1 && $$(".outbox li").length === 0 && $("#message").value === "two"`)
	slow(-1)
	cable.Heal()
	visitor.click(`.tray [aria-label="Upload log.txt again"]`)
	visitor.ready(1)
	visitor.click(".send")
	for _, w := range []*window{visitor, agent} {
		w.conversation("one", "two")
		w.shows(".messages .document", "log.txt")
	}

	// Written while offline, with a file that is there: it goes when the network is back.
	visitor.gives("picked", sent{"small.txt", "text/plain", []byte("hello")})
	visitor.ready(1)
	cable.Cut()
	visitor.shows(".status", "Connection lost")
	visitor.fill("#message", "three")
	visitor.press("\r")
	visitor.shows(".outbox .fate", "Will be sent when you’re back online")
	cable.Heal()
	agent.conversation("one", "two", "three")
	agent.shows(".messages .document", "small.txt")
}

// TestWhatCannotBeSent: some files are refused before the upload begins, and others by the server,
// which knows their content.
func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	folder := inFolder(t)
	s := startSite(t, func(cfg *backend.Config) {
		folder(cfg)
		cfg.FileSize, cfg.FilesPerChat = 2000, 7
	})
	visitor := s.visitor(desktop)
	visitor.asks("Nika", "one")
	visitor.takesFiles()
	note := func(name string) sent { return sent{name, "text/plain", []byte("hello")} }
	for _, test := range []struct {
		file sent
		want string
	}{
		{sent{"big.txt", "text/plain", bytes.Repeat([]byte("x"), 2001)}, "big.txt is too large. Files can be up to 2 kB."},
		{sent{"none.txt", "text/plain", nil}, "none.txt is empty."},
		{sent{"film.mp4", "video/mp4", []byte("\x00\x00\x00\x18ftypmp42")}, "film.mp4 can’t be sent. You can send PNG, JPEG, GIF, WebP, PDF, TXT."},
		{sent{"program.png", "image/png", []byte("MZ\x90\x00\x03")}, "program.png can’t be sent."},
	} {
		visitor.gives("picked", test.file)
		visitor.shows(".composer > .hint", test.want)
		visitor.until("nothing is sent", `$$(".tray li").length === 0`)
	}
	visitor.accessible("a file that cannot be sent")
	visitor.shot("visitor-file-refused")
	// The server alone knows that a text is a page.
	visitor.gives("picked", sent{"page.txt", "text/plain", []byte("<html><script>1</script>")}, sent{"broken.png", "image/png", []byte("\x89PNG\r\n\x1a\nno")})
	visitor.shows(".tray .fate", "Files of this kind are not accepted.")
	visitor.shows(".tray .fate", "This file can’t be read.")
	visitor.click(".tray li:first-child .icon-close")
	visitor.click(".tray li:first-child .icon-close")
	// Five for one message, and so many for a chat.
	visitor.gives("dropped", note("1"), note("2"), note("3"), note("4"), note("5"), note("6"))
	visitor.ready(5)
	visitor.shows(".composer > .hint", "A message can have up to 5 files.")
	visitor.click(".send")
	visitor.until("five are there", `$$(".messages .document").length === 5`)
	visitor.gives("dropped", note("6"), note("7"), note("8"))
	visitor.shows(".tray .fate", "This chat can’t take any more files.")
}

// TestNoFilesNoButton: if the server takes no files, the pages show nothing of them.
func TestNoFilesNoButton(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	visitor, agent := s.couple()
	for _, w := range []*window{visitor, agent} {
		w.gives("pasted", sent{"image.png", "image/png", picture(1, 1, color.Black)})
		w.gives("dropped", sent{"image.png", "image/png", picture(1, 1, color.Black)})
		w.until("there is no button, and nothing to drop on", `!$$(".attach, .camera, .tray, .zone, .tray li").some(shown)`)
	}
}

// TestNamesOfFiles: any name of a file is shown as it is, and does nothing.
func TestNamesOfFiles(t *testing.T) {
	t.Parallel()
	s := startSite(t, inFolder(t))
	as := desktop
	as.script = watched
	visitor := s.visitor(as)
	agent := newWindow(t, as)
	agent.visit(s.lobby)
	agent.signsIn("Vika")
	visitor.asks("Nika", "one")
	agent.takes("Nika")
	visitor.takesFiles()
	names := map[string]string{ // as given, and as shown
		`<img src=x onerror=pwned()>.png`:              "", // filled in below
		`"><svg onload=pwned()>.txt`:                   "",
		"javascript:pwned().txt":                       "",
		"{{constructor.constructor('pwned()')()}}.txt": "",
		"gnp.\u202eexe.txt":                            "gnp.exe.txt",
		"../../etc/passwd":                             "passwd",
		"two\nlines\t.txt":                             "twolines.txt",
		strings.Repeat("\U0001f600", 63) + ".tx":       strings.Repeat("\U0001f600", 63) + ".tx",
		"invoice.pdf.exe":                              "",
		strings.Repeat("W", 250) + ".txt":              "",
	}
	given := 0
	for name, shown := range names {
		if shown == "" {
			shown = name
		}
		f := sent{name, "text/plain", []byte("hello")}
		if strings.HasSuffix(name, ".png") {
			f.kind, f.content = "image/png", picture(3, 3, color.White)
		}
		given++
		visitor.gives("picked", f)
		visitor.ready(1)
		visitor.click(".send")
		for _, w := range []*window{visitor, agent} {
			w.until("the file is there", fmt.Sprintf(`$$(".messages .attachments").length === %d`, given))
			w.until("its name is shown as it is", fmt.Sprintf(`(({ title, textContent, firstElementChild }) => title === %[1]q && (firstElementChild.alt === "Picture: " + %[1]q || textContent.startsWith(%[1]q)))($$(".messages .attachments a").at(-1))`, shown))
		}
	}
	for _, w := range []*window{visitor, agent} {
		if happened := get[[]string](w, `happened`); len(happened) > 0 {
			t.Errorf("in %s: %v", get[string](w, "location.href"), happened)
		}
		w.until("nothing is wider than the window", `$$(".attachments > li").every((one) => one.getBoundingClientRect().right <= innerWidth)`)
		w.shot("names-of-files-" + get[string](w, `document.querySelector("livesupport-chat") ? "visitor" : "agent"`))
	}
}

// TestPasteOfWords: if words are pasted together with a picture of them, as spreadsheets do it, the
// words count. Nothing that is pasted into a note goes to the visitor.
func TestPasteOfWords(t *testing.T) {
	t.Parallel()
	s := startSite(t, inFolder(t))
	_, agent := s.couple()
	agent.takesFiles()
	taken := func(field string, kinds ...string) bool {
		t.Helper()
		data := ""
		for _, kind := range kinds {
			data += fmt.Sprintf("data.setData(%q, %q);", kind, "one, two")
		}
		return !get[bool](agent, fmt.Sprintf(`(() => { const data = new DataTransfer(); %s data.items.add(%s);
			return %s; })()`, data, sent{"image.png", "image/png", picture(1, 1, color.Black)}.js(), paste(field)))
	}
	if taken("#message", "text/plain", "text/html") {
		t.Error("the words of a table are not pasted")
	}
	if !taken("#message", "text/plain") || !taken("#message", "text/html") {
		t.Error("a file is pasted as its name")
	}
	agent.ready(2)
	get[any](agent, `$(".modes .as-note").click()`)
	if taken("#note") {
		t.Error("a picture was taken from a note")
	}
	agent.until("nothing more is to be sent", `$$(".tray li").length === 2`)
}
