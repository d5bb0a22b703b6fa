package doctor

import (
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/observe/ask"
)

// devices looks at each network device of this namespace but loopback.
func devices(r *Report, b *ask.Broker) {
	links, err := netlink.LinkList()
	if err != nil {
		r.add(Bad, "devices", "", "%v", err)
		return
	}
	ours := map[int]broker.DeviceStatus{}
	if b != nil {
		if st, err := b.Status(); err == nil {
			for _, d := range st.Devices {
				if d.NetNS != netnsInode() {
					continue
				}
				if o := ours[d.Ifindex]; o.Device != "" { // its spurs have rows of their own
					d.Owners, d.Entries = append(o.Owners, d.Owners...), append(o.Entries, d.Entries...)
				}
				ours[d.Ifindex] = d
			}
		}
	}
	for _, l := range links {
		if a := l.Attrs(); a.RawFlags&unix.IFF_LOOPBACK == 0 {
			device(r, l, ours)
		}
	}
}

func netnsInode() uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &st) != nil {
		return 0
	}
	return st.Ino
}

func device(r *Report, l netlink.Link, ours map[int]broker.DeviceStatus) {
	a := l.Attrs()
	driver, err := ethtool.Driver(a.Name)
	if err != nil {
		driver = "unknown driver"
	}
	queues, err := ethtool.ReceiveQueues(a.Name)
	if err != nil || queues == 0 {
		queues = max(1, a.NumRxQueues)
	}
	facts := []string{driver, fmt.Sprintf("%d receive queues", queues), fmt.Sprintf("MTU %d", a.MTU)}
	if on, err := ethtool.NTuple(a.Name); err == nil && on {
		facts = append(facts, "ntuple filters on (sluice broker --hide uses them)")
	} else {
		facts = append(facts, "no ntuple filters: XDP alone steers")
	}
	about := "device " + a.Name
	if a.RawFlags&unix.IFF_UP == 0 {
		r.add(Note, about, "ip link set "+a.Name+" up", "%s; it is down: nothing is accelerated there", strings.Join(facts, ", "))
		return
	}
	if why := broker.Unfit(l); why != "" {
		r.add(Note, about, "", "%s; left to the kernel: %s", strings.Join(facts, ", "), why)
		return
	}
	r.add(Good, about, "", "%s", strings.Join(facts, ", "))
	if f, err := afxdp.ProbeFeatures(a.Index); err == nil {
		r.add(Good, about, "", "its driver says: %v", f)
	} else {
		r.add(Note, about, "", "what its driver can do is not known: %v", err)
	}
	if a.MTU > afxdp.MaxPartsMTU {
		r.add(Note, about, fmt.Sprintf("ip link set %s mtu %d, or less", a.Name, afxdp.MaxPartsMTU),
			"the MTU is more than %d frames hold: peers are told a smaller segment size", efvi.MaxParts)
	} else if a.MTU > afxdp.MaxMTU {
		r.add(Good, about, "", "packets of that MTU lie in up to %d frames each, if the kernel can (\"packets in several buffers\")", efvi.MaxParts)
	}
	d, held := ours[a.Index]
	switch {
	case held && d.Mode != "native" && !afxdp.BestGeneric(l.Type(), queues, afxdp.GenericParts()):
		r.add(Note, about, "a driver with native XDP is faster", "sluice's program runs in %s mode", d.Mode)
	case held:
		r.add(Good, about, "", "sluice's program is attached, %s; %d entries", d.Mode, len(d.Entries))
	case a.Xdp != nil && a.Xdp.Attached:
		r.add(Bad, about, "ip link set dev "+a.Name+" xdp off, if nobody needs it", "XDP program %d of somebody else is attached: nothing is accelerated there", a.Xdp.ProgId)
	}
	if len(d.Owners) > 0 && os.Geteuid() == 0 {
		r.add(Good, about, "", "queues belong to processes %v (0: the kernel), %d of them zero-copy", d.Owners, d.ZeroCopy)
	}
}
