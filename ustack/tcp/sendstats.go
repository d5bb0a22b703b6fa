package tcp

// SendStats are counters of all senders of a stack, named after the kernel's MIB.
type SendStats struct {
	RetransSegs       uint64 // TcpRetransSegs
	Timeouts          uint64 // TcpExtTCPTimeouts
	LossProbes        uint64 // TcpExtTCPLossProbes
	LossProbeRecovery uint64 // TcpExtTCPLossProbeRecovery
	LostRetransmit    uint64 // TcpExtTCPLostRetransmit
	SackReneging      uint64 // TcpExtTCPSACKReneging
	LossEvents        uint64 // fast recoveries and first timeouts
	Undos             uint64 // reductions taken back
	DSACKUndo         uint64 // TcpExtTCPDSACKUndo
	DSACKRecv         uint64 // TcpExtTCPDSACKRecv
	SpuriousRTOs      uint64 // TcpExtTCPSpuriousRTOs
	WinProbes         uint64 // TcpExtTCPWinProbe
	AbortOnTimeout    uint64 // TcpExtTCPAbortOnTimeout
	SackRecovery      uint64 // TcpExtTCPSackRecovery
	RenoRecovery      uint64 // TcpExtTCPRenoRecovery
	FastRetrans       uint64 // TcpExtTCPFastRetrans
	OrigDataSent      uint64 // TcpExtTCPOrigDataSent
	SynRetrans        uint64 // TcpExtTCPSynRetrans
	SlowStartRetrans  uint64 // TcpExtTCPSlowStartRetrans
	FullUndo          uint64 // TcpExtTCPFullUndo
	PartialUndo       uint64 // TcpExtTCPPartialUndo
	LossUndo          uint64 // TcpExtTCPLossUndo
	SACKReorder       uint64 // TcpExtTCPSACKReorder
	TSReorder         uint64 // TcpExtTCPTSReorder
	RenoReorder       uint64 // TcpExtTCPRenoReorder
	SackRecoveryFail  uint64 // TcpExtTCPSackRecoveryFail
	RenoRecoveryFail  uint64 // TcpExtTCPRenoRecoveryFail
	SackFailures      uint64 // TcpExtTCPSackFailures
	RenoFailures      uint64 // TcpExtTCPRenoFailures
	LossFailures      uint64 // TcpExtTCPLossFailures
	DSACKOfoRecv      uint64 // TcpExtTCPDSACKOfoRecv
	DSACKRecvSegs     uint64 // TcpExtTCPDSACKRecvSegs
	SACKDiscard       uint64 // TcpExtTCPSACKDiscard
	Delivered         uint64 // TcpExtTCPDelivered
	DeliveredCE       uint64 // TcpExtTCPDeliveredCE
	HystartDelay      uint64 // TcpExtTCPHystartDelayDetect
	HystartDelayCwnd  uint64 // TcpExtTCPHystartDelayCwnd
	MTUPSuccess       uint64 // TcpExtTCPMTUPSuccess
	MTUPFail          uint64 // TcpExtTCPMTUPFail

	Looked uint64 // records of the queues that were looked at while judging ACKs and timeouts: what those cost
}
