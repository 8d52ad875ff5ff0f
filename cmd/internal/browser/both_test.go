package browser_test

import (
	"os"
	"testing"
)

// TestFirefox runs what depends on the browser once more, in Firefox: what people do
// and see, what the keys do, and who they are; with LIVESUPPORT_REQUIRE_BROWSER=1 the
// rest of it, too. One test comes after the other: only one of Firefox's windows has
// the focus at any time.
func TestFirefox(t *testing.T) {
	t.Parallel()
	type tests []struct {
		name string
		test func(*testing.T)
	}
	list := tests{
		{"Accessibility", TestAccessibility},
		{"Arabic", TestArabic},
		{"ClicksCountOnce", TestClicksCountOnce},
		{"ConsoleCloses", TestConsoleCloses},
		{"ConsolePresence", TestConsolePresence},
		{"HostilePage", TestHostilePage},
		{"Keyboard", TestKeyboard},
		{"KeysStayInside", TestKeysStayInside},
		{"ModalsThatKeepTheFocus", TestModalsThatKeepTheFocus},
		{"PasswordInFrontOfVisitors", TestPasswordInFrontOfVisitors},
		{"Phone", TestPhone},
		{"Talk", TestTalk},
		{"Token", TestToken},
		{"Verified", TestVerified},
		{"WidgetEnd", TestWidgetEnd},
		{"WidgetEndWaiting", TestWidgetEndWaiting},
		{"WidgetOfOldServer", TestWidgetOfOldServer},
		{"WidgetPlace", TestWidgetPlace},
		{"WidgetPresence", TestWidgetPresence},
		{"WidgetPreview", TestWidgetPreview},
		{"WidgetReads", TestWidgetReads},
		{"WidgetReceipts", TestWidgetReceipts},
		{"WidgetStates", TestWidgetStates},
		{"WidgetTyping", TestWidgetTyping},
	}
	if os.Getenv(requireBrowser) == "1" {
		list = append(list, tests{
			{"ClaimRace", TestClaimRace},
			{"ConsoleOnPhone", TestConsoleOnPhone},
			{"ConsoleReads", TestConsoleReads},
			{"ConsoleReceipts", TestConsoleReceipts},
			{"ConsoleUnreadEverywhere", TestConsoleUnreadEverywhere},
			{"Corner", TestCorner},
			{"Expiry", TestExpiry},
			{"HiddenByThePage", TestHiddenByThePage},
			{"NetworkOffAndOn", TestNetworkOffAndOn},
			{"NothingIsHTML", TestNothingIsHTML},
			{"Notifications", TestNotifications},
			{"Offsets", TestOffsets},
			{"PageThatRemovesTheButton", TestPageThatRemovesTheButton},
			{"PagesOfOneDocument", TestPagesOfOneDocument},
			{"PasswordInFront", TestPasswordInFront},
			{"Pictures", TestPictures},
			{"Proxy", TestProxy},
			{"QueueOrder", TestQueueOrder},
			{"RefusedMessage", TestRefusedMessage},
			{"Rejoin", TestRejoin},
			{"ReplacedBuiltIns", TestReplacedBuiltIns},
			{"Scrollbars", TestScrollbars},
			{"ServerAway", TestServerAway},
			{"ServerGoesAndComes", TestServerGoesAndComes},
			{"SeveralConversations", TestSeveralConversations},
			{"TokenInTime", TestTokenInTime},
			{"UnreadMessages", TestUnreadMessages},
			{"WaysToLoadTheScript", TestWaysToLoadTheScript},
		}...)
	}
	for _, one := range list {
		// The outer one waits for the inner one, which is parallel to others.
		t.Run(one.name, func(t *testing.T) { t.Run("again", one.test) })
	}
}
