package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// maxComment is the maximum number of characters in the comment of a rating.
const maxComment = 1000

var (
	errNotRatable = wire.NewError(wire.Forbidden, "Only the user can rate a chat, once a support has joined it.")
	errRated      = wire.NewError(wire.ChatFull, "This chat cannot be rated any more often.")
)

// rate handles the user's Rate (web/api/README.md, "rating").
func (r *room) rate(ctx context.Context, deadline time.Time, s *Session, args *rateArgs) error {
	if s.role != log.RoleUser {
		return errNotRatable
	}
	supported, err := r.learns(ctx, func() bool { return r.state.Supported })
	switch {
	case err != nil:
		return err
	case !supported:
		return errNotRatable
	case args.Score < 1 || args.Score > 5:
		return wire.NewError(wire.BadRequest, `The field "score" must be a whole number from 1 to 5.`)
	case utf8.RuneCountInString(args.Comment) > maxComment:
		return wire.NewError(wire.BadRequest, `The field "comment" must have at most 1,000 characters.`)
	}
	result := r.append(ctx, deadline, &log.Event{
		Kind: log.Rated, ID: r.service.eventID(), At: r.service.now(), Score: uint8(args.Score), Content: args.Comment,
	}, nil)
	if result.outcome == log.Full {
		return errRated
	}
	return result.refusal()
}
