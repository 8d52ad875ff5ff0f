package follow

import (
	"time"

	"livesupport/chat/log"
)

// maxFolds and maxFolded bound the number of remembered logs, and of their messages.
const maxFolds, maxFolded = 5000, 200_000

// fold is the state of a log as far as it was read.
type fold struct {
	state log.State
	last  int64
	past  log.Past
	entry string    // the last one
	kept  time.Time // when the life of the cursors was last extended
}

// takeFold removes and returns the remembered state of a log.
func (t *tail) takeFold(chatID string) *fold {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.folds[chatID]
	if f == nil {
		return &fold{}
	}
	delete(t.folds, chatID)
	t.folded -= f.size()
	return f
}

// keepFold remembers the state of a log, so that later entries can be read without the earlier
// ones. It forgets others if there are too many.
func (t *tail) keepFold(v *visiting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.folds[v.chatID] = v.fold
	t.folded += v.fold.size()
	for id, f := range t.folds {
		if len(t.folds) <= maxFolds && t.folded <= maxFolded {
			return
		}
		delete(t.folds, id)
		t.folded -= f.size()
	}
}

func (f *fold) size() int { return len(f.state.Messages) + 1 }
