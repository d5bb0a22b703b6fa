// Package fakenic is a network device in memory that answers ethtool requests as drivers do, with their limits: how many rules, which
// fields, whose places. What the project asks of hardware it hasn't got is tested here, and the real ethtool(8) is let loose on it too, so
// that both are seen to ask alike.
package fakenic

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
)

// Model is what a driver can do.
type Model struct {
	Rings    int
	Rules    int  // most rules at once; 0: no ntuple filters at all (EOPNOTSUPP)
	Special  bool // the driver chooses the places of rules, as sfc and bnxt do; else the caller, as on ixgbe and mlx5
	OneMask  bool // all rules must look at the same fields, as on ixgbe
	AllMask  bool // rules must look at addresses and ports of both ends, as on older bnxt
	NoVLAN   bool
	Table    int  // entries of the RSS table; 0: none
	Key      int  // bytes of the RSS key
	Contexts int  // RSS contexts beside the first; 0: the driver knows none (EOPNOTSUPP), as i40e, ice and ixgbe
	Before68 bool // the kernel is older than 6.8, and knows no transformation of the hash's input
}

// NIC is the device. It may be used from many threads at once.
type NIC struct {
	Model
	Name string
	// Trouble, if set, is asked before each request and may fail it.
	Trouble func(cmd uint32) error
	// Done, if set, is told of each request after it was done.
	Done func(cmd uint32)

	mu       sync.Mutex
	log      [][]byte
	rules    map[uint32]ethtool.Rule
	contexts map[uint32][]uint32
	key      []byte
	xfrm     byte // what is done to the input of the hash
}

// New makes a device with the driver's default spread.
func New(name string, m Model) *NIC {
	n := &NIC{Model: m, Name: name, rules: map[uint32]ethtool.Rule{}, contexts: map[uint32][]uint32{}}
	if m.Table > 0 {
		n.contexts[0] = n.usual()
	}
	for i := range m.Key {
		n.key = append(n.key, byte(i*37+1))
	}
	return n
}

func (n *NIC) usual() []uint32 {
	t := make([]uint32, n.Table)
	for i := range t {
		t[i] = uint32(i % n.Rings)
	}
	return t
}

// Ethtool answers a request in place.
func (n *NIC) Ethtool(device string, req []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if device != n.Name {
		return unix.ENODEV
	}
	n.log = append(n.log, slices.Clone(req))
	cmd := order.Uint32(req)
	if n.Trouble != nil {
		if err := n.Trouble(cmd); err != nil {
			return err
		}
	}
	err := n.answer(cmd, req)
	if n.Done != nil {
		n.Done(cmd)
	}
	return err
}

func (n *NIC) answer(cmd uint32, req []byte) error {
	switch cmd {
	case unix.ETHTOOL_GRXRINGS:
		order.PutUint64(req[8:], uint64(n.Rings))
		return nil
	case unix.ETHTOOL_GRSSH:
		return n.spread(req)
	case unix.ETHTOOL_SRSSH:
		return n.setSpread(req)
	}
	if n.Model.Rules == 0 {
		return unix.EOPNOTSUPP
	}
	switch cmd {
	case unix.ETHTOOL_GRXCLSRLCNT:
		return n.count(req)
	case unix.ETHTOOL_GRXCLSRLALL:
		return n.all(req)
	case unix.ETHTOOL_GRXCLSRULE:
		return n.rule(req)
	case unix.ETHTOOL_SRXCLSRLINS:
		return n.insert(req)
	case unix.ETHTOOL_SRXCLSRLDEL:
		return n.remove(req)
	}
	return unix.EOPNOTSUPP
}

// Log is every request so far, as it came.
func (n *NIC) Log() [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log)
}

// State is all that can be changed by requests, to compare before and after.
type State struct {
	Rules    map[uint32]ethtool.Rule
	Contexts map[uint32][]uint32
	Xfrm     byte
}

// State copies the device's state.
func (n *NIC) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := State{map[uint32]ethtool.Rule{}, map[uint32][]uint32{}, n.xfrm}
	for at, r := range n.rules {
		s.Rules[at] = r
	}
	for id, t := range n.contexts {
		s.Contexts[id] = slices.Clone(t)
	}
	return s
}

// Transform is `ethtool -X eth0 xfrm`.
func (n *NIC) Transform(xfrm byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.xfrm = xfrm
}

// Queue is where a packet goes. p is the packet as a match with all its fields' values; hash picks the entry of a table.
func (n *NIC) Queue(p ethtool.Match, hash uint32) (queue int, dropped bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first, found := uint32(0), false
	for at, r := range n.rules {
		if r.Fits(p) && (!found || at < first) {
			first, found = at, true
		}
	}
	if !found {
		return n.entry(0, hash), false
	}
	switch r := n.rules[first]; {
	case r.Queue == ethtool.Discard:
		return 0, true
	case r.Context != 0:
		return int(r.Queue) + n.entry(r.Context, hash), false
	default:
		return int(r.Queue), false
	}
}

func (n *NIC) entry(context, hash uint32) int {
	t := n.contexts[context]
	if len(t) == 0 {
		return int(hash) % n.Rings
	}
	return int(t[int(hash)%len(t)])
}
