package browser_test

import (
	"os"
	"testing"
)

// TestFirefox runs what depends on the browser once more, in Firefox: what people do
// and see, what the keys do, and who they are; with LIVESUPPORT_REQUIRE_BROWSER=1 the
// rest of it, too. What the pages decide by themselves, such as words, names and
// colours, is the same in both. One test comes after the other: only one of Firefox's
// windows has the focus at any time.
func TestFirefox(t *testing.T) {
	t.Parallel()
	type tests []struct {
		name string
		test func(*testing.T)
	}
	list := tests{
		{"Arabic", TestArabic},
		{"Attachments", TestAttachments},
		{"ClicksCountOnce", TestClicksCountOnce},
		{"ConsoleCloses", TestConsoleCloses},
		{"ConsolePresence", TestConsolePresence},
		{"Directions", TestDirections},
		{"HostilePage", TestHostilePage},
		{"Keyboard", TestKeyboard},
		{"KeysStayInside", TestKeysStayInside},
		{"ModalsThatKeepTheFocus", TestModalsThatKeepTheFocus},
		{"Notes", TestNotes},
		{"Offer", TestOffer},
		{"PasswordInFrontOfVisitors", TestPasswordInFrontOfVisitors},
		{"Phone", TestPhone},
		{"Photographs", TestPhotographs},
		{"Talk", TestTalk},
		{"Token", TestToken},
		{"VisitorCloses", TestVisitorCloses},
		{"WidgetEnd", TestWidgetEnd},
		{"WidgetPresence", TestWidgetPresence},
		{"WidgetPreview", TestWidgetPreview},
		{"WidgetReads", TestWidgetReads},
		{"WidgetStates", TestWidgetStates},
		{"WidgetTyping", TestWidgetTyping},
	}
	if os.Getenv(requireBrowser) == "1" {
		list = append(list, tests{
			{"Archive", TestArchive},
			{"AwayWaits", TestAwayWaits},
			{"ConsoleOnPhone", TestConsoleOnPhone},
			{"ConsoleReads", TestConsoleReads},
			{"Corner", TestCorner},
			{"HiddenByThePage", TestHiddenByThePage},
			{"LeaveMessage", TestLeaveMessage},
			{"Messages", TestMessages},
			{"NamesOfFiles", TestNamesOfFiles},
			{"NetworkOffAndOn", TestNetworkOffAndOn},
			{"NothingIsHTML", TestNothingIsHTML},
			{"Notifications", TestNotifications},
			{"Offsets", TestOffsets},
			{"PageThatRemovesTheButton", TestPageThatRemovesTheButton},
			{"PagesOfOneDocument", TestPagesOfOneDocument},
			{"PasteOfWords", TestPasteOfWords},
			{"PasswordInFront", TestPasswordInFront},
			{"Proxy", TestProxy},
			{"Questions", TestQuestions},
			{"QuickReplies", TestQuickReplies},
			{"Rejoin", TestRejoin},
			{"ReplacedBuiltIns", TestReplacedBuiltIns},
			{"Scrollbars", TestScrollbars},
			{"ServerAway", TestServerAway},
			{"ServerGoesAndComes", TestServerGoesAndComes},
			{"SeveralConversations", TestSeveralConversations},
			{"TeamOnPhone", TestTeamOnPhone},
			{"UnreadMessages", TestUnreadMessages},
			{"WaysToLoadTheScript", TestWaysToLoadTheScript},
			{"WhatCannotBeSent", TestWhatCannotBeSent},
		}...)
	}
	for _, one := range list {
		// The outer one waits for the inner one, which is parallel to others.
		t.Run(one.name, func(t *testing.T) { t.Run("again", one.test) })
	}
}
