package afxdp

// Levels tells how full the rings are: packets that wait to be taken, packets that the device has not taken yet, and frames that it can
// receive into.
func (v *VI) Levels() (rx, tx, fill int) {
	return int(v.rx.peer.Load() - v.rx.shared.Load()), int(v.tx.shared.Load() - v.tx.peer.Load()), int(v.fill.shared.Load() - v.fill.peer.Load())
}
