// Package browser has the tests of the pages in a real browser: visitors and
// agents in windows of their own, each with its own storage, on a backend with an
// embedded Redis. Everything is done as people do it, by mouse and keyboard.
//
// They run in Chromium, and TestFirefox runs those that depend on the browser in
// Firefox as well. A browser that is not installed skips its tests;
// LIVESUPPORT_REQUIRE_BROWSER=1 makes that a failure, 0 leaves all of them out.
// With -artifacts -outputdir DIR, a folder that is there, they write pictures of the
// main states.
package browser
