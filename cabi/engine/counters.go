package engine

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack"
)

// counters are where the values of proto.DetailNames stand, in their order.
type counters struct {
	at   [len(proto.DetailNames)]*uint64
	last [len(proto.DetailNames)]uint64 // as published

	// Sums, made when they are published.
	outSegs, retransSegs, timeouts, abortOnTimeout uint64
	spins, sleeps, kicks                           uint64
}

// named are counters whose names in the stack are others than the kernel's; the rest are found by the kernel's name.
func (k *counters) named(e *Engine, c *ustack.Counters, s *ustack.Stack) map[string]*uint64 {
	send := s.Host().SendStats()
	return map[string]*uint64{
		"Icmp.InMsgs": &c.IP.IcmpInMsgs, "Icmp.InErrors": &c.IP.IcmpInErrors, "Icmp.InCsumErrors": &c.IP.IcmpInCsumErrors,
		"Icmp.InDestUnreachs": &c.IP.IcmpInDestUnreachs,
		"Tcp.OutSegs":         &k.outSegs, "Tcp.RetransSegs": &k.retransSegs, "Tcp.InCsumErrors": &c.TCPInCsumErrors,
		"TcpExt.TCPTimeouts": &k.timeouts, "TcpExt.TCPAbortOnTimeout": &k.abortOnTimeout,
		"TcpExt.TCPRenoRecovery": &send.RenoRecovery, "TcpExt.TCPSackRecovery": &send.SackRecovery,
		"TcpExt.TCPSACKReneging": &send.SackReneging, "TcpExt.TCPDSACKUndo": &send.DSACKUndo, "TcpExt.TCPLostRetransmit": &send.LostRetransmit,
		"TcpExt.TCPFastRetrans": &send.FastRetrans, "TcpExt.TCPLossProbes": &send.LossProbes, "TcpExt.TCPDSACKRecv": &send.DSACKRecv,
		"TcpExt.TCPLossProbeRecovery": &send.LossProbeRecovery, "TcpExt.TCPSpuriousRTOs": &send.SpuriousRTOs,
		"TcpExt.TCPSynRetrans": &send.SynRetrans, "TcpExt.TCPOrigDataSent": &send.OrigDataSent, "TcpExt.TCPWinProbe": &send.WinProbes,
		"TcpExt.TCPSlowStartRetrans": &send.SlowStartRetrans, "TcpExt.TCPFullUndo": &send.FullUndo, "TcpExt.TCPPartialUndo": &send.PartialUndo,
		"TcpExt.TCPLossUndo": &send.LossUndo, "TcpExt.TCPSACKReorder": &send.SACKReorder, "TcpExt.TCPTSReorder": &send.TSReorder,
		"TcpExt.TCPRenoReorder": &send.RenoReorder, "TcpExt.TCPSackRecoveryFail": &send.SackRecoveryFail,
		"TcpExt.TCPRenoRecoveryFail": &send.RenoRecoveryFail, "TcpExt.TCPSackFailures": &send.SackFailures,
		"TcpExt.TCPRenoFailures": &send.RenoFailures, "TcpExt.TCPLossFailures": &send.LossFailures, "TcpExt.TCPDSACKOfoRecv": &send.DSACKOfoRecv,
		"TcpExt.TCPDSACKRecvSegs": &send.DSACKRecvSegs, "TcpExt.TCPSACKDiscard": &send.SACKDiscard, "TcpExt.TCPDelivered": &send.Delivered,
		"TcpExt.TCPDeliveredCE": &send.DeliveredCE, "TcpExt.TCPHystartDelayDetect": &send.HystartDelay,
		"TcpExt.TCPHystartDelayCwnd": &send.HystartDelayCwnd, "TcpExt.TCPMTUPSuccess": &send.MTUPSuccess, "TcpExt.TCPMTUPFail": &send.MTUPFail,
		"TcpExt.TCPMinTTLDrop": &c.MinTTLDrop, "Ip.OutTransmits": &c.TxPackets,
		"Sluice.Crossings": &e.sh.Crossings, "Sluice.Turns": &e.sh.Turns, "Sluice.HandOvers": &e.sh.Handovers,
		"Sluice.Faults": &e.sh.Panics, "Sluice.Spins": &k.spins, "Sluice.Sleeps": &k.sleeps, "Sluice.Kicks": &k.kicks,
		"Sluice.PlainReads": &e.sh.PlainReads, "Sluice.PlainSends": &e.sh.PlainSends,
		"Sluice.TxRingFull": &c.TxRingFull, "Sluice.NeighWaits": &c.NeighWaits,
		"Drop.PKT_TOO_SMALL": &c.Eth.Short, "Drop.OTHERHOST": &c.Eth.OtherHost, "Drop.UNHANDLED_PROTO": &c.Eth.OtherProto,
		"Drop.IP_INHDR": &c.IP.InHdrErrors, "Drop.IP_INADDRERRORS": &c.IP.InAddrErrors, "Drop.IP_NOPROTO": &c.IP.InUnknownProtos,
		"Drop.IP_OUTNOROUTES": &c.IP.OutNoRoutes, "Drop.ICMP_CSUM": &c.IP.IcmpInCsumErrors, "Drop.TCP_CSUM": &c.TCPInCsumErrors,
		"Drop.TCP_MINTTL": &c.MinTTLDrop, "Drop.TCP_RFC7323_PAWS": &c.TCP.PAWSEstab, "Drop.TCP_ZEROWINDOW": &c.TCP.TCPZeroWindowDrop,
		"Drop.TCP_OFO_DROP": &c.TCP.TCPOFODrop, "Drop.TCP_OFO_QUEUE_PRUNE": &c.TCP.OfoPruned, "Drop.PROTO_MEM": &c.TCP.TCPRcvQDrop,
		"Drop.NOMEM": &c.RxPayloadDrops, "Drop.NEIGH_QUEUEFULL": &c.NeighDrops, "Drop.TCP_LISTEN_OVERFLOW": &c.TCP.ListenOverflows,
	}
}

// find fills in where everything is.
func (k *counters) find(e *Engine, s *ustack.Stack) error {
	c := s.Counters()
	named := k.named(e, c, s)
	groups := map[string]reflect.Value{
		"Ip": reflect.ValueOf(c.IP).Elem(), "IpExt": reflect.ValueOf(c.IP).Elem(),
		"Tcp": reflect.ValueOf(c.TCP).Elem(), "TcpExt": reflect.ValueOf(c.TCP).Elem(),
	}
	for i, name := range proto.DetailNames {
		if k.at[i] = named[name]; k.at[i] != nil {
			continue
		}
		group, field, _ := strings.Cut(name, ".")
		if g, ok := groups[group]; ok {
			if f := g.FieldByName(field); f.IsValid() {
				k.at[i] = f.Addr().Interface().(*uint64)
				continue
			}
		}
		return fmt.Errorf("counter %s is nowhere", name)
	}
	return nil
}

// publish copies to the state memory what has changed.
func (k *counters) publish(e *Engine, p *plane) {
	c, send := p.stack.Counters(), p.stack.Host().SendStats()
	k.retransSegs = c.TCP.RetransSegs + send.RetransSegs
	// "The total number of segments sent, including those on current connections but excluding those containing only retransmitted
	// octets" RFC 4022, tcpOutSegs; a SYN-ACK that is repeated counts as both in Linux.
	k.outSegs = c.TxPackets - send.RetransSegs
	k.timeouts = c.TCP.TCPTimeouts + send.Timeouts
	k.abortOnTimeout = c.TCP.TCPAbortOnTimeout
	k.spins, k.sleeps, k.kicks = e.sh.Spins.Load(), e.sh.Sleeps.Load(), e.sh.Kicks.Load()
	for i, at := range k.at {
		if v := *at; v != k.last[i] {
			k.last[i] = v
			p.state.SetCount(proto.FirstDetail+i, v)
		}
	}
}
