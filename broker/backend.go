package broker

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/hidden"
	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/spur"
	"github.com/sluice-net/sluice/afxdp/steer"
)

// program is what the broker needs of a *steer.Program.
type program interface {
	Mode() steer.Mode
	Joined() bool
	SetListener(on steer.Link, ip netip.Addr, port uint16, flags steer.Flags) error
	DelListener(on steer.Link, ip netip.Addr, port uint16) error
	SetPorts(on steer.Link, ip netip.Addr, ports []uint16) error
	DelPorts(on steer.Link, ip netip.Addr, ports []uint16) error
	SetConnect(on steer.Link, t steer.Tuple) error
	SetTaken(on steer.Link, t steer.Tuple) error
	DelConnect(on steer.Link, t steer.Tuple) error
	SetQueue(queue, xskFD int) error
	HasSpurs() bool
	SetMAC(mac [6]byte) error
	SetSpur(queue, ns, ifindex, xskFD int) error
	EndsAt(queue, xskFD int) (bool, error)
	DelQueue(queue int) error
	Leads(queues []int) ([]bool, error)
	SetQuiet(queue int, on bool) error
	Counters() (map[string]uint64, error)
	Close() error
	Release() error
}

// xsk is what the broker needs of an *afxdp.Queue.
type xsk interface {
	FD() int
	Layout() afxdp.Layout
	Bind() error // after Layout said that it is Unbound
	Close() error
}

// backend is the kernel's side, faked in tests.
type backend interface {
	Devices(ns int) ([]netDevice, error)
	Attach(ns, ifindex int, pinDir string) (program, error)
	Adopt(ns, ifindex int, pinDir string) (program, error)
	// OpenQueue takes a queue over mem, or, where its program has to map it first, makes it ready to be taken by Bind.
	OpenQueue(ns, ifindex, queue int, mem *os.File, cfg afxdp.RingConfig) (xsk, error)
	// BindsLate tells whether queues may be such that Bind is for.
	BindsLate() bool
	// OpenSpur makes a spur of a device, with a queue over mem at its end.
	OpenSpur(ns, ifindex, mtu int, mem *os.File, cfg afxdp.RingConfig) (xsk, error)
	// PortRange is ip_local_port_range: the first and the last port that the kernel chooses by itself.
	PortRange(ns int) (lo, hi int, err error)
	SendSYN(ns int, tuples []steer.Tuple) error
	// Loop has the kernel receive an IP packet, to an address of its own.
	Loop(ns int, packet []byte, to netip.Addr) error
	// Listening tells whether the kernel listens at a connection's local end.
	Listening(ns int, local netip.AddrPort) bool
	// Has tells whether the kernel has a connection, also half open or in TIME-WAIT; a socket may be bound to one of the devices.
	Has(ns int, t steer.Tuple, devices []int) (bool, error)
	// Listeners lists the cookies of the TCP sockets that listen.
	Listeners(ns int) (map[uint64]bool, error)
	// Hide takes receive queues away from the kernel, with a journal at path, or goes on with those that path tells of.
	Hide(ns int, device string, count int, id hidden.Identity, path string) (hider, error)
}

// kernel is the real one.
type kernel struct{ binding *binding }

func (kernel) Attach(ns, ifindex int, pinDir string) (program, error) {
	p, err := steer.Attach(ns, ifindex, pinDir)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (kernel) Adopt(ns, ifindex int, pinDir string) (program, error) {
	p, err := steer.Adopt(ns, ifindex, pinDir)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (kernel) PortRange(ns int) (lo, hi int, err error) {
	err = netns.Do(ns, func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
		if err == nil {
			_, err = fmt.Sscan(string(b), &lo, &hi)
		}
		return err
	})
	return lo, hi, err
}

func (k kernel) OpenQueue(ns, ifindex, queue int, mem *os.File, cfg afxdp.RingConfig) (q xsk, err error) {
	err = netns.Do(ns, func() error {
		o, err := k.binding.open(ifindex, queue, mem, cfg)
		if err == nil {
			q = o
		}
		return err
	})
	return q, err
}

func (k kernel) BindsLate() bool { return k.binding.asked || k.binding.old }

func (k kernel) OpenSpur(ns, ifindex, mtu int, mem *os.File, cfg afxdp.RingConfig) (xsk, error) {
	if k.BindsLate() { // spurs could wait to be bound, too; nobody has tried
		return nil, fmt.Errorf("spurs are opened only where queues are mapped when they are bound (Linux 6.4): %w", unix.EOPNOTSUPP)
	}
	q, err := spur.Open(ns, ifindex, mtu, mem, cfg)
	if err != nil {
		return nil, err
	}
	return q, nil
}
