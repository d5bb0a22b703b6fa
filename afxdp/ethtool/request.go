package ethtool

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Caller takes ethtool requests as a driver does: req holds a structure of <linux/ethtool.h>, whose first four bytes are the command; the
// answer overwrites it. Kernel is the real one, fakenic.NIC one for tests.
type Caller interface {
	Ethtool(device string, req []byte) error
}

// Kernel is the kernel of the calling thread's network namespace.
type Kernel struct{}

// Ethtool makes the request by SIOCETHTOOL.
func (Kernel) Ethtool(device string, req []byte) error { return callBytes(device, req) }

// Structures are in the machine's byte order, with C's padding.
var order = binary.NativeEndian

// request is a structure under construction: fields by their offset.
type request []byte

func newRequest(cmd uint32, size int) request {
	r := make(request, size)
	r.put32(0, cmd)
	return r
}

func (r request) put32(at int, v uint32) { order.PutUint32(r[at:], v) }
func (r request) put64(at int, v uint64) { order.PutUint64(r[at:], v) }
func (r request) u32(at int) uint32      { return order.Uint32(r[at:]) }
func (r request) u64(at int) uint64      { return order.Uint64(r[at:]) }

// NIC is a device whose receive side is asked and changed through a Caller.
type NIC struct {
	Name string
	Call Caller
}

func (n NIC) do(what string, r request) error {
	if err := n.Call.Ethtool(n.Name, r); err != nil {
		return fmt.Errorf("ethtool %s of %s: %w", what, n.Name, err)
	}
	return nil
}

// Rings is how many receive rings the device spreads packets over.
func (n NIC) Rings() (int, error) {
	r := newRequest(unix.ETHTOOL_GRXRINGS, sizeRxnfc)
	err := n.do("rings", r)
	return int(r.u64(rxnfcData)), err
}
