// Package browser has the tests of the pages in a real browser: visitors and
// agents in windows of their own, each with its own storage, on a backend with an
// embedded Redis. Everything is done as people do it, by mouse and keyboard.
//
// They need chromium and take all processors for a minute, so they run alone:
//
//	LIVESUPPORT_REQUIRE_BROWSER=1 go test ./cmd/internal/browser
//
// and with -run Pictures -artifacts -outputdir DIR write pictures of the main
// states.
package browser
