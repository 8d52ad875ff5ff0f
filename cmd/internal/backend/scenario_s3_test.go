package backend_test

import (
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"livesupport/cmd/internal/backend"
)

// An s3 is a server of that protocol, with one bucket.
type s3 struct {
	url    string // for FILES_URL
	bucket *s3mem.Backend
}

func startS3(t *testing.T) s3 {
	t.Helper()
	bucket := s3mem.New()
	if err := bucket.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(bucket).Server())
	t.Cleanup(server.Close)
	return s3{"s3://bucket?region=eu-central-1&use_path_style=true&endpoint=" + server.URL, bucket}
}

// awsKeys are any: the servers of the tests do not look at them.
func awsKeys(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// of counts what there is of a chat and its files.
func (s s3) of(v *visitor, files ...obj) (count int) {
	list, err := s.bucket.ListBucket("bucket", nil, gofakes3.ListBucketPage{})
	if err != nil {
		return -1
	}
	for _, object := range list.Contents {
		if strings.Contains(object.Key, v.chatID) || slices.ContainsFunc(files, func(f obj) bool { return strings.Contains(object.Key, f["fileId"].(string)) }) {
			count++
		}
	}
	return count
}

// TestScenarioFilesOnS3 is the life of files in a bucket.
func TestScenarioFilesOnS3(t *testing.T) {
	t.Parallel()
	awsKeys(t)
	bucket := startS3(t)
	const ttl = slowness * 3 * time.Second
	inBucket := func(c *backend.Config) { c.FilesURL, c.ChatTTL = bucket.url, ttl }
	inEveryPlace(t, withFiles(inBucket, shared, scenarios{
		"sent at one server, had from another, gone with the chat": func(w *world) {
			v, user, support := w.liveCouple("files")
			big := pdfContent + strings.Repeat("0123456789abcdef", 64<<10) // more than one part of a slow store
			picture, bill := w.uploaded(v, "a b.png", "image/png", pngContent), w.uploaded(v, "bill.pdf", "application/pdf", big)
			loose := w.uploaded(v, "a.txt", "text/plain", "no message carries it")
			user.sends("look", picture["fileId"], bill["fileId"])
			support.expect("ChatMessage", user.expect("ChatMessage", user.carrying("look", picture, bill)))
			for _, addr := range w.chats {
				if r := w.get(addr, address(picture)); r.status != 200 || r.body != pngContent || r.header.Get("Content-Type") != "image/png" {
					w.Errorf("status %d, %q", r.status, r.body)
				}
				if r := w.get(addr, address(bill)); r.status != 200 || r.body != big {
					w.Errorf("status %d, %d bytes", r.status, len(r.body))
				}
				if r := w.get(addr, address(bill), "Range", "bytes=1000000-1000003"); r.status != 206 || r.body != big[1000000:1000004] {
					w.Errorf("status %d, %q", r.status, r.body)
				}
				if r := w.get(addr, address(loose)); r.status != 200 {
					w.Errorf("status %d", r.status)
				}
			}
			if n := bucket.of(v, picture, bill, loose); n != 6 { // each with what is known of it
				w.Errorf("%d objects", n)
			}
			user.send("CloseChat", nil)
			user.expectExpired(v)
			support.expectExpired(v)
			w.eventually("the files are gone", func() bool { return bucket.of(v, picture, bill, loose) == 0 })
			for _, addr := range w.chats {
				for _, file := range []obj{picture, bill, loose} {
					w.expectFailure(w.get(addr, address(file)), 404, "not_found")
				}
			}
			w.storeForgets(v)
		},
	}))
}
