package fakenic

import "golang.org/x/sys/unix"

// Offsets in struct ethtool_rxfh.
const (
	rxfhContext  = 4
	rxfhIndir    = 8
	rxfhKey      = 12
	rxfhHash     = 16
	rxfhXfrm     = 17
	rxfhReserved = 18 // to rxfhTable
	rxfhTable    = 24
	noChange     = 0xffffffff // ETH_RXFH_INDIR_NO_CHANGE, and as a context ETH_RXFH_CONTEXT_ALLOC
	sameXfrm     = 0xff       // RXH_XFRM_NO_CHANGE
)

func (n *NIC) spread(req []byte) error {
	t, ok := n.contexts[order.Uint32(req[rxfhContext:])]
	entries, key := order.Uint32(req[rxfhIndir:]), order.Uint32(req[rxfhKey:])
	switch {
	case n.Table == 0, n.Contexts == 0 && order.Uint32(req[rxfhContext:]) != 0:
		return unix.EOPNOTSUPP
	case !ok:
		return unix.ENOENT
	}
	order.PutUint32(req[rxfhIndir:], uint32(n.Table))
	order.PutUint32(req[rxfhKey:], uint32(n.Key))
	req[rxfhHash] = 1 // Toeplitz
	req[rxfhXfrm] = n.xfrm
	if entries == 0 && key == 0 {
		return nil
	}
	if entries != uint32(n.Table) || key != uint32(n.Key) {
		return unix.EINVAL
	}
	for i, q := range t {
		order.PutUint32(req[rxfhTable+4*i:], q)
	}
	copy(req[rxfhTable+4*len(t):], n.key)
	return nil
}

// setSpread is what the kernel (ethtool_set_rxfh of net/ethtool/ioctl.c) and drivers do.
func (n *NIC) setSpread(req []byte) error {
	if err := n.checkSpread(req); err != nil {
		return err
	}
	id, entries := order.Uint32(req[rxfhContext:]), order.Uint32(req[rxfhIndir:])
	if entries == 0 {
		return n.reset(id, req[rxfhXfrm])
	}
	var t []uint32
	for i := range entries % noChange {
		if t = append(t, order.Uint32(req[rxfhTable+4*i:])); t[i] >= uint32(n.Rings) {
			return unix.EINVAL
		}
	}
	if id == noChange {
		if len(n.contexts) > n.Contexts {
			return unix.ENOSPC
		}
		for id = 1; n.contexts[id] != nil; id++ {
		}
		order.PutUint32(req[rxfhContext:], id)
		n.contexts[id] = n.usual()
	}
	if t != nil {
		n.contexts[id] = t
	}
	if id == 0 {
		n.transform(req[rxfhXfrm])
	}
	return nil
}

// checkSpread refuses what cannot be meant, or cannot be done here.
func (n *NIC) checkSpread(req []byte) error {
	id, entries, key := order.Uint32(req[rxfhContext:]), order.Uint32(req[rxfhIndir:]), order.Uint32(req[rxfhKey:])
	_, known := n.contexts[id]
	for _, b := range req[rxfhReserved:rxfhTable] {
		if b != 0 {
			return unix.EINVAL
		}
	}
	switch {
	case n.Table == 0, n.Contexts == 0 && id != 0:
		return unix.EOPNOTSUPP
	case n.Before68 && req[rxfhXfrm] != 0: // a reserved field then
		return unix.EINVAL
	case entries != 0 && entries != noChange && entries != uint32(n.Table), key != 0 && key != uint32(n.Key):
		return unix.EINVAL
	case entries == noChange && key == 0 && req[rxfhHash] == 0 && id != noChange && (n.Before68 || req[rxfhXfrm] == sameXfrm):
		return unix.EINVAL // nothing is to change
	case entries == 0 && id == noChange:
		return unix.EINVAL // to make and delete it
	case !known && id != noChange:
		return unix.ENOENT
	}
	return nil
}

func (n *NIC) transform(xfrm byte) {
	if xfrm != sameXfrm {
		n.xfrm = xfrm
	}
}

// reset brings the first context back to the driver's default, and deletes others.
func (n *NIC) reset(id uint32, xfrm byte) error {
	if id == 0 {
		n.contexts[0] = n.usual()
		n.transform(xfrm)
		return nil
	}
	for _, r := range n.rules {
		if r.Context == id {
			return unix.EBUSY
		}
	}
	delete(n.contexts, id)
	return nil
}
