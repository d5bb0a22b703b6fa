package ustack

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// key is a flow in a form that compares and hashes fast. Version 4 addresses are mapped ones.
type key struct {
	local, remote [16]byte
	ports         uint32 // local<<16 | remote
}

func keyOf(f tcp.Flow) key {
	return key{f.Local.Addr().As16(), f.Remote.Addr().As16(), uint32(f.Local.Port())<<16 | uint32(f.Remote.Port())}
}

// keyIn is the key of the flow that a segment came by.
func keyIn(pkt *ip.Packet, t wire.TCP) (k key) {
	k.ports = uint32(t.DstPort())<<16 | uint32(t.SrcPort())
	if a := pkt.Raw; pkt.Is4() {
		const mapped = 0xffff << 16 // of the third word of four, in the byte order in which sum reads it
		le := binary.LittleEndian
		le.PutUint64(k.remote[8:], mapped|uint64(le.Uint32(a[12:]))<<32)
		le.PutUint64(k.local[8:], mapped|uint64(le.Uint32(a[16:]))<<32)
	} else {
		copy(k.remote[:], a[8:24])
		copy(k.local[:], a[24:40])
	}
	return k
}

// is compares with the flow of a connection.
func (k *key) is(f *tcp.Flow) bool {
	return k.ports == uint32(f.Local.Port())<<16|uint32(f.Remote.Port()) && k.remote == f.Remote.Addr().As16() && k.local == f.Local.Addr().As16()
}

// table finds connections by flow: open addressing with linear probing, at most half full.
//
//	slot: |    | e1 | e2 |    | e3 |    |    |    |     e2 wanted e1's place and took the next one
//
// A removal moves later ones of the same run back, so there are no tombstones and a look-up stops at the first gap.
// The hash is keyed by two secrets, so a peer cannot choose ports that collide.
type table struct {
	slot   []tableSlot
	n      int
	k0, k1 uint64
}

// tableSlot keeps the hash beside the endpoint, so that most mismatches cost no cache miss and a match only the one.
type tableSlot struct {
	e    *endpoint
	hash uint32
}

func (t *table) init(k0, k1 uint64) {
	t.k0, t.k1 = k0, k1|1
	t.slot = make([]tableSlot, 64)
}

func (t *table) sum(k *key) uint32 {
	le := binary.LittleEndian
	h := mix(le.Uint64(k.remote[:])^t.k0, le.Uint64(k.remote[8:])^t.k1)
	h = mix(h^le.Uint64(k.local[:]), le.Uint64(k.local[8:])^t.k1)
	h = mix(h^uint64(k.ports), t.k0|1)
	return uint32(h ^ h>>32)
}

func (t *table) sumOf(e *endpoint) uint32 {
	k := keyOf(e.conn.Flow)
	return t.sum(&k)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// find touches the slot and, almost never but for the one that is meant, an endpoint.
func (t *table) find(k *key) *endpoint {
	h := t.sum(k)
	mask := uint32(len(t.slot) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s := &t.slot[i]; {
		case s.e == nil:
			return nil
		case s.hash == h && k.is(&s.e.conn.Flow):
			return s.e
		}
	}
}

// place is the slot where a look-up by this hash begins.
func (t *table) place(h uint32) *tableSlot { return &t.slot[h&uint32(len(t.slot)-1)] }

func (t *table) insert(e *endpoint) {
	if 2*(t.n+1) > len(t.slot) {
		t.grow()
	}
	t.put(e, t.sumOf(e))
	t.n++
}

func (t *table) put(e *endpoint, h uint32) {
	mask := uint32(len(t.slot) - 1)
	i := h & mask
	for t.slot[i].e != nil {
		i = (i + 1) & mask
	}
	t.slot[i] = tableSlot{e, h}
}

func (t *table) grow() {
	old := t.slot
	t.slot = make([]tableSlot, 2*len(old))
	for _, s := range old {
		if s.e != nil {
			t.put(s.e, s.hash)
		}
	}
}

func (t *table) remove(e *endpoint) {
	mask := uint32(len(t.slot) - 1)
	i := t.sumOf(e) & mask
	for t.slot[i].e != e {
		if t.slot[i].e == nil {
			return
		}
		i = (i + 1) & mask
	}
	t.n--
	for j := (i + 1) & mask; t.slot[j].e != nil; j = (j + 1) & mask {
		// The one at j may fill the gap at i if its own place is not between them.
		if (j-t.slot[j].hash&mask)&mask >= (j-i)&mask {
			t.slot[i] = t.slot[j]
			i = j
		}
	}
	t.slot[i] = tableSlot{}
}

func (t *table) each(f func(*endpoint)) {
	for _, s := range t.slot {
		if s.e != nil {
			f(s.e)
		}
	}
}

// listeners are found by their port: a flood for one does not pay for the others.
type listeners struct {
	all    []listener
	byPort map[uint16][]listener
}

type listener struct {
	e       *endpoint
	addr    netip.Addr
	port    uint16
	retired bool // see Stack.Retire
}

func (l *listeners) add(e *endpoint, local netip.AddrPort) {
	x := listener{e: e, addr: local.Addr().Unmap(), port: local.Port()}
	l.all = append(l.all, x)
	if l.byPort == nil {
		l.byPort = map[uint16][]listener{}
	}
	l.byPort[x.port] = append(l.byPort[x.port], x)
}

func (l *listeners) remove(e *endpoint) {
	is := func(x listener) bool { return x.e == e }
	i := slices.IndexFunc(l.all, is)
	if i < 0 {
		return
	}
	port := l.all[i].port
	l.all = slices.Delete(l.all, i, i+1)
	if l.byPort[port] = slices.DeleteFunc(l.byPort[port], is); len(l.byPort[port]) == 0 {
		delete(l.byPort, port)
	}
}

func (l *listeners) retire(e *endpoint, port uint16) {
	for i, x := range l.byPort[port] {
		l.byPort[port][i].retired = x.retired || x.e == e
	}
}

// find is the listener for a flow: the specific address, then the wildcard of the version, then "::". Among several of the same rank
// (SO_REUSEPORT) the remote address and port choose, as in the kernel. A retired one is found where there is no other. A handshake
// is its listener's, whoever listens meanwhile.
func (l *listeners) find(f *tcp.Flow) *endpoint {
	var best *endpoint
	rank, same := 0, uint32(0)
	here := l.byPort[f.Local.Port()]
	for i := range here {
		r := here[i].rank(f.Local.Addr(), f.Local.Port())
		if r == 0 {
			continue
		}
		if len(here) > 1 && here[i].e.Listener().Opening(*f) {
			return here[i].e
		}
		if !here[i].retired {
			r += specific
		}
		switch {
		case r < rank:
			continue
		case r > rank:
			best, rank, same = here[i].e, r, 1
			continue
		}
		same++
		if pick(f.Remote)%same == 0 {
			best = here[i].e
		}
	}
	return best
}

// specific is the highest rank.
const specific = 3

func (l *listener) rank(dst netip.Addr, port uint16) int {
	switch {
	case l.port != port:
		return 0
	case l.addr == dst:
		return specific
	case !l.addr.IsUnspecified():
		return 0
	case l.addr.Is4() == dst.Is4():
		return 2
	case l.addr.Is6() && !l.e.IP().V6Only:
		return 1
	}
	return 0
}

func pick(a netip.AddrPort) uint32 {
	b := a.Addr().As16()
	return uint32(mix(binary.LittleEndian.Uint64(b[8:])^0x9e3779b97f4a7c15, uint64(a.Port())|1<<32) >> 7)
}
