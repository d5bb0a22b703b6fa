package proto

// DetailNames name the counters from FirstDetail on: those of /proc/net/snmp (Ip, Icmp, Tcp) and /proc/net/netstat (IpExt, TcpExt) under the
// kernel's names, what is sluice's own, and packets dropped under the names of the kernel's skb drop reasons. A counter of the kernel that
// is not here is not counted, or has no meaning without a kernel.
var DetailNames = [...]string{
	"Ip.InReceives", "Ip.InHdrErrors", "Ip.InAddrErrors", "Ip.InUnknownProtos", "Ip.InDelivers", "Ip.OutRequests", "Ip.OutNoRoutes",
	"Ip.ReasmFails", "Ip.OutTransmits", "Icmp.InMsgs", "Icmp.InErrors", "Icmp.InCsumErrors", "Icmp.InDestUnreachs",
	"Tcp.ActiveOpens", "Tcp.PassiveOpens", "Tcp.AttemptFails", "Tcp.EstabResets", "Tcp.InSegs", "Tcp.OutSegs",
	"Tcp.RetransSegs", "Tcp.InErrs", "Tcp.OutRsts", "Tcp.InCsumErrors",
	"TcpExt.SyncookiesSent", "TcpExt.SyncookiesRecv", "TcpExt.SyncookiesFailed", "TcpExt.EmbryonicRsts", "TcpExt.OfoPruned",
	"TcpExt.TW", "TcpExt.TWRecycled", "TcpExt.PAWSActive", "TcpExt.PAWSEstab", "TcpExt.DelayedACKs", "TcpExt.DelayedACKLost",
	"TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPRenoRecovery", "TcpExt.TCPSackRecovery", "TcpExt.TCPSACKReneging",
	"TcpExt.TCPDSACKUndo", "TcpExt.TCPLostRetransmit", "TcpExt.TCPFastRetrans", "TcpExt.TCPTimeouts", "TcpExt.TCPLossProbes",
	"TcpExt.TCPLossProbeRecovery", "TcpExt.TCPDSACKOldSent", "TcpExt.TCPDSACKOfoSent", "TcpExt.TCPDSACKRecv",
	"TcpExt.TCPAbortOnData", "TcpExt.TCPAbortOnClose", "TcpExt.TCPAbortOnMemory", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPAbortOnLinger",
	"TcpExt.TCPSpuriousRTOs", "TcpExt.TCPMinTTLDrop", "TcpExt.TCPDeferAcceptDrop", "TcpExt.TCPTimeWaitOverflow",
	"TcpExt.TCPReqQFullDoCookies", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPRcvCoalesce", "TcpExt.TCPOFOQueue", "TcpExt.TCPOFODrop",
	"TcpExt.TCPOFOMerge", "TcpExt.TCPChallengeACK", "TcpExt.TCPSYNChallenge", "TcpExt.TCPFastOpenActive", "TcpExt.TCPFastOpenActiveFail",
	"TcpExt.TCPFastOpenPassive", "TcpExt.TCPFastOpenPassiveFail", "TcpExt.TCPFastOpenListenOverflow", "TcpExt.TCPFastOpenCookieReqd",
	"TcpExt.TCPFastOpenPassiveAltKey", "TcpExt.TCPFromZeroWindowAdv", "TcpExt.TCPToZeroWindowAdv", "TcpExt.TCPWantZeroWindowAdv",
	"TcpExt.TCPSynRetrans", "TcpExt.TCPOrigDataSent", "TcpExt.TCPACKSkippedSynRecv", "TcpExt.TCPACKSkippedPAWS", "TcpExt.TCPACKSkippedSeq",
	"TcpExt.TCPACKSkippedFinWait2", "TcpExt.TCPACKSkippedTimeWait", "TcpExt.TCPACKSkippedChallenge", "TcpExt.TCPWinProbe",
	"TcpExt.TCPKeepAlive", "TcpExt.TCPAckCompressed", "TcpExt.TCPZeroWindowDrop", "TcpExt.TCPRcvQDrop",
	"TcpExt.PruneCalled", "TcpExt.RcvPruned", "TcpExt.OutOfWindowIcmps", "TcpExt.PAWSTimewait", "TcpExt.TCPSlowStartRetrans",
	"TcpExt.TCPFullUndo", "TcpExt.TCPPartialUndo", "TcpExt.TCPLossUndo", "TcpExt.TCPSACKReorder", "TcpExt.TCPTSReorder", "TcpExt.TCPRenoReorder",
	"TcpExt.TCPSackRecoveryFail", "TcpExt.TCPRenoRecoveryFail", "TcpExt.TCPSackFailures", "TcpExt.TCPRenoFailures", "TcpExt.TCPLossFailures",
	"TcpExt.TCPDSACKOfoRecv", "TcpExt.TCPDSACKRecvSegs", "TcpExt.TCPSACKDiscard", "TcpExt.TCPDelivered", "TcpExt.TCPDeliveredCE",
	"TcpExt.TCPHystartDelayDetect", "TcpExt.TCPHystartDelayCwnd", "TcpExt.TCPMTUPSuccess", "TcpExt.TCPMTUPFail", "TcpExt.TCPMD5Unexpected",
	"IpExt.InTruncatedPkts", "IpExt.InOctets", "IpExt.OutOctets", "IpExt.InNoECTPkts", "IpExt.InECT1Pkts", "IpExt.InECT0Pkts", "IpExt.InCEPkts",
	"Sluice.Crossings", "Sluice.Turns", "Sluice.Spins", "Sluice.Sleeps", "Sluice.Kicks", "Sluice.PlainReads", "Sluice.PlainSends", "Sluice.HandOvers", "Sluice.TxRingFull",
	"Sluice.NeighWaits", "Sluice.Faults",
	"Drop.PKT_TOO_SMALL", "Drop.OTHERHOST", "Drop.UNHANDLED_PROTO", "Drop.IP_INHDR", "Drop.IP_INADDRERRORS", "Drop.IP_NOPROTO",
	"Drop.IP_OUTNOROUTES", "Drop.ICMP_CSUM", "Drop.TCP_CSUM", "Drop.TCP_MINTTL", "Drop.TCP_RFC7323_PAWS", "Drop.TCP_ZEROWINDOW",
	"Drop.TCP_OFO_DROP", "Drop.TCP_OFO_QUEUE_PRUNE", "Drop.PROTO_MEM", "Drop.NOMEM", "Drop.NEIGH_QUEUEFULL",
	"Drop.TCP_LISTEN_OVERFLOW",
}
