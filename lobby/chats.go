package lobby

import (
	"cmp"
	"slices"

	"livesupport/lobby/wire"
)

// shownChat is a chat with a support, as supervisors get it.
type shownChat struct {
	ChatID          string `json:"chatId"`
	UserID          string `json:"userId"`
	Username        string `json:"username"`
	Agent           string `json:"agent"`
	SupportID       string `json:"supportId"`
	SupportUserName string `json:"supportUserName"`
	Team            string `json:"team"`
	Since           string `json:"since"`
}

func (c *chatNews) payload() []byte {
	return wire.Encode("Chat", shownChat{
		c.chatID, c.UserID, c.Username, c.agent, c.supportID, c.SupportUserName, c.Team, timestamp(c.Since),
	})
}

func chatGonePayload(chatID string) []byte {
	return wire.Encode("ChatGone", struct {
		ChatID string `json:"chatId"`
	}{chatID})
}

// setChat takes over who has a chat, and returns the frames to send. The caller holds mu.
func (l *Lobby) setChat(c chatNews) (frames []byte) {
	chats := l.staff.chats
	before, had := chats[c.chatID]
	if had && before.supportID != c.supportID {
		frames = append(frames, l.cfg.Frame(chatGonePayload(c.chatID))...)
		had = false
	}
	if c.supportID == "" {
		delete(chats, c.chatID)
		return frames
	}
	chats[c.chatID] = c
	if !had || before != c {
		frames = append(frames, l.cfg.Frame(c.payload())...)
	}
	return frames
}

// keepChats forgets all other chats. The caller holds mu.
func (l *Lobby) keepChats(list []chatNews) (frames []byte) {
	still := make(map[string]bool, len(list))
	for _, c := range list {
		still[c.chatID] = true
	}
	for chatID := range l.staff.chats {
		if !still[chatID] {
			frames = append(frames, l.setChat(chatNews{chatID: chatID})...)
		}
	}
	return frames
}

// showChats returns the frames of all chats, the oldest first. The caller holds mu.
func (l *Lobby) showChats() (frames []byte) {
	list := make([]chatNews, 0, len(l.staff.chats))
	for _, c := range l.staff.chats {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b chatNews) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.chatID, b.chatID))
	})
	for _, c := range list {
		frames = append(frames, l.cfg.Frame(c.payload())...)
	}
	return frames
}
