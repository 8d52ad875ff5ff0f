// Package browser has the tests of the pages in a real browser: visitors and
// agents in windows of their own, each with its own storage, on a backend with an
// embedded Redis. Everything is done as people do it, by mouse and keyboard.
//
// They run where chromium is installed; LIVESUPPORT_REQUIRE_BROWSER=1 makes a
// missing one a failure, 0 leaves them out. With -artifacts -outputdir DIR, a
// folder that is there, they write pictures of the main states.
package browser
