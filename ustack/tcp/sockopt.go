package tcp

import "encoding/binary"

// Levels and names of setsockopt(2) that this package answers.
const (
	solSocket = 1
	solTCP    = 6

	soError         = 4
	soSndBuf        = 7
	soRcvBuf        = 8
	soKeepAlive     = 9
	soOOBInline     = 10
	soLinger        = 13
	soRcvLowat      = 18
	soSndLowat      = 19
	soSndBufForce   = 32
	soRcvBufForce   = 33
	soStamping      = 37
	soMaxPacing     = 47
	soZeroCopy      = 60
	soStampingNew   = 65
	tcpNoDelay      = 1
	tcpMaxSeg       = 2
	tcpCork         = 3
	tcpKeepIdle     = 4
	tcpKeepIntvl    = 5
	tcpKeepCnt      = 6
	tcpSynCnt       = 7
	tcpLinger2      = 8
	tcpDeferAccept  = 9
	tcpWindowClamp  = 10
	tcpInfo         = 11
	tcpQuickAck     = 12
	tcpCongestion   = 13
	tcpUserTimeout  = 18
	tcpFastOpen     = 23
	tcpCCInfo       = 26
	tcpSaveSYN      = 27
	tcpSavedSYN     = 28
	tcpNotsentLowat = 25
	tcpFastConnect  = 30
	tcpFastKey      = 33
	tcpFastNoCookie = 34
	tcpInq          = 36
)

const second = int64(1e9)

// Set is setsockopt(2) on a socket that is neither connected nor listening yet.
func (o *Options) Set(p *Params, level, name int, val []byte) error {
	if countsBytes(level, name, val) {
		return ErrInval
	}
	return o.set(p, level, name, val)
}

// set is setsockopt(2) for what needs no connection; ErrNoProtoOpt for the rest.
func (o *Options) set(p *Params, level, name int, val []byte) error {
	if level == solTCP && name == tcpCongestion {
		return o.setCongestion(val)
	}
	if level == solTCP && name == tcpFastKey {
		return o.setFastKeys(val)
	}
	if level == solSocket && name == soLinger {
		return o.setLinger(val)
	}
	if level == solSocket && name == soMaxPacing && len(val) >= 8 {
		o.MaxPacing = binary.NativeEndian.Uint64(val)
		return nil
	}
	if level == solSocket && (name == soStamping || name == soStampingNew) {
		return o.setStamping(val)
	}
	if level != solSocket && level != solTCP {
		return ErrNoProtoOpt
	}
	if len(val) < 4 {
		return ErrInval
	}
	v := int(int32(binary.NativeEndian.Uint32(val)))
	if level == solSocket {
		return o.setSocket(p, name, v)
	}
	return o.setTCP(p, name, v)
}

func (o *Options) setSocket(p *Params, name, v int) error {
	switch name {
	case soSndBuf: // "doubled, to allow space for bookkeeping overhead" socket(7)
		o.SndBuf = max(2*min(uint32OrMax(v), p.WmemMax), minSendBuffer)
	case soRcvBuf:
		o.RcvBuf = max(2*min(uint32OrMax(v), p.RmemMax), minRecvBuffer)
	case soSndBufForce: // "the wmem_max limit can be overridden" by a privileged process, which the caller has made sure of
		o.SndBuf = max(2*min(v, maxBuffer), minSendBuffer)
	case soRcvBufForce:
		o.RcvBuf = max(2*min(v, maxBuffer), minRecvBuffer)
	case soKeepAlive:
		o.KeepAlive = v != 0
	case soOOBInline:
		o.OOBInline = v != 0
	case soZeroCopy:
		return zeroOrOne(&o.ZeroCopy, v)
	case soRcvLowat:
		if v < 0 {
			v = 1<<31 - 1
		}
		o.RcvLowat = max(min(v, p.Rmem[2]/2), 1)
	case soMaxPacing:
		o.MaxPacing = uint64(uint32(v))
	default:
		return ErrNoProtoOpt
	}
	return nil
}

// minRecvBuffer is the kernel's SOCK_MIN_RCVBUF; maxBuffer is the largest of a buffer that is asked for.
const (
	minRecvBuffer = 2304
	maxBuffer     = (1<<31 - 1) / 2
)

// uint32OrMax is how the kernel compares a negative size: as a very large one.
func uint32OrMax(v int) int {
	if v < 0 {
		return 1<<31 - 1
	}
	return v
}

func (o *Options) setTCP(p *Params, name, v int) error {
	switch name {
	case tcpNoDelay:
		o.NoDelay = v != 0
	case tcpCork:
		o.Cork = v != 0
	case tcpMaxSeg:
		if v != 0 && (v < 88 || v > 32767) {
			return ErrInval
		}
		o.MaxSeg = v
	case tcpKeepIdle:
		return seconds(&o.KeepIdle, v, 32767)
	case tcpKeepIntvl:
		return seconds(&o.KeepIntvl, v, 32767)
	case tcpKeepCnt:
		return within(&o.KeepCnt, v, 127)
	case tcpSynCnt:
		return within(&o.SynCount, v, 127)
	case tcpLinger2:
		o.setLinger2(p, v)
	case tcpDeferAccept:
		o.DeferAccept = secondsToRetries(v, int64(p.RTOMax))
	case tcpWindowClamp:
		return o.setWindowClamp(v)
	case tcpUserTimeout: // milliseconds
		if v < 0 {
			return ErrInval
		}
		o.UserTimeout = int64(v) * millisecond
	case tcpNotsentLowat:
		o.NotsentLowat = int(uint32(v))
	case tcpInq:
		return zeroOrOne(&o.Inq, v)
	case tcpSaveSYN:
		if v < 0 || v > 2 {
			return ErrInval
		}
		o.SaveSYN = v
	case tcpFastOpen:
		if v < 0 {
			return ErrInval
		}
		o.FastOpen = min(v, p.Somaxconn)
	case tcpFastConnect:
		if p.FastOpen&fastClient == 0 {
			return ErrNotSupp
		}
		return zeroOrOne(&o.FastConnect, v)
	case tcpFastNoCookie:
		return zeroOrOne(&o.FastNoCookie, v)
	default:
		return ErrNoProtoOpt
	}
	return nil
}

func seconds(to *int64, v, limit int) error {
	if v < 1 || v > limit {
		return ErrInval
	}
	*to = int64(v) * second
	return nil
}

func zeroOrOne(to *bool, v int) error {
	if v < 0 || v > 1 {
		return ErrInval
	}
	*to = v == 1
	return nil
}

func within(to *int, v, limit int) error {
	if v < 1 || v > limit {
		return ErrInval
	}
	*to = v
	return nil
}

func (o *Options) setLinger(val []byte) error {
	if len(val) < 8 {
		return ErrInval
	}
	o.Linger = binary.NativeEndian.Uint32(val) != 0
	if o.Linger {
		o.LingerTime = int64(int32(binary.NativeEndian.Uint32(val[4:]))) * second
		if o.LingerTime < 0 {
			o.LingerTime = 1 << 62 // for ever
		}
	}
	return nil
}

func (o *Options) setLinger2(p *Params, v int) {
	switch {
	case v < 0:
		o.Linger2 = -1
	case v > 120: // TCP_FIN_TIMEOUT_MAX
		o.Linger2 = 0
	default:
		o.Linger2 = int64(v) * second
	}
}

// setWindowClamp is TCP_WINDOW_CLAMP: at least half of the smallest receive buffer.
func (o *Options) setWindowClamp(v int) error {
	if v < 0 {
		return ErrInval
	}
	if v > 0 {
		v = max(v, minRecvBuffer/2)
	}
	o.WindowClamp = v
	return nil
}

func (o *Options) setCongestion(val []byte) error {
	n := 0
	for n < len(val) && n < 15 && val[n] != 0 {
		n++
	}
	name := string(val[:n])
	if len(val) == 0 {
		return ErrInval
	}
	if name == "" || !KnownCongestion(name) {
		return ErrNoEnt
	}
	o.Congestion = name
	return nil
}

// secondsToRetries is the kernel's secs_to_retrans: how many SYN-ACK timeouts cover that many seconds.
func secondsToRetries(v int, rtoMax int64) int {
	if v <= 0 {
		return 0
	}
	n, wait := 1, int64(1)
	for period := wait; int64(v) > period && n < 255; n++ {
		wait = min(wait*2, rtoMax/second)
		period += wait
	}
	return n
}

// retriesToSeconds is the reverse, retrans_to_secs.
func retriesToSeconds(n int, rtoMax int64) int {
	if n <= 0 {
		return 0
	}
	wait, period := int64(1), int64(1)
	for ; n > 1; n-- {
		wait = min(wait*2, rtoMax/second)
		period += wait
	}
	return int(period)
}
