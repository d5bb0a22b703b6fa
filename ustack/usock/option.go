package usock

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// Levels and names of setsockopt(2) that this file answers; those of TCP and most of SOL_SOCKET are tcp's.
const (
	solSocket = 1
	solIP     = 0
	solIPv6   = 41

	soType       = 3
	soError      = 4
	soPriority   = 12
	soAcceptConn = 30
	soProtocol   = 38
	soDomain     = 39

	ipTOS         = 1
	ipTTL         = 2
	ipMTUDiscover = 10
	ipRecvErr     = 11
	ipMTU         = 14
	ipMinTTL      = 21
	ipProtocol    = 52

	ipv6AddrForm    = 1
	ipv6Hops        = 16
	ipv6MTUDiscover = 23
	ipv6MTU         = 24
	ipv6RecvErr     = 25
	ipv6Only        = 26
	ipv6TClass      = 67
)

// IPOptions are the options of the Internet layer; accepted connections inherit them from the listener.
type IPOptions struct {
	TOS         uint8
	TClass      uint8
	TTL         int16 // 1 to 255, or -1 for the default
	Hops        int16 // 1 to 255, or -1 for the default
	MinTTL      uint8 // RFC 5082: drop what comes with less
	MTUDiscover uint8 // IP_PMTUDISC_*: 0 lets routers fragment
	MTUDisc6    uint8
	RecvErr     bool
	RecvErr6    bool
	V6Only      bool
	Priority    int32
}

// DefaultIPOptions are those of a fresh socket.
func DefaultIPOptions() IPOptions { return IPOptions{TTL: -1, Hops: -1, MTUDiscover: 1, MTUDisc6: 1} }

// SetOption is setsockopt(2).
func (s *Socket) SetOption(now int64, level, name int, val []byte) error {
	err := tcp.ErrNoProtoOpt
	switch {
	case level == solIPv6 && !s.v6:
	case level == solIPv6 && name == ipv6Only && s.conn != nil:
		return tcp.ErrInval // once there is a port it is too late
	case level == solIP || level == solIPv6 || level == solSocket && name == soPriority:
		return s.ip.set(level, name, val)
	case s.conn != nil:
		err = s.conn.SetOption(now, level, name, val)
		s.host.Turn(now)
	case s.lis != nil:
		err = s.lis.SetOption(now, level, name, val)
	}
	return err
}

// Option is getsockopt(2): how many bytes of out it filled.
func (s *Socket) Option(now int64, level, name int, out []byte) (int, error) {
	if level == solSocket {
		if v, ok := s.fixed(name); ok {
			return put(out, v), nil
		}
	}
	if level == solIP && name == ipMTU || level == solIPv6 && name == ipv6MTU && s.v6 {
		if s.conn == nil {
			return 0, tcp.ErrNotConn
		}
		return put(out, s.host.PathMTU()), nil
	}
	if level == solIP && name == ipProtocol { // inet_num, which for TCP is the port
		return put(out, int(s.Local().Port())), nil
	}
	if level == solIPv6 && !s.v6 {
		return 0, tcp.ErrNoProtoOpt // the kernel's refusal is the placeholder's to tell
	}
	if level == solIPv6 && name == ipv6AddrForm {
		if s.State() != tcp.Established {
			return 0, tcp.ErrNotConn
		}
		return put(out, 10), nil // AF_INET6; to set it is the kernel's
	}
	v, ok := s.ip.get(level, name)
	if !ok {
		v, ok = s.multicast(level, name)
	}
	if ok {
		if level == solIP && len(out) > 0 && len(out) < 4 && v >= 0 && v <= 255 { // do_ip_getsockopt gives one byte
			out[0] = byte(v)
			return 1, nil
		}
		return put(out, v), nil
	}
	if s.conn != nil {
		return s.conn.Option(now, level, name, out)
	}
	if s.lis != nil {
		return s.lis.Option(now, level, name, out)
	}
	return 0, tcp.ErrNoProtoOpt
}

func (s *Socket) fixed(name int) (int, bool) {
	switch name {
	case soType:
		return 1, true // SOCK_STREAM
	case soProtocol:
		return 6, true
	case soDomain:
		if s.v6 {
			return 10, true
		}
		return 2, true
	case soAcceptConn:
		if s.lis != nil {
			return 1, true
		}
		return 0, true
	case soPriority:
		return int(s.ip.Priority), true
	}
	return 0, false
}

// put writes an int as the kernel does: cut to the room there is.
func put(out []byte, v int) int {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	return copy(out, b[:])
}

// number reads an option's value: those of IPv4 may be a byte, and are 0 if there is none.
func number(level, name int, val []byte) (int, error) {
	switch {
	case len(val) >= 4:
		return int(int32(binary.NativeEndian.Uint32(val))), nil
	case level == solIP && len(val) >= 1:
		return int(val[0]), nil
	case level == solIP && name != ipTTL && name != ipMinTTL:
		return 0, nil
	}
	return 0, tcp.ErrInval
}

func (o *IPOptions) set(level, name int, val []byte) error {
	v, err := number(level, name, val)
	if err != nil {
		return err
	}
	if level == solSocket {
		o.Priority = int32(v)
		return nil
	}
	if level == solIP {
		return o.set4(name, v)
	}
	return o.set6(name, v)
}

func (o *IPOptions) set4(name, v int) error {
	switch name {
	case ipTOS:
		// "if (sk->sk_type == SOCK_STREAM) { val &= ~INET_ECN_MASK; val |= inet->tos & INET_ECN_MASK; }"
		o.TOS = uint8(v) &^ 3
	case ipTTL:
		if v != -1 && (v < 1 || v > 255) {
			return tcp.ErrInval
		}
		o.TTL = int16(v)
	case ipMinTTL:
		if v < 0 || v > 255 {
			return tcp.ErrInval
		}
		o.MinTTL = uint8(v)
	case ipMTUDiscover:
		if v < 0 || v > 5 {
			return tcp.ErrInval
		}
		o.MTUDiscover = uint8(v)
	case ipRecvErr:
		o.RecvErr = v != 0
	default:
		return tcp.ErrNoProtoOpt
	}
	return nil
}

func (o *IPOptions) set6(name, v int) error {
	switch name {
	case ipv6Only:
		o.V6Only = v != 0
	case ipv6TClass:
		if v < -1 || v > 255 {
			return tcp.ErrInval
		}
		o.TClass = uint8(max(v, 0)) &^ 3
	case ipv6Hops:
		if v < -1 || v > 255 {
			return tcp.ErrInval
		}
		o.Hops = int16(v)
	case ipv6MTUDiscover:
		if v < 0 || v > 5 {
			return tcp.ErrInval
		}
		o.MTUDisc6 = uint8(v)
	case ipv6RecvErr:
		o.RecvErr6 = v != 0
	default:
		return tcp.ErrNoProtoOpt
	}
	return nil
}

func (o *IPOptions) get(level, name int) (int, bool) {
	switch {
	case level == solIP:
		return o.get4(name)
	case level == solIPv6:
		return o.get6(name)
	}
	return 0, false
}

func (o *IPOptions) get4(name int) (int, bool) {
	switch name {
	case ipTOS:
		return int(o.TOS), true
	case ipTTL:
		return orDefault(o.TTL), true
	case ipMinTTL:
		return int(o.MinTTL), true
	case ipMTUDiscover:
		return int(o.MTUDiscover), true
	case ipRecvErr:
		return bit(o.RecvErr), true
	}
	return 0, false
}

func (o *IPOptions) get6(name int) (int, bool) {
	switch name {
	case ipv6Only:
		return bit(o.V6Only), true
	case ipv6TClass:
		return int(o.TClass), true
	case ipv6Hops:
		return orDefault(o.Hops), true
	case ipv6MTUDiscover:
		return int(o.MTUDisc6), true
	case ipv6RecvErr:
		return bit(o.RecvErr6), true
	}
	return 0, false
}

// DefaultTTL is net.ipv4.ip_default_ttl and net.ipv6.conf.*.hop_limit.
const DefaultTTL = 64

func orDefault(v int16) int {
	if v <= 0 {
		return DefaultTTL
	}
	return int(v)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
