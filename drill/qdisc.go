package main

import (
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// refuses tells whether a script has given its device a queueing discipline that takes nothing: `tc qdisc add dev tun0 root pfifo limit 0`
// stands for a device that is congested.
func refuses() bool {
	req := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_DUMP)
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL})
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWQDISC)
	if err != nil {
		return false
	}
	for _, b := range answers {
		attrs, err := nl.ParseRouteAttr(b[nl.DeserializeTcMsg(b).Len():])
		if err != nil {
			continue
		}
		fifo, limit := false, uint32(1)
		for _, a := range attrs {
			switch a.Attr.Type {
			case nl.TCA_KIND:
				fifo = string(a.Value) == "pfifo\x00"
			case nl.TCA_OPTIONS: // struct tc_fifo_qopt
				if len(a.Value) >= 4 {
					limit = binary.NativeEndian.Uint32(a.Value)
				}
			}
		}
		if fifo && limit == 0 {
			return true
		}
	}
	return false
}
