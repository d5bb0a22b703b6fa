package tcp

import "encoding/binary"

// Get is getsockopt(2) on a socket that is neither connected nor listening: how many bytes of out it filled.
func (o *Options) Get(p *Params, level, name int, out []byte) (int, error) {
	if n, ok := o.text(p, level, name, out); ok {
		return n, nil
	}
	if v, ok := o.get(p, level, name); ok {
		return putInt(out, v), nil
	}
	return 0, ErrNoProtoOpt
}

// get is getsockopt(2) for what needs no connection. It says false for the rest.
func (o *Options) get(p *Params, level, name int) (int, bool) {
	if level == solSocket {
		return o.getSocket(p, name)
	}
	if level != solTCP {
		return 0, false
	}
	switch name {
	case tcpNoDelay:
		return boolInt(o.NoDelay), true
	case tcpCork:
		return boolInt(o.Cork), true
	case tcpMaxSeg:
		return o.MaxSeg, true
	case tcpKeepIdle:
		return int(first64(o.KeepIdle, int64(p.KeepIdle)) / second), true
	case tcpKeepIntvl:
		return int(first64(o.KeepIntvl, int64(p.KeepIntvl)) / second), true
	case tcpKeepCnt:
		return first(o.KeepCnt, p.KeepProbes), true
	case tcpSynCnt:
		return first(o.SynCount, p.SYNRetries), true
	case tcpLinger2:
		if o.Linger2 < 0 {
			return -1, true
		}
		return int(first64(o.Linger2, int64(p.FinTimeout)) / second), true
	case tcpDeferAccept:
		return retriesToSeconds(o.DeferAccept, int64(p.RTOMax)), true
	case tcpWindowClamp:
		return o.WindowClamp, true
	case tcpUserTimeout:
		return int(o.UserTimeout / millisecond), true
	case tcpNotsentLowat:
		return o.NotsentLowat, true
	case tcpInq:
		return boolInt(o.Inq), true
	case tcpSaveSYN:
		return o.SaveSYN, true
	case tcpFastOpen:
		return o.FastOpen, true
	case tcpFastConnect:
		return boolInt(o.FastConnect), true
	case tcpFastNoCookie:
		return boolInt(o.FastNoCookie), true
	}
	return 0, false
}

func (o *Options) getSocket(p *Params, name int) (int, bool) {
	switch name {
	case soSndBuf:
		return first(o.SndBuf, p.Wmem[1]), true
	case soRcvBuf:
		return first(o.RcvBuf, p.Rmem[1]), true
	case soKeepAlive:
		return boolInt(o.KeepAlive), true
	case soZeroCopy:
		return boolInt(o.ZeroCopy), true
	case soOOBInline:
		return boolInt(o.OOBInline), true
	case soRcvLowat:
		return max(o.RcvLowat, 1), true
	case soSndLowat:
		return 1, true
	case soMaxPacing:
		if o.MaxPacing == 0 {
			return -1, true
		}
		return int(o.MaxPacing), true
	}
	return 0, false
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func first[T comparable](a, b T) T {
	if a != *new(T) {
		return a
	}
	return b
}

func first64(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}

// putInt writes an int as getsockopt does: cut to the room there is.
func putInt(out []byte, v int) int {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(int32(v)))
	return copy(out, b[:])
}

// text answers the options whose value is no int.
func (o *Options) text(p *Params, level, name int, out []byte) (int, bool) {
	switch {
	case level == solSocket && name == soLinger:
		var b [8]byte
		binary.NativeEndian.PutUint32(b[:], uint32(boolInt(o.Linger)))
		binary.NativeEndian.PutUint32(b[4:], uint32(int32(min(o.LingerTime/second, 1<<31-1))))
		return copy(out, b[:]), true
	case level == solSocket && (name == soStamping || name == soStampingNew):
		return o.stampingText(out), true
	case level == solSocket && name == soMaxPacing && len(out) >= 8: // an unsigned long, for who has room for one
		rate := o.MaxPacing
		if rate == 0 {
			rate = 1<<64 - 1
		}
		binary.NativeEndian.PutUint64(out, rate)
		return 8, true
	case level == solTCP && name == tcpCongestion:
		var b [16]byte
		s := o.Congestion
		if s == "" {
			s = p.Congestion
		}
		copy(b[:15], s)
		return copy(out, b[:]), true
	}
	return 0, false
}
