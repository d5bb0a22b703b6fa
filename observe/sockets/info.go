package sockets

import (
	"fmt"
	"strings"
)

// Bits of tcpi_options.
const (
	optTimestamps = 1 << iota
	optSACK
	optWScale
	optECN
	optECNSeen
	optSYNData
)

// text is ss's line of TCP_INFO, in its order: what is zero or at its default is left out. What was agreed on is an option of ss.
func (i *Info) text(s *Socket, agreed bool) string {
	var b strings.Builder
	put := func(when bool, format string, args ...any) {
		if when {
			fmt.Fprintf(&b, " "+format, args...)
		}
	}
	if agreed {
		i.agreed(put)
	}
	put(s.Congestion != "", "%s", s.Congestion)
	put(i.Options&optWScale != 0, "wscale:%d,%d", i.WScale&15, i.WScale>>4)
	i.times(put)
	i.amounts(put)
	i.rates(put)
	i.losses(put, s)
	return b.String()
}

type putter func(when bool, format string, args ...any)

func (i *Info) agreed(put putter) {
	put(i.Options&optTimestamps != 0, "ts")
	put(i.Options&optSACK != 0, "sack")
	put(i.Options&optECN != 0, "ecn")
	put(i.Options&optECNSeen != 0, "ecnseen")
	put(i.Options&optSYNData != 0, "fastopen")
}

func (i *Info) times(put putter) {
	const initialRTO = 3000000
	put(i.RTO != 0 && i.RTO != initialRTO, "rto:%g", ms(i.RTO))
	put(i.Backoff != 0, "backoff:%d", i.Backoff)
	put(i.RTT != 0, "rtt:%g/%g", ms(i.RTT), ms(i.RTTVar))
	put(i.ATO != 0, "ato:%g", ms(i.ATO))
	put(i.SndMSS != 0, "mss:%d", i.SndMSS)
	put(i.PMTU != 0, "pmtu:%d", i.PMTU)
	put(i.RcvMSS != 0, "rcvmss:%d", i.RcvMSS)
	put(i.AdvMSS != 0, "advmss:%d", i.AdvMSS)
	put(i.SndCwnd != 0, "cwnd:%d", i.SndCwnd)
	put(i.SndSsthresh != 0 && i.SndSsthresh < 0xffff, "ssthresh:%d", i.SndSsthresh)
}

func ms(us uint32) float64 { return float64(us) / 1000 }

func (i *Info) amounts(put putter) {
	put(i.BytesSent != 0, "bytes_sent:%d", i.BytesSent)
	put(i.BytesRetrans != 0, "bytes_retrans:%d", i.BytesRetrans)
	put(i.BytesAcked != 0, "bytes_acked:%d", i.BytesAcked)
	put(i.BytesReceived != 0, "bytes_received:%d", i.BytesReceived)
	put(i.SegsOut != 0, "segs_out:%d", i.SegsOut)
	put(i.SegsIn != 0, "segs_in:%d", i.SegsIn)
	put(i.DataSegsOut != 0, "data_segs_out:%d", i.DataSegsOut)
	put(i.DataSegsIn != 0, "data_segs_in:%d", i.DataSegsIn)
}

const noRate = ^uint64(0)

func (i *Info) rates(put putter) {
	put(i.RTT > 0 && i.SndMSS > 0 && i.SndCwnd > 0, "send %sbps", rate(float64(i.SndCwnd)*float64(i.SndMSS)*8e6/float64(max(i.RTT, 1))))
	put(i.LastDataSent != 0, "lastsnd:%d", i.LastDataSent)
	put(i.LastDataRecv != 0, "lastrcv:%d", i.LastDataRecv)
	put(i.LastAckRecv != 0, "lastack:%d", i.LastAckRecv)
	if i.PacingRate != 0 && i.PacingRate != noRate {
		limit := ""
		if i.MaxPacingRate != 0 && i.MaxPacingRate != noRate {
			limit = "/" + rate(8*float64(i.MaxPacingRate)) + "bps"
		}
		put(true, "pacing_rate %sbps%s", rate(8*float64(i.PacingRate)), limit)
	}
	put(i.DeliveryRate != 0, "delivery_rate %sbps", rate(8*float64(i.DeliveryRate)))
	put(i.Delivered != 0, "delivered:%d", i.Delivered)
	put(i.DeliveredCE != 0, "delivered_ce:%d", i.DeliveredCE)
	put(i.Flags&1 != 0, "app_limited")
	put(i.BusyTime != 0, "busy:%dms", i.BusyTime/1000)
	put(i.RwndLimited != 0, "rwnd_limited:%dms(%.1f%%)", i.RwndLimited/1000, 100*float64(i.RwndLimited)/float64(max(i.BusyTime, 1)))
	put(i.SndbufLimited != 0, "sndbuf_limited:%dms(%.1f%%)", i.SndbufLimited/1000, 100*float64(i.SndbufLimited)/float64(max(i.BusyTime, 1)))
}

func (i *Info) losses(put putter, s *Socket) {
	put(i.Unacked != 0, "unacked:%d", i.Unacked)
	put(i.Retrans != 0 || i.TotalRetrans != 0, "retrans:%d/%d", i.Retrans, i.TotalRetrans)
	put(i.Lost != 0, "lost:%d", i.Lost)
	put(i.Sacked != 0 && s.State != Listen, "sacked:%d", i.Sacked)
	put(i.DSACKDups != 0, "dsack_dups:%d", i.DSACKDups)
	put(i.Fackets != 0, "fackets:%d", i.Fackets)
	put(i.Reordering != 3, "reordering:%d", i.Reordering)
	put(i.ReordSeen != 0, "reord_seen:%d", i.ReordSeen)
	put(i.RcvRTT != 0, "rcv_rtt:%g", ms(i.RcvRTT))
	put(i.RcvSpace != 0, "rcv_space:%d", i.RcvSpace)
	put(i.RcvSsthresh != 0, "rcv_ssthresh:%d", i.RcvSsthresh)
	put(i.NotsentBytes != 0, "notsent:%d", i.NotsentBytes)
	put(i.MinRTT != 0 && i.MinRTT != ^uint32(0), "minrtt:%g", ms(i.MinRTT))
	put(i.RcvOOOPack != 0, "rcv_ooopack:%d", i.RcvOOOPack)
	put(i.SndWnd != 0, "snd_wnd:%d", i.SndWnd)
}

// rate is bits in a second with ss's unit.
func rate(bps float64) string {
	switch {
	case bps > 1e6:
		return fmt.Sprintf("%.1fM", bps/1e6)
	case bps > 1e3:
		return fmt.Sprintf("%.1fK", bps/1e3)
	}
	return fmt.Sprintf("%g", bps)
}
