package ustack

// A link may carry the frames of several VLANs (Hop.VLAN). The routes say which one a connection is on, and the same addresses on another, or
// without a tag, are somebody else: what comes so is not a connection's. This is stricter than Linux, which asks no device.

// onItsVLAN tells whether the packet at hand came by the VLAN that the connection's answers leave by. Without a route only what has no tag does.
func (s *Stack) onItsVLAN(e *endpoint) bool {
	return e.hop != nil && e.hop.VLAN == s.rx.vlan || s.isOnVLAN(e)
}

func (s *Stack) isOnVLAN(e *endpoint) bool {
	e.route()
	if e.hop != nil && e.hop.VLAN == s.rx.vlan || e.hop == nil && s.rx.vlan == 0 {
		return true
	}
	s.eth.Counters.OtherVLAN++
	return false
}

// answersBy tells whether an answer to the packet at hand leaves by a VLAN.
func (s *Stack) answersBy(vlan uint16) bool {
	f := &s.rx.flow
	hop, err := s.way(f.Remote.Addr(), f.Local.Addr())
	if err == nil && hop.VLAN == vlan {
		return true
	}
	s.eth.Counters.OtherVLAN++
	return false
}
