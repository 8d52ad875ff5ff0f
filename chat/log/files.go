package log

import (
	"slices"
	"strings"
)

// File is a file of a chat, as shown in messages.
type File struct {
	ID   string `json:"fileId"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
	Size int64  `json:"size,omitzero"` // bytes
	URL  string `json:"url,omitempty"`
	// Address is the complete URL, for clients without the feature files.
	Address string `json:"address,omitempty"`
}

// Files are files of a chat. In the Event of a message they only have an ID; the rest is in their
// Uploaded.
type Files []File

// Upload is a file that was uploaded to a chat.
type Upload struct {
	File
	At      int64
	Carried bool // a message has it
}

// Upload returns a file of the chat.
func (s *State) Upload(fileID string) (Upload, bool) {
	if i := s.indexOfUpload(fileID); i >= 0 {
		return s.Uploads[i], true
	}
	return Upload{}, false
}

func (s *State) indexOfUpload(fileID string) int {
	return slices.IndexFunc(s.Uploads, func(u Upload) bool { return u.ID == fileID })
}

// HasFiles reports whether all files belong to the chat.
func (s *State) HasFiles(files *Files) bool {
	return files == nil || !slices.ContainsFunc(*files, func(f File) bool { return s.indexOfUpload(f.ID) < 0 })
}

// Files returns the files of a message, nil for most.
func (s *State) Files(m *Message) []File { return s.carried[m.Seq] }

// Shown returns files in the form for clients with the feature files.
func Shown(files []File) []File {
	shown := slices.Clone(files)
	for i := range shown {
		shown[i].Address = ""
	}
	return shown
}

// WithLines returns the content of a message for clients without the feature: with a line for
// each file.
func WithLines(content string, files []File) string {
	if len(files) == 0 {
		return content
	}
	lines := make([]string, 0, len(files)+1)
	if content != "" {
		lines = append(lines, content)
	}
	for _, f := range files {
		lines = append(lines, f.Name+" "+f.Address)
	}
	return strings.Join(lines, "\n")
}

// upload adds a file, unless the chat already has Seq files.
func (s *State) upload(e Event) Outcome {
	switch {
	case e.Files == nil || len(*e.Files) != 1 || (*e.Files)[0].ID == "" || !e.From.Valid():
		return Ignored
	case s.indexOfUpload((*e.Files)[0].ID) >= 0:
		return Applied // by this event
	case e.From == RoleSupport && !s.owns(e.SupportID):
		return Refused
	case s.Closed.From != "":
		return Over
	case int64(len(s.Uploads)) >= e.Seq:
		return Full
	}
	if first := s.Registration(Uploaded); first != nil {
		s.registered.fold = first.Fold
	}
	s.advance(e.At)
	s.Uploads = append(s.Uploads, Upload{File: (*e.Files)[0], At: s.at})
	return Applied
}

// discard removes a file that no message has.
func (s *State) discard(e Event) Outcome {
	if e.Files == nil || len(*e.Files) != 1 {
		return Ignored
	}
	i := s.indexOfUpload((*e.Files)[0].ID)
	switch {
	case i < 0:
		return Applied // the file is not there
	case s.Uploads[i].Carried:
		return Refused
	}
	s.Uploads = slices.Delete(s.Uploads, i, i+1)
	return Applied
}

// carry records the files of the message that was just applied. They all belong to the chat.
func (s *State) carry(files *Files) {
	if files == nil {
		return
	}
	all := make([]File, 0, len(*files))
	for _, f := range *files {
		upload := &s.Uploads[s.indexOfUpload(f.ID)]
		upload.Carried = true
		all = append(all, upload.File)
	}
	if s.carried == nil {
		s.carried = map[int64][]File{}
	}
	s.carried[int64(len(s.Messages))] = all
}
