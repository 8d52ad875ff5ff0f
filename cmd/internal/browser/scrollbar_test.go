package browser_test

import "testing"

// TestScrollbars sees that the windows of these tests have scrollbars as people's
// do: on a desktop they take room from what they scroll, on a phone they do not.
func TestScrollbars(t *testing.T) {
	t.Parallel()
	for _, as := range []look{desktop, phone} {
		w := newWindow(t, as)
		w.visit("data:text/html,<!doctype html><meta name=viewport content=width=device-width><div style=height:9000px></div>")
		if room := get[int](w, `innerWidth - document.documentElement.clientWidth`); (room > 0) == as.phone {
			t.Errorf("in a window of %d px the scrollbar takes %d px", as.width, room)
		}
	}
}
