package afxdp

// Levels tells how full the rings are: packets that wait to be taken, packets that the device has not taken yet, and frames that it can
// receive into.
func (v *VI) Levels() (rx, tx, fill int) {
	return int(v.rx.peer.Load() - v.rx.shared.Load()), int(v.tx.shared.Load() - v.tx.peer.Load()), int(v.fill.shared.Load() - v.fill.peer.Load())
}

// Resume tells that somebody else has put packets into the TX ring and published them, while nothing of ours waited for Flush.
func (v *VI) Resume() { v.tx.resume() }

// Lost tells what the kernel counts of the socket (XDP_STATISTICS): packets lost because the RX ring was full, because no frame was posted,
// or for another reason, and transmit descriptors that it did not take.
func (v *VI) Lost() (full, empty, other, badTX uint64) {
	st, err := statistics(v.fd)
	if err != nil {
		return 0, 0, 0, 0
	}
	return st.Rx_ring_full, st.Rx_fill_ring_empty_descs, st.Rx_dropped, st.Tx_invalid_descs
}
