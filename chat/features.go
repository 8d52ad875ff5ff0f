package chat

import "livesupport/chat/log"

// features are the features that a session has listed in its Join (web/api/README.md,
// "Extensions").
type features uint16

const (
	featureMessageID features = 1 << iota
	featureReceipts
	featureFiles
	featureTyping
	featurePreview
	featurePresence
	featureClose
	featureRating
	featureQueue
	featureNotes
	featureTransfer
)

var featureNames = map[string]features{
	"messageId": featureMessageID,
	"receipts":  featureReceipts,
	"files":     featureFiles,
	"typing":    featureTyping,
	"preview":   featurePreview,
	"presence":  featurePresence,
	"close":     featureClose,
	"rating":    featureRating,
	"queue":     featureQueue,
	"notes":     featureNotes,
	"transfer":  featureTransfer,
}

// ofMessages are the features that change the form of a message. They are the lowest bits.
const ofMessages = featureMessageID | featureReceipts | featureFiles

// ofSignals are the features that need signals from the chat's other servers.
const ofSignals = featureReceipts | featureTyping | featurePresence

// parseFeatures ignores unknown names and features that the role cannot have.
func parseFeatures(names []string, role log.Role) (f features) {
	for _, name := range names {
		f |= featureNames[name]
	}
	if role == log.RoleUser {
		f &^= featureNotes
	}
	return f
}

// has reports whether f has all of the wanted features.
func (f features) has(wanted features) bool { return f&wanted == wanted }
