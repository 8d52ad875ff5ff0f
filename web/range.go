package web

import (
	"strconv"
	"strings"
)

// byteRange is a part of a file: from start up to, but excluding, end.
type byteRange struct{ start, end int64 }

// of returns the Content-Range of the part in a file of the given size. For an empty part
// it returns the form for a range that cannot be satisfied.
func (r byteRange) of(size int64) string {
	part := "*"
	if r.end > r.start {
		part = strconv.FormatInt(r.start, 10) + "-" + strconv.FormatInt(r.end-1, 10)
	}
	return "bytes " + part + "/" + strconv.FormatInt(size, 10)
}

// rangeKind says what a Range header asks for.
type rangeKind int

const (
	rangeNone rangeKind = iota // the whole file: no header, or one that this server does not support
	rangeGood
	rangeBad // outside the file
)

// parseRange parses a Range header (RFC 9110, section 14). The response to several ranges
// at once is the whole file.
func parseRange(header string, size int64) (byteRange, rangeKind) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !isBytes || !found || strings.Contains(spec, ",") {
		return byteRange{}, rangeNone
	}
	start, startErr := strconv.ParseUint(first, 10, 62)
	end, endErr := strconv.ParseUint(last, 10, 62)
	switch {
	case first == "" && endErr == nil: // the last bytes of the file
		if end == 0 {
			return byteRange{}, rangeBad
		}
		return byteRange{max(0, size-int64(end)), size}, rangeGood
	case startErr != nil, last != "" && endErr != nil, last != "" && end < start:
		return byteRange{}, rangeNone
	case int64(start) >= size:
		return byteRange{}, rangeBad
	case last == "":
		return byteRange{int64(start), size}, rangeGood
	}
	return byteRange{int64(start), min(int64(end)+1, size)}, rangeGood
}

// hasETag reports whether an If-None-Match names a tag.
func hasETag(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == etag || tag == "*" {
			return true
		}
	}
	return false
}
