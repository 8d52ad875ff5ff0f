package wire

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Heartbeat is how often a client asks for its ping in a Join or Load (PROTOCOL.md,
// "Heartbeat"): a whole number of seconds. It is 0 if the client does not ask.
type Heartbeat time.Duration

// The shortest and longest that may be asked for, in seconds.
const minHeartbeat, maxHeartbeat = 1, 30

var errHeartbeat = NewError(BadRequest, `The field "heartbeat" must be a whole number of seconds from 1 to 30.`)

// UnmarshalJSONFrom takes null as nothing, as DecodeArgs does.
func (h *Heartbeat) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	if value.Kind() == 'n' {
		*h = 0
		return nil
	}
	seconds, err := strconv.ParseUint(string(value), 10, 8)
	if err != nil || seconds < minHeartbeat || seconds > maxHeartbeat {
		return errHeartbeat
	}
	*h = Heartbeat(time.Duration(seconds) * time.Second)
	return nil
}
