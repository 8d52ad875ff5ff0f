package web

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"

	"livesupport/chat"
	"livesupport/chat/files"
	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/gofiber/fiber/v2"
)

// The headers of an upload (web/api/README.md, "Files").
const (
	userHeader     = "Livesupport-User"
	supportHeader  = "Livesupport-Support"
	filenameHeader = "Livesupport-Filename"
)

var (
	errNoFile   = wire.NewError(wire.BadRequest, "The file is empty.")
	errFilename = wire.NewError(wire.BadRequest, `The header "`+filenameHeader+`" must be a name in UTF-8, percent-encoded.`)
	errCut      = wire.NewError(wire.BadRequest, "The upload was incomplete or too slow.")
	errFileSize = wire.NewError(wire.TooLarge, "This file is too large.")
	errFileType = wire.NewError(wire.BadType, "This server does not accept files of this type.")
)

// uploadsPerRegistration is how many uploads an address may make for each registration
// that its limit allows.
const uploadsPerRegistration = 10

// serveFiles adds the routes for files, if there is a file store.
func (s *Server) serveFiles(service *chat.Service) {
	if s.options.Uploads == nil {
		return
	}
	s.app.Post("/chat/:chatId/files", func(c *fiber.Ctx) error { return s.receiveFile(c, service) })
	s.app.Get("/files/:fileId", s.sendFile) // and HEAD
}

// receiveFile answers POST /chat/{chatId}/files.
func (s *Server) receiveFile(c *fiber.Ctx, service *chat.Service) error {
	body := newUpload(c)
	c.Locals(uploadLocal, body)
	// Fiber reuses the memory of all of these.
	chatID := strings.Clone(c.Params("chatId"))
	userID, supportID := strings.Clone(c.Get(userHeader)), strings.Clone(c.Get(supportHeader))
	header := &c.Request().Header
	filenames := header.PeekAll(filenameHeader)
	switch {
	case !wire.ValidID(chatID):
		return fiber.ErrNotFound
	case userID == "":
		return missingHeader(userHeader)
	case len(filenames) == 0:
		return missingHeader(filenameHeader)
	case len(header.ContentType()) == 0:
		return missingHeader(fiber.HeaderContentType)
	case body.length == 0:
		return errNoFile
	}
	filename := string(filenames[0])
	if _, ok := files.Name(filename, ""); !ok {
		return errFilename
	}
	if err := s.limitRate(c, s.uploads, "files"); err != nil {
		return err
	}
	// Not the request's own context, which only ends with the server. Everything that can
	// take long has bounds of its own.
	ctx := context.Background()
	admission, err := service.Admit(ctx, chatID, userID, supportID, func() (*wire.Identity, error) {
		token := c.Get(tokenHeader)
		shown := token != ""
		if !shown {
			token, shown = bearer(c.Get(fiber.HeaderAuthorization), "")
		}
		return s.verifyAgent(token, shown)
	})
	if err != nil {
		return err
	}
	defer admission.End()
	f, err := s.storeFile(ctx, body, admission, filename, chatID)
	if err != nil {
		return err
	}
	path := "/files/" + f.ID
	origin := s.fileOrigin(c)
	entry := log.File{ID: f.ID, Name: f.Name, Type: f.Type, Size: f.Size, URL: path, Address: origin + path}
	if s.options.Site.FilesOrigin != "" {
		entry.URL = entry.Address
	}
	if err := admission.Add(ctx, entry); err != nil {
		if !errors.Is(err, wire.ErrUnavailable) { // otherwise the file may be in the chat
			s.options.Uploads.Withdraw(ctx, f)
		}
		return err
	}
	s.options.Uploads.Received(f)
	c.Set(fiber.HeaderCacheControl, "no-store")
	entry.Address = ""
	return c.Status(fiber.StatusCreated).JSON(entry)
}

// storeFile checks the content of an upload and stores it.
func (s *Server) storeFile(ctx context.Context, body *upload, admission *chat.Upload, filename, chatID string) (*files.File, error) {
	if int64(body.length) > s.options.Uploads.Size() {
		return nil, errFileSize
	}
	head, err := files.ReadHead(body)
	switch {
	case err != nil:
		return nil, errCut
	case head.Empty():
		return nil, errNoFile
	}
	kind := head.Type()
	if !s.options.Uploads.Takes(kind) {
		return nil, errFileType
	}
	if err := admission.Reserve(); err != nil {
		return nil, err
	}
	name, _ := files.Name(filename, kind) // was checked before
	f := &files.File{ID: wire.NewID(), ChatID: chatID, Name: name, Type: kind}
	err = s.options.Uploads.Receive(ctx, f, head, body)
	switch {
	case errors.Is(err, files.ErrTooLarge):
		return nil, errFileSize
	case errors.Is(err, errCutOff):
		return nil, errCut
	case err != nil:
		s.options.Log.Warn("cannot store a file", "chat", wire.ShortID(chatID), "error", err)
		return nil, wire.ErrUnavailable
	}
	return f, nil
}

func missingHeader(name string) error {
	return wire.NewError(wire.BadRequest, `The header "`+name+`" is missing.`)
}

// hostForm matches a Host that is safe to put into other people's links.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)

// fileOrigin returns the origin of the URLs of uploaded files: the configured one, or else
// the one at which the client has reached this server.
func (s *Server) fileOrigin(c *fiber.Ctx) string {
	switch site := &s.options.Site; {
	case site.FilesOrigin != "":
		return site.FilesOrigin
	case site.ChatURL != "":
		return site.ChatURL
	}
	scheme, host := s.forwardedOrigin(c)
	if !hostForm.MatchString(host) {
		host = c.Context().LocalAddr().String()
	}
	return scheme + "://" + host
}

// sendFile answers GET and HEAD /files/{fileId}.
func (s *Server) sendFile(c *fiber.Ctx) error {
	fileID := strings.Clone(c.Params("fileId"))
	if !wire.ValidID(fileID) {
		return fiber.ErrNotFound
	}
	ctx := context.Background()
	f, err := s.options.Uploads.Find(ctx, fileID)
	if errors.Is(err, files.ErrNotFound) {
		return fiber.ErrNotFound
	}
	if err != nil {
		s.options.Log.Warn("cannot look up a file", "error", err)
		return wire.ErrUnavailable
	}
	etag := `"` + f.ID + `"` // its content never changes
	c.Set(fiber.HeaderETag, etag)
	c.Set(fiber.HeaderCacheControl, "private, no-cache") // a file is deleted with its chat
	c.Set(fiber.HeaderContentSecurityPolicy, "sandbox; default-src 'none'")
	c.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if hasETag(c.Get(fiber.HeaderIfNoneMatch), etag) {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, f.Type)
	c.Set(fiber.HeaderContentDisposition, files.Disposition(f.Name, f.Type))
	c.Set(fiber.HeaderAcceptRanges, "bytes")
	part := byteRange{0, f.Size}
	if given := c.Get(fiber.HeaderIfRange); given == "" || given == etag {
		asked, how := parseRange(c.Get(fiber.HeaderRange), f.Size)
		switch how {
		case rangeGood:
			part = asked
			c.Set(fiber.HeaderContentRange, asked.of(f.Size))
			c.Status(fiber.StatusPartialContent)
		case rangeBad:
			c.Response().Header.Del(fiber.HeaderETag)
			c.Set(fiber.HeaderContentRange, byteRange{}.of(f.Size))
			return fiber.ErrRequestedRangeNotSatisfiable
		}
	}
	size := int(part.end - part.start)
	if c.Method() == fiber.MethodHead {
		c.Response().SkipBody = true
		c.Response().Header.SetContentLength(size)
		return nil
	}
	content, err := s.options.Uploads.Read(ctx, f, part.start, part.end-part.start)
	if errors.Is(err, files.ErrNotFound) {
		return fiber.ErrNotFound
	}
	if err != nil {
		s.options.Log.Warn("cannot read a file", "error", err)
		return wire.ErrUnavailable
	}
	c.Context().SetBodyStream(&download{ReadCloser: content, conn: c.Context().Conn(), began: time.Now()}, size)
	return nil
}

// download is a file on its way to a client, which must read it at files.MinRate or
// faster.
type download struct {
	io.ReadCloser
	conn  interface{ SetWriteDeadline(time.Time) error }
	began time.Time
	read  int
}

func (d *download) Read(p []byte) (int, error) {
	if err := d.conn.SetWriteDeadline(patience(d.began, d.read)); err != nil {
		return 0, err
	}
	n, err := d.ReadCloser.Read(p)
	d.read += n
	return n, err
}
