package afxdp

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Features is what a driver says it can do with XDP and AF_XDP (Documentation/netlink/specs/netdev.yaml, Linux 6.3 and later).
type Features struct {
	XDP      uint64 // bits of enum netdev_xdp_act
	Segments uint32 // most buffers of one packet in zero-copy mode; 0 where the kernel does not say
	RX       uint64 // bits of enum netdev_xdp_rx_metadata
	TX       uint64 // bits of enum netdev_xsk_flags
}

// Names of the bits, from the lowest on.
var (
	xdpNames = []string{"native", "redirect", "transmit", "zero-copy", "offload", "multi-buffer", "multi-buffer transmit"}
	rxNames  = []string{"timestamp", "hash", "VLAN tag"}
	txNames  = []string{"timestamp", "checksum", "launch time"}
)

// String lists what there is.
func (f Features) String() string {
	text := "XDP: " + list(f.XDP, xdpNames) + "; receive metadata: " + list(f.RX, rxNames) + "; transmit metadata: " + list(f.TX, txNames)
	if f.Segments > 1 {
		text += fmt.Sprintf("; %d buffers a packet in zero-copy mode", f.Segments)
	}
	return text
}

func list(bits uint64, names []string) string {
	var have []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			have = append(have, name)
		}
	}
	if len(have) == 0 {
		return "none"
	}
	return strings.Join(have, ", ")
}

// The netdev family of generic netlink.
const (
	netdevGet        = 1
	netdevIfindex    = 1
	netdevXDP        = 3
	netdevSegments   = 4
	netdevRXMetadata = 5
	netdevTXFeatures = 6
)

// ProbeFeatures asks the driver of ifindex in the calling thread's network namespace. It needs no privilege.
func ProbeFeatures(ifindex int) (Features, error) {
	var f Features
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return f, fmt.Errorf("ask for features of interface %d: %w", ifindex, err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	// The library's own header has two bytes that it does not set, and the kernel looks at them.
	attr := nl.NewRtAttr(netdevIfindex, binary.NativeEndian.AppendUint32(nil, uint32(ifindex)))
	req.AddRawData(append([]byte{netdevGet, 1, 0, 0}, attr.Serialize()...))
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil || len(msgs) != 1 || len(msgs[0]) < nl.SizeofGenlmsg {
		return f, fmt.Errorf("ask for features of interface %d: %w", ifindex, err)
	}
	attrs, err := nl.ParseRouteAttr(msgs[0][nl.SizeofGenlmsg:])
	if err != nil {
		return f, fmt.Errorf("features of interface %d: %w", ifindex, err)
	}
	for _, a := range attrs {
		switch v := a.Value; {
		case a.Attr.Type == netdevSegments && len(v) >= 4:
			f.Segments = binary.NativeEndian.Uint32(v)
		case len(v) < 8:
		case a.Attr.Type == netdevXDP:
			f.XDP = binary.NativeEndian.Uint64(v)
		case a.Attr.Type == netdevRXMetadata:
			f.RX = binary.NativeEndian.Uint64(v)
		case a.Attr.Type == netdevTXFeatures:
			f.TX = binary.NativeEndian.Uint64(v)
		}
	}
	return f, nil
}
