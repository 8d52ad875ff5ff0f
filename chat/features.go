package chat

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
}

// ofMessages are the features that change how a message looks.
const ofMessages = featureMessageID | featureReceipts

// ofSignals are the features that need the passing signals of the chat's other
// servers.
const ofSignals = featureReceipts | featureTyping | featurePresence

// parseFeatures ignores the names that this server does not know.
func parseFeatures(names []string) (f features) {
	for _, name := range names {
		f |= featureNames[name]
	}
	return f
}

// has reports whether all of the wanted features are listed.
func (f features) has(wanted features) bool { return f&wanted == wanted }
