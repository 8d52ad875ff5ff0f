package files

import (
	"io"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// headSize is how many bytes of a file are enough to detect its type.
const headSize = 3072

// Head is the beginning of a file that is being received, enough to detect its type.
type Head struct{ bytes []byte }

// ReadHead reads a Head from the body of an upload. The Head of an empty file is empty. A body
// that was cut off must return an error other than io.EOF and io.ErrUnexpectedEOF.
func ReadHead(body io.Reader) (Head, error) {
	b := make([]byte, headSize)
	n, err := io.ReadFull(body, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF { // a short file
		err = nil
	}
	return Head{b[:n]}, err
}

// Empty reports whether the file is empty.
func (h Head) Empty() bool { return len(h.bytes) == 0 }

// Type returns the media type of the content, without parameters. It ignores what the client
// says about the file.
func (h Head) Type() string {
	kind, _, _ := strings.Cut(mimetype.Detect(h.bytes).String(), ";")
	return kind
}
