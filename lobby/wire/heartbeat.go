package wire

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Heartbeat is the interval between pings that a client asks for in a Join or Load
// (web/api/README.md, "heartbeat"): a whole number of seconds, or 0 if the client does not
// ask.
type Heartbeat time.Duration

// The shortest and longest heartbeat that a client can ask for, in seconds.
const minHeartbeat, maxHeartbeat = 1, 30

var errHeartbeat = NewError(BadRequest, `The field "heartbeat" must be a whole number of seconds from 1 to 30.`)

// UnmarshalJSONFrom treats null as missing, as DecodeArgs does.
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
