package tcp

// MIB counts what the kernel counts in /proc/net/snmp and /proc/net/netstat, under the kernel's names.
type MIB struct {
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets uint64
	InSegs, OutSegs, RetransSegs, InErrs, OutRsts        uint64

	SyncookiesSent, SyncookiesRecv, SyncookiesFailed                       uint64
	EmbryonicRsts, ListenOverflows, ListenDrops                            uint64
	TCPReqQFullDoCookies, TCPReqQFullDrop, TCPDeferAcceptDrop, TCPTimeouts uint64
	TW, TWRecycled, TCPTimeWaitOverflow                                    uint64
	PAWSActive, PAWSEstab, PAWSTimewait                                    uint64
	DelayedACKs, DelayedACKLost                                            uint64
	TCPChallengeACK, TCPSYNChallenge                                       uint64
	TCPACKSkippedSynRecv, TCPACKSkippedPAWS, TCPACKSkippedSeq              uint64
	TCPACKSkippedFinWait2, TCPACKSkippedTimeWait, TCPACKSkippedChallenge   uint64
	TCPOFOQueue, TCPOFODrop, TCPOFOMerge, TCPRcvCoalesce, TCPRcvQDrop      uint64
	TCPDSACKOldSent, TCPDSACKOfoSent                                       uint64
	TCPZeroWindowDrop, TCPFromZeroWindowAdv, TCPToZeroWindowAdv            uint64
	TCPWantZeroWindowAdv, PruneCalled, OfoPruned                           uint64
	TCPAbortOnData, TCPAbortOnClose, TCPAbortOnMemory                      uint64
	TCPAbortOnTimeout, TCPAbortOnLinger, TCPKeepAlive                      uint64
	TCPFastOpenActive, TCPFastOpenActiveFail                               uint64
	TCPFastOpenPassive, TCPFastOpenPassiveFail, TCPFastOpenPassiveAltKey   uint64
	TCPFastOpenListenOverflow, TCPFastOpenCookieReqd                       uint64
	TCPAckCompressed, RcvPruned, OutOfWindowIcmps, TCPMD5Unexpected        uint64
}
