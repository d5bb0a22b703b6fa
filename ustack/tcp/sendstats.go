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

	Looked uint64 // records of the queues that were looked at while judging ACKs and timeouts: what those cost
}
