package history

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/sockets"
)

// congestion are the names of TCP_CA_* as they are in the kernel, without what they have in common.
var congestion = [...]string{"Open", "Disorder", "CWR", "Recovery", "Loss"}

func congestionName(n uint8) string {
	if int(n) < len(congestion) {
		return congestion[n]
	}
	return "?"
}

// text says an event in words.
func text(e proto.Event) string {
	switch e.Kind {
	case proto.EventState:
		if e.From == 0 {
			return "begins: " + sockets.StateName(e.To)
		}
		if e.To == sockets.Closed {
			return sockets.StateName(e.From) + " -> CLOSED"
		}
		return sockets.StateName(e.From) + " -> " + sockets.StateName(e.To)
	case proto.EventRetransmit:
		return fmt.Sprintf("segments sent again: %d by now", e.N)
	case proto.EventTimeout:
		return fmt.Sprintf("retransmission timeout, %d in a row", e.N)
	case proto.EventCongestion:
		return "congestion: " + congestionName(e.From) + " -> " + congestionName(e.To)
	case proto.EventPeerWindow:
		return [...]string{"the peer's window closed: its program does not read", "the peer's window opened"}[e.To&1]
	case proto.EventOwnWindow:
		return [...]string{"our window closed: the program does not read", "our window opened"}[e.To&1]
	case proto.EventTakenOver:
		return "taken from the kernel"
	case proto.EventHandedOver:
		return "handed to the kernel, or to another process"
	}
	return fmt.Sprintf("event %d", e.Kind)
}

// Text writes a connection, and a line for each event: when, and how long after the one before.
func (c *Connection) Text(w io.Writer) {
	state := c.State
	if c.Over {
		state = "(over)"
	}
	fmt.Fprintf(w, "%s[%d] %v-%v %s\n", c.Program, c.Pid, c.Local, c.Remote, state)
	if c.Before > 0 {
		fmt.Fprintf(w, "  %d earlier events are not kept\n", c.Before)
	}
	for i, e := range c.Events {
		since := ""
		if i > 0 {
			since = "+" + time.Duration(e.At-c.Events[i-1].At).String()
		}
		fmt.Fprintf(w, "  %s %14s  %s\n", e.Time.Format("15:04:05.000000"), since, e.What)
	}
}

// Text writes all of it.
func (d *Death) Text(w io.Writer) {
	fmt.Fprintf(w, "%s[%d] ended at %s with %d connections open (%s)\n", d.Program, d.Pid, d.Time.Format(time.DateTime), d.Left, d.Why)
	for i := range d.Connections {
		d.Connections[i].Text(w)
	}
	names := make([]string, 0, len(d.Counters))
	for n := range d.Counters {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(w, "%-36s%d\n", n, d.Counters[n])
	}
}

// JSON writes what is given, as it is.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
