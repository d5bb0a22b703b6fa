package proto

import (
	"encoding/json"
	"time"
)

// Version is the protocol's; hello carries it. A broker speaks the versions from Oldest on, so that it can be replaced under programs of the
// version before. doc.go has the rules.
const (
	Version = 2
	Oldest  = Version - 1

	BindVersion = 2 // the first whose programs can bind queues that they mapped ("bind")
)

// Bounds of one message.
const (
	MaxMessage = 64 << 10
	MaxFDs     = 64
)

// DefaultSocket is where the host's broker listens.
const DefaultSocket = "/run/sluice/broker.sock"

// Op names what a message asks or tells.
type Op string

// Requests of a program. The comment tells: body, descriptors -> reply's body, its descriptors.
const (
	OpOpen       Op = "open"       // nothing, one end of a SEQPACKET socketpair -> no reply here; the channel itself answers hello
	OpHello      Op = "hello"      // Hello, - -> Welcome
	OpListen     Op = "listen"     // Listen, the kernel's listener -> Grant, [umem, state,] XSKs
	OpReady      Op = "ready"      // Ready -> nothing. Only from now on packets come
	OpBind       Op = "bind"       // QueueRef -> Bound. The rings of a queue whose layout says unbound are mapped: it is bound now
	OpUnlisten   Op = "unlisten"   // Unlisten -> nothing. After the last one the queues are yielded, and with them the connections
	OpConnect    Op = "connect"    // Connect, the bound kernel socket -> Grant, [umem, state,] XSKs
	OpDisconnect Op = "disconnect" // Disconnect -> nothing
	OpPorts      Op = "ports"      // Ports, bound kernel sockets -> Grant, [umem, state,] XSKs, a keeper of the sockets
	OpUnports    Op = "unports"    // Unports[, the keeper of their block] -> nothing[, a keeper of the rest]
	OpRelease    Op = "release"    // Release -> nothing: leased ports without a connection are the kernel's again. The broker asks the same of each engine
	OpKeep       Op = "keep"       // nothing, a keeper -> nothing. After adopt, block by block
	OpHandover   Op = "handover"   // Handover, a memfd with the queues if anything is in them -> Handed, one kernel socket for each state, if "sockets" did not bring them
	OpTakeover   Op = "takeover"   // nothing, a kernel socket -> Taken, a memfd with the queues if anything is in them
	OpOrphan     Op = "orphan"     // Orphan, a memfd with the queues, or a kernel socket -> nothing, or Asked, or a keeper of the socket
	OpBare       Op = "bare"       // nothing, the kernel's listener -> nothing. This process accepts there without an engine
	OpFetch      Op = "fetch"      // Fetch, the kernel's listener -> nothing, the kernel socket that a bell was rung for, if it still waits
	OpWant       Op = "want"       // Want -> nothing, the kernel socket
	OpStray      Op = "stray"      // Stray -> Owned
	OpSYN        Op = "syn"        // SYN -> nothing
	OpAdopt      Op = "adopt"      // Adopt, umem, state, XSKs, listeners -> Grant (without descriptors)
	OpDetach     Op = "detach"     // Which -> Moves: connections of programs go to the kernel. The broker asks the same of each engine
	OpAttach     Op = "attach"     // Which -> Moves: the other way
	OpInspect    Op = "inspect"    // Inspect -> Inspected, a memfd of Record. The broker asks the same of the process's engine
	OpHistory    Op = "history"    // History -> Histories, the process's state memory to read
	OpMirror     Op = "mirror"     // Mirror[, a tap device] -> nothing. Without a device "ring" events follow, until the channel closes
	OpStatus     Op = "status"     // nothing -> the broker's Status as JSON
)

// Events of the broker.
const (
	OpYield    Op = "yield"    // Yield -> answer with nothing once the queues' connections are handed over and their XSKs closed
	OpVIs      Op = "vis"      // VIs, XSKs: queues added to the lease
	OpSockets  Op = "sockets"  // Sockets, frozen kernel sockets: ahead of the answer to the handover whose id it carries
	OpAccepted Op = "accepted" // Accepted, a kernel socket or a keeper of one -> answer with nothing once it is in the accept queue
	OpGive     Op = "give"     // Give -> answer with the kernel socket (a copy), after handing the connection over if it was not before
	OpWhose    Op = "whose"    // Stray -> answer with Owned. To those who said in hello that they tell
	OpTap      Op = "tap"      // Tap[, a ring]: to an engine: show all packets there, or no longer -> answer with nothing if asked
	OpRing     Op = "ring"     // Ring, a ring: to who asked for a mirror: a program's packets come there
	OpClosed   Op = "closed"   // Closed: what was posted to queues that were given up is the program's again
	OpGone     Op = "gone"     // Gone: the device vanished; its VIs are dead
)

// OpReply answers a request or an event that carried an id.
const OpReply Op = "reply"

// Envelope is one message. Error is set in replies only, and is a clear text for the program's log.
type Envelope struct {
	ID    uint64          `json:"id,omitempty"`
	Op    Op              `json:"op"`
	Until int64           `json:"until,omitempty"` // of a request: when its sender stops waiting, Unix time in ms
	Error string          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`

	short bool // the body is of the short form
}

// MoveMargin is how long before the end of its sender's patience a move of a connection is begun at the latest: what comes to life later is lost.
const MoveMargin = 4 * time.Second

// Deadline is when a move must not be begun any more; zero: the sender did not say.
func (e *Envelope) Deadline() time.Time {
	if e.Until == 0 {
		return time.Time{}
	}
	return time.UnixMilli(e.Until).Add(-MoveMargin)
}

// Into decodes the body; an empty body leaves v as it is.
func (e *Envelope) Into(v any) error {
	if len(e.Body) == 0 || v == nil {
		return nil
	}
	if e.short {
		return e.into(v)
	}
	return json.Unmarshal(e.Body, v)
}
