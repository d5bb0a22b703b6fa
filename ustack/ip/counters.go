package ip

// Counters are the kernel's MIB counters of this layer, both versions together, under the names of /proc/net/snmp
// (Ip, Icmp) and /proc/net/netstat (IpExt).
type Counters struct {
	InReceives      uint64
	InHdrErrors     uint64
	InAddrErrors    uint64
	InUnknownProtos uint64
	InDelivers      uint64
	InTruncatedPkts uint64 // IpExt
	InOctets        uint64 // IpExt
	InNoECTPkts     uint64 // IpExt: not ECN-capable
	InECT1Pkts      uint64 // IpExt
	InECT0Pkts      uint64 // IpExt
	InCEPkts        uint64 // IpExt: congestion was experienced
	OutRequests     uint64
	OutNoRoutes     uint64
	OutOctets       uint64 // IpExt
	ReasmFails      uint64 // fragments: the kernel's share, never ours

	IcmpInMsgs         uint64
	IcmpInErrors       uint64
	IcmpInCsumErrors   uint64
	IcmpInDestUnreachs uint64
}
