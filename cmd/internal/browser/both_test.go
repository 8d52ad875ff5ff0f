package browser_test

import "testing"

// TestFirefox runs what depends on the browser once more, in Firefox. One test comes
// after the other: only one of Firefox's windows has the focus at any time.
func TestFirefox(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Accessibility", TestAccessibility},
		{"Arabic", TestArabic},
		{"ClaimRace", TestClaimRace},
		{"Expiry", TestExpiry},
		{"HostilePage", TestHostilePage},
		{"Keyboard", TestKeyboard},
		{"NetworkOffAndOn", TestNetworkOffAndOn},
		{"NothingIsHTML", TestNothingIsHTML},
		{"Notifications", TestNotifications},
		{"Phone", TestPhone},
		{"Pictures", TestPictures},
		{"Proxy", TestProxy},
		{"QueueOrder", TestQueueOrder},
		{"RefusedMessage", TestRefusedMessage},
		{"Scrollbars", TestScrollbars},
		{"ServerAway", TestServerAway},
		{"ServerGoesAndComes", TestServerGoesAndComes},
		{"SeveralConversations", TestSeveralConversations},
		{"Talk", TestTalk},
		{"Token", TestToken},
		{"UnreadMessages", TestUnreadMessages},
		{"Verified", TestVerified},
	} {
		// The outer one waits for the inner one, which is parallel to others.
		t.Run(one.name, func(t *testing.T) { t.Run("again", one.test) })
	}
}
