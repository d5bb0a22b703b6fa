package broker

import (
	"fmt"
	"time"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/policy"
	"github.com/sluice-net/sluice/broker/proto"
)

// Config says how a broker works. Every zero means the default.
type Config struct {
	Socket  string         // path of the socket; default /run/sluice/broker.sock
	PinDir  string         // where XDP programs are pinned; default: below /sys/fs/bpf, else on a bpffs mounted beside the socket
	Policy  *policy.Policy // who may have what; default: everybody everything
	Hide    int            // receive queues to hide from the kernel on devices with ntuple filters; default 0: XDP alone steers, on every queue
	NoPins  bool           // pin nothing: everything ends with this process, also if it is killed, and no other broker adopts it
	Frames  int            // umem frames of a process that does not say; default 16384 (64 MiB)
	Clients int            // most processes at once; default 4096
	Rings   int            // entries of each of a queue's rings, a power of two from 64 to 32768; default 2048
	Huge    bool           // umems in huge pages, as long as there are any set aside
	Busy    afxdp.BusyPoll // default: queues wait for interrupts
	Log     Logger         // default: silent
	Manager Manager        // keeps what must outlive broker and program; default: nobody does
	// BindLate gives programs their sockets before they are bound, as kernels before 6.4 need it, also where nothing keeps a program from
	// binding one to another queue.
	BindLate bool

	// The times below are waits for programs, not promises.
	YieldTimeout time.Duration // for queues to be given up; default 2 s
	GiveTimeout  time.Duration // for a connection to be handed over on request; default 15 s
	ReleaseTime  time.Duration // for ports without a use to be given back, as a bind waits; default 250 ms
	HelloTimeout time.Duration // from a channel to its hello; default 10 s
	Grace        time.Duration // for owners to come back after a restart; default 5 s
	Hold         time.Duration // how long a program keeps queues after its last outgoing connection, unless somebody wants them; default 5 s
	Keep         time.Duration // how long an XDP program stays on a device that nobody uses, for the next who comes; default 3 s, below 0: not at all

	backend backend // tests
	// Step is for tests: it is called between the steps of moves, where a broker may be killed.
	Step func(what string)
}

// Bounds of a process's umem, in frames.
const (
	minFrames = 256
	maxFrames = 1 << 18
)

func (c Config) withDefaults() Config {
	if c.Socket == "" {
		c.Socket = proto.DefaultSocket
	}
	if c.PinDir == "" {
		c.PinDir = defaultPinDir(c.Socket)
	}
	if c.Log == nil {
		c.Log = silent{}
	}
	if c.backend == nil {
		c.backend = kernel{newBinding(c.BindLate)}
	}
	orInt(&c.Frames, 16384)
	orInt(&c.Clients, 4096)
	orTime(&c.YieldTimeout, 2*time.Second)
	orTime(&c.GiveTimeout, 15*time.Second)
	orTime(&c.ReleaseTime, 250*time.Millisecond)
	orTime(&c.HelloTimeout, 10*time.Second)
	orTime(&c.Grace, 5*time.Second)
	orTime(&c.Hold, 5*time.Second)
	orTime(&c.Keep, 3*time.Second)
	return c
}

// rings is how a device's queues are opened.
func (d *device) rings() afxdp.RingConfig {
	cfg := d.space.b.cfg
	n := uint32(cfg.Rings)
	return afxdp.RingConfig{RX: n, TX: n, Fill: n, Completion: n, Parts: d.parts(), TxMetadata: true, Busy: cfg.Busy}
}

// parts: packets come to the device that fit no frame.
func (d *device) parts() bool { return d.prog.Joined() || d.MTU > afxdp.MaxMTU }

// check says what is wrong with a configuration.
func (c Config) check() error {
	if n := c.Rings; n != 0 && (n < 64 || n > 32768 || n&(n-1) != 0) {
		return fmt.Errorf("rings of %d entries: a power of two from 64 to 32768 is needed", n)
	}
	return nil
}

func orInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

func orTime(p *time.Duration, def time.Duration) {
	if *p == 0 {
		*p = def
	}
}
