package steer

import (
	"errors"
	"net/netip"
)

// Mode is where the program runs.
type Mode string

const (
	Native  Mode = "native"  // in the driver
	Generic Mode = "generic" // on the kernel's generic path, after the driver made an skb
)

// Flags of a listener entry. None is defined yet.
type Flags uint32

// Tuple is a connection seen from this host.
type Tuple struct{ Local, Remote netip.AddrPort }

// Program is the XDP program on one device, with its maps.
type Program struct{ mode Mode }

// Attach loads the program and attaches it to ifindex in the network namespace netns (a
// descriptor, or netns.Current), in the driver if that can be, else generic. Link and maps are
// pinned under pinDir/<inode of netns>-<ifindex>, so that they outlive this process.
func Attach(netns, ifindex int, pinDir string) (*Program, error) { return nil, errors.ErrUnsupported }

// Adopt reopens what Attach pinned, in this process or in one that is gone.
func Adopt(netns, ifindex int, pinDir string) (*Program, error) { return nil, errors.ErrUnsupported }

// Mode tells where the program runs.
func (p *Program) Mode() Mode { return p.mode }

// SetListener sends connections to (ip, port) to user space. An invalid ip stands for every local
// address, an unspecified one for every address of its family.
func (p *Program) SetListener(ip netip.Addr, port uint16, flags Flags) error { return nil }

// DelListener undoes SetListener of the same address and port. It is no error if there is none.
func (p *Program) DelListener(ip netip.Addr, port uint16) error { return nil }

// SetConnect sends one connection to user space.
func (p *Program) SetConnect(t Tuple) error { return nil }

// DelConnect undoes SetConnect. It is no error if there is none.
func (p *Program) DelConnect(t Tuple) error { return nil }

// SetQueue names the AF_XDP socket that gets the packets of queue.
func (p *Program) SetQueue(queue, xskFD int) error { return nil }

// DelQueue undoes SetQueue. It is no error if there is none.
func (p *Program) DelQueue(queue int) error { return nil }

// SetQuiet leaves pure SYNs of queue to the kernel while on.
func (p *Program) SetQuiet(queue int, on bool) error { return nil }

// Counters says how many packets each rule decided, by the rule's name.
func (p *Program) Counters() (map[string]uint64, error) { return nil, nil }

// Close detaches the program and removes its pins.
func (p *Program) Close() error { return nil }

// Release closes the descriptors and leaves program and pins in place, for Adopt.
func (p *Program) Release() error { return nil }
