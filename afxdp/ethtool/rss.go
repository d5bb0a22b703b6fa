package ethtool

import (
	"golang.org/x/sys/unix"
)

// struct ethtool_rxfh: offsets in bytes.
const (
	rxfhContext = 4
	rxfhIndir   = 8
	rxfhKey     = 12
	rxfhHash    = 16
	rxfhXfrm    = 17
	sizeRxfh    = 24 // the table follows, then the key

	contextAlloc = 0xffffffff // ETH_RXFH_CONTEXT_ALLOC
)

// Spread is how a device spreads packets that no rule steers: a hash of the flow picks an entry of Table, which names the queue.
type Spread struct {
	Table []uint32
	Key   []byte
	Hash  uint8 // function, as the driver numbers them
}

// Spread reads the table and key of an RSS context, 0 being the device's own.
func (n NIC) Spread(context uint32) (Spread, error) {
	r := newRequest(unix.ETHTOOL_GRSSH, sizeRxfh)
	r.put32(rxfhContext, context)
	if err := n.do("RSS sizes", r); err != nil {
		return Spread{}, err
	}
	entries, key := int(r.u32(rxfhIndir)), int(r.u32(rxfhKey))
	r = newRequest(unix.ETHTOOL_GRSSH, sizeRxfh+4*entries+key)
	r.put32(rxfhContext, context)
	r.put32(rxfhIndir, uint32(entries))
	r.put32(rxfhKey, uint32(key))
	if err := n.do("RSS table", r); err != nil {
		return Spread{}, err
	}
	s := Spread{Table: make([]uint32, entries), Hash: r[rxfhHash]}
	for i := range s.Table {
		s.Table[i] = r.u32(sizeRxfh + 4*i)
	}
	s.Key = append(s.Key, r[sizeRxfh+4*entries:]...)
	return s, nil
}

// SetTable sets the table of a context; key, hash function and what is done to its input (`ethtool -X eth0 xfrm symmetric-xor`) stay as they are. An
// empty table resets context 0 to the driver's default.
//
// Since Linux 6.8 ("net: ethtool: add support for symmetric-xor RSS hash") a nought in the field of the input's transformation says that there is to be
// none, and an ethtool that does not know the field ends the one that there is. So what is there is said again; kernels before that say nought.
func (n NIC) SetTable(context uint32, table []uint32) error {
	now := newRequest(unix.ETHTOOL_GRSSH, sizeRxfh)
	now.put32(rxfhContext, context)
	if err := n.do("RSS sizes", now); err != nil {
		return err
	}
	r := tableRequest(context, table)
	r[rxfhXfrm] = now[rxfhXfrm]
	return n.do("set RSS table", r)
}

// AddContext makes an RSS context with this table, and returns its number.
func (n NIC) AddContext(table []uint32) (uint32, error) {
	r := tableRequest(contextAlloc, table)
	err := n.do("add RSS context", r)
	return r.u32(rxfhContext), err
}

// DeleteContext removes an RSS context; rules that lead to it must be gone.
func (n NIC) DeleteContext(context uint32) error {
	return n.do("delete RSS context", tableRequest(context, nil))
}

func tableRequest(context uint32, table []uint32) request {
	r := newRequest(unix.ETHTOOL_SRSSH, sizeRxfh+4*len(table))
	r.put32(rxfhContext, context)
	r.put32(rxfhIndir, uint32(len(table)))
	for i, q := range table {
		r.put32(sizeRxfh+4*i, q)
	}
	return r
}
