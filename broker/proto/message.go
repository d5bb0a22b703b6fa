package proto

import (
	"encoding/json"
	"net/netip"

	"github.com/sluice-net/sluice/fallback/repair"
)

// Hello is a channel's first message. Pid, uid and gid come with it as SCM_CREDENTIALS, which the kernel checks.
type Hello struct {
	Version int    `json:"version"`           // 0 in Open: that of this package
	Program string `json:"program,omitempty"` // for people: argv[0]
	Frames  int    `json:"frames,omitempty"`  // umem frames wished for; 0: the broker's default
	Tool    bool   `json:"tool,omitempty"`    // looks at others; has no engine
	Tells   bool   `json:"tells,omitempty"`   // answers "whose"; who does not is not asked
	Short   int    `json:"short,omitempty"`   // the short form that it reads; 0: none
	Keepers bool   `json:"keepers,omitempty"` // takes an accepted connection out of a keeper

	Releases bool `json:"releases,omitempty"` // gives leased ports back on request; who does not is not asked
}

// Welcome answers hello.
type Welcome struct {
	Version int    `json:"version"` // the program's, which is spoken from here on
	Pid     int    `json:"pid"`     // as the broker sees it
	Short   int    `json:"short,omitempty"`
	Token   string `json:"token"` // whoever shows it may want this process's connections: keep it where forked children find it
}

// Listen asks for the connections of a kernel listener.
type Listen struct {
	Devices []string `json:"devices,omitempty"` // SLUICE_DEVICES; empty: all that carry the address
}

// VI is one granted queue. Descriptors come in the order of the VIs.
type VI struct {
	Ifindex int             `json:"ifindex"`
	Queue   int             `json:"queue"`
	Info    json.RawMessage `json:"info"`   // efvi.Info
	Layout  json.RawMessage `json:"layout"` // afxdp.Layout
}

// Grant answers listen, connect and adopt. A process has one lease; umem and state come with its first grant only.
type Grant struct {
	Lease  uint64   `json:"lease"`
	Cookie uint64   `json:"cookie"`           // the listener's (SO_COOKIE), its name in later messages
	Memory bool     `json:"memory"`           // umem and state are the first two descriptors
	Size   int64    `json:"size,omitempty"`   // of the umem, bytes
	Secret []byte   `json:"secret,omitempty"` // with the memory, 16 bytes: key of sequence numbers and timestamps (ustack.Config)
	VIs    []VI     `json:"vis,omitempty"`    // may be none yet: they follow in "vis" when another process has yielded them
	Notes  []string `json:"notes,omitempty"`  // for the log: "eth0: generic XDP", "eth1 left out: is down"
}

// Ready tells that the engine listens for Cookie (0: for none that is new), and that frames are posted to Queues. A queue takes
// packets once its owner is ready for it and for every listener that is on there; until then the kernel serves. So: after a grant
// first make the listener and post the frames, then say ready; after "vis" post frames, then say ready.
type Ready struct {
	Cookie uint64     `json:"cookie,omitempty"`
	Queues []QueueRef `json:"queues,omitempty"`
}

// Bound is the layout of a queue (afxdp.Layout) that was unbound when it was granted.
type Bound struct {
	Layout json.RawMessage `json:"layout"`
}

// Unlisten ends the listener's acceleration in this process. Stays: the process goes on and may listen again at once, so that its queues are
// asked back a moment later, or as soon as somebody wants them.
type Unlisten struct {
	Cookie uint64 `json:"cookie"`
	Stays  bool   `json:"stays,omitempty"`
}

// Connect asks for the packets of one flow. The socket beside it is bound to Local and proves that the port is the program's.
type Connect struct {
	Local   netip.AddrPort `json:"local"`
	Remote  netip.AddrPort `json:"remote"`
	Devices []string       `json:"devices,omitempty"`
}

// Disconnect ends a flow's steering: it was closed, or is the kernel's now.
type Disconnect struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
}

// Ports asks for all packets of the ports that the sockets beside it are bound to, of one address, as far as the kernel has no connection
// for them. The keeper in the answer is one descriptor that holds all the sockets: closing it gives the ports back to the kernel.
type Ports struct {
	Devices []string `json:"devices,omitempty"`
}

// Unports ends the lease of ports. Their connections are over, or the kernel's.
type Unports struct {
	Local netip.Addr `json:"local"`
	Ports []uint16   `json:"ports"`
}

// Release asks for leased ports that no connection uses, as somebody wants to bind: for one, or for all (0).
type Release struct {
	Port uint16 `json:"port,omitempty"`
}

// Queued is a connection's state, and where its two queues' bytes are in the memfd that comes along.
type Queued struct {
	State   repair.State `json:"state"`
	RecvOff int64        `json:"recv_off,omitempty"`
	RecvLen int          `json:"recv_len,omitempty"`
	SendOff int64        `json:"send_off,omitempty"`
	SendLen int          `json:"send_len,omitempty"`
}

// MaxHandover is how many connections fit in one handover message.
const MaxHandover = 32

// Handover turns connections of the engine into kernel sockets. Ahead: they may come before the answer, while they are frozen still. If the broker dies
// before it answers, the program looks at each (repair.Alive): one that lives is the connection, which it finishes (repair.State.Finish), and one that
// does not it discards, and goes on by itself. So there is no moment at which a connection dies with the broker.
type Handover struct {
	Conns []Queued `json:"conns"`
	Ahead bool     `json:"ahead,omitempty"`
}

// Sockets are the kernel sockets of the connections of a Handover with these numbers, frozen. Each comes as soon as it is there.
type Sockets struct {
	Conns []int `json:"conns"`
}

// Handed tells, connection by connection, "" or why the kernel did not take it. Descriptors come for those with "" only, in order, and none if
// they came ahead.
type Handed struct {
	Errors []string `json:"errors"`
}

// Taken is a connection taken from the kernel: its kernel socket is silently gone.
type Taken struct {
	Conn Queued `json:"conn"`
}

// Orphan passes on an established connection nobody accepted yet; another process with the same listener gets it, now or when one comes.
// Kernel: it is the kernel's already, its socket comes with the message instead of Conn. Ask: nothing is passed on yet; the program
// does not accept what waits: does another process that has the very listener? Keep: whoever passes it on wants to have it back if the broker dies. The
// answer brings a keeper of the socket, and so does "accepted" to who gets it: the connection is whose who takes it out.
type Orphan struct {
	Cookie uint64 `json:"cookie"`
	Kernel bool   `json:"kernel,omitempty"`
	Keep   bool   `json:"keep,omitempty"`
	Ask    bool   `json:"ask,omitempty"`
	Conn   Queued `json:"conn,omitzero"`
}

// Asked answers an Orphan that asks.
// Bare: only processes without an engine do, by the kernel.
type Asked struct {
	Others bool `json:"others"`
	Bare   bool `json:"bare,omitempty"`
}

// Fetch asks for the connection that waits behind a bell, which the listener accepted from that port.
type Fetch struct {
	Port uint16 `json:"port"`
}

// Want asks for a connection of the process Pid: its forked child touched the descriptor. Token is that process's, if known;
// without it the asker must descend from Pid.
type Want struct {
	Pid    int    `json:"pid"`
	Handle int32  `json:"handle"`
	Token  string `json:"token,omitempty"`
}

// Stray asks whose a segment is that belongs to no connection here, since a peer's flow may move to another queue. If another
// process has it, that one hands it to the kernel, and no RST must be sent.
type Stray struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
}

// Owned answers stray, and "whose": there Owned says that the process asked has the flow, open, half open or in TIME-WAIT.
type Owned struct {
	Owned bool `json:"owned"`
	// Free: nobody else can have it, now or half open. A reset is right at once.
	Free bool `json:"free,omitempty"`
}

// SYN gives the kernel a SYN that came to a listener of the program's: the way back to its sender is by a device that the program does not
// have. Packet is the whole IP packet, without data, its checksums finished.
type SYN struct {
	Packet []byte `json:"packet"`
}

// Adopt presents a lease to a new broker. Descriptors: umem, state, one for each VI, one for each listener, one for each flow.
type Adopt struct {
	Lease     uint64       `json:"lease"`
	VIs       []VI         `json:"vis,omitempty"`
	Listeners int          `json:"listeners,omitempty"`
	Flows     []Disconnect `json:"flows,omitempty"`
	Blocks    int          `json:"blocks,omitempty"` // of ports, which follow by "keep"
	Devices   []string     `json:"devices,omitempty"`
}

// QueueRef names one queue.
type QueueRef struct {
	Ifindex int `json:"ifindex"`
	Queue   int `json:"queue"`
}

// Yield asks to give queues up: take no new SYN from them (the kernel gets those already), let what is half open finish (at most
// 250 ms), hand their connections over, close the XSKs, then answer. Without an answer within 2 s the queues stay.
type Yield struct {
	Queues []QueueRef `json:"queues"`
}

// VIs are queues added to the lease.
type VIs struct {
	VIs []VI `json:"vis"`
}

// Accepted brings a connection for the accept queue of a listener. Kept: it is in a keeper, unless somebody has taken it out.
type Accepted struct {
	Cookie uint64 `json:"cookie"`
	Kept   bool   `json:"kept,omitempty"`
}

// Give asks for a connection by handle, or (Handle < 0) by its addresses. A forked child, or a stray segment, wants it.
type Give struct {
	Handle int32          `json:"handle"`
	Local  netip.AddrPort `json:"local,omitzero"`
	Remote netip.AddrPort `json:"remote,omitzero"`
}

// Closed names queues that were given up and whose sockets are closed: nothing is written to the frames in their fill rings any more.
type Closed struct {
	Queues []QueueRef `json:"queues"`
}

// Gone tells that a device vanished.
type Gone struct {
	Ifindex int `json:"ifindex"`
}
