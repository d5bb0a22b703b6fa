package repair

import "fmt"

// finSent: our FIN has a sequence number (it may still wait behind unsent data). finAcked, finReceived: as they say.
func (s *State) finSent() bool {
	switch s.State {
	case FinWait1, FinWait2, LastAck, Closing:
		return true
	}
	return false
}

func (s *State) finAcked() bool { return s.State == FinWait2 }

func (s *State) finReceived() bool {
	switch s.State {
	case CloseWait, LastAck, Closing:
		return true
	}
	return false
}

// sent is how many bytes of SendData were sent; the FIN, which comes after all data, counts in SndNxt only.
func (s *State) sent() (int, error) {
	n := int64(int32(s.SndNxt - s.SndUna))
	if s.finSent() && n == int64(len(s.SendData))+1 {
		n--
	}
	if n < 0 || n > int64(len(s.SendData)) {
		return 0, fmt.Errorf("SND.UNA %d, SND.NXT %d do not fit %d bytes of send queue", s.SndUna, s.SndNxt, len(s.SendData))
	}
	return int(n), nil
}

// finIsOut: our FIN was sent and waits for its acknowledgment.
func (s *State) finIsOut() bool {
	return s.finSent() && !s.finAcked() && s.SndNxt-s.SndUna == uint32(len(s.SendData))+1
}

// check refuses what the kernel cannot take, before anything was begun.
func (s *State) check() error {
	switch s.State {
	case Established, CloseWait:
	case FinWait1, FinWait2, LastAck, Closing:
		if s.finAcked() && len(s.SendData) > 0 {
			return fmt.Errorf("an acknowledged FIN with %d bytes before it", len(s.SendData))
		}
	default:
		return fmt.Errorf("state %d cannot become a kernel socket", s.State)
	}
	l, r := s.Local.Addr().Unmap(), s.Remote.Addr().Unmap()
	if !l.IsValid() || !r.IsValid() || l.Is4() != r.Is4() || l.IsUnspecified() || r.IsUnspecified() || s.Local.Port() == 0 || s.Remote.Port() == 0 {
		return fmt.Errorf("addresses %v, %v", s.Local, s.Remote)
	}
	if s.SndWScale > 14 || s.RcvWScale > 14 || s.MSS < 48 {
		return fmt.Errorf("window shifts %d, %d, MSS %d", s.SndWScale, s.RcvWScale, s.MSS)
	}
	_, err := s.sent()
	return err
}
