package engine

import (
	"net/netip"

	"github.com/sluice-net/sluice/fallback/repair"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// stateOf turns what the stack tells of a frozen connection into what the kernel needs, but for the queues. Both number states alike.
func stateOf(s *usock.Socket, n *tcp.Snapshot) repair.State {
	st := repair.State{
		Local: plain(n.Flow.Local), Remote: plain(n.Flow.Remote), State: int(n.State),
		SndUna: uint32(n.SndUna), SndNxt: uint32(n.SndNxt), RcvNxt: uint32(n.RcvNxt),
		SndWl1: uint32(n.SndWL1), SndWnd: n.SndWnd, MaxWindow: n.MaxWnd, RcvWnd: n.RcvWnd, RcvWup: uint32(n.RcvWup),
		MSS: n.MSS, WScale: n.Scaling, SndWScale: n.SndScale, RcvWScale: n.RcvScale,
		SACK: n.SACK, Timestamps: n.Timestamps, TSVal: n.TSVal,
		TSRecent: n.TSRecent, SRTT: int(n.SRTT / 1000),
		Mapped:   s.V6() && n.Flow.Local.Addr().Unmap().Is4(),
		ShutRead: n.ShutRead,
	}
	optionsInto(&st, s)
	return st
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
