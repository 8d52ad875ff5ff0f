package chat

import "livesupport/chat/log"

// features are what a session has listed in its Join (PROTOCOL.md, "Extensions").
type features uint16

const (
	featureMessageID features = 1 << iota
	featureReceipts
	featureTyping
	featurePreview
	featurePresence
	featureClose
	featureRating
	featureQueue
	featureNotes
)

var featureNames = map[string]features{
	"messageId": featureMessageID,
	"receipts":  featureReceipts,
	"typing":    featureTyping,
	"preview":   featurePreview,
	"presence":  featurePresence,
	"close":     featureClose,
	"rating":    featureRating,
	"queue":     featureQueue,
	"notes":     featureNotes,
}

// ofMessages are the features that change how a message looks.
const ofMessages = featureMessageID | featureReceipts

// ofSignals are the features that need the passing signals of the chat's other
// servers.
const ofSignals = featureReceipts | featureTyping | featurePresence

// parseFeatures ignores the names that this server does not know, and those that are
// not for the role.
func parseFeatures(names []string, role log.Role) (f features) {
	for _, name := range names {
		f |= featureNames[name]
	}
	if role == log.RoleUser {
		f &^= featureNotes
	}
	return f
}

// has reports whether all of the wanted features are listed.
func (f features) has(wanted features) bool { return f&wanted == wanted }
