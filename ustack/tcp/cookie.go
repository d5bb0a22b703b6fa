package tcp

import "net/netip"

// SYN cookies, RFC 4987 §3.6: when the SYN queue is full, the SYN-ACK's sequence number carries what must be remembered.
//
//	 31        24 23                        0
//	|  minute    |  hash + MSS index        |    each part added to a hash of the addresses and the peer's number
//
// The other options ride in the low six bits of our first timestamp, which the peer echoes (as in Linux):
//
//	| timestamp ... | ECN 1 | SACK 1 | window scale 4 (15: none) |

// cookieMSS are the sizes a cookie can tell, Linux' tables: IPv4's, IPv6's.
var (
	cookieMSS4 = [4]uint16{536, 1300, 1440, 1460}
	cookieMSS6 = [4]uint16{1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60}
)

const (
	cookieLife   = 2         // minutes a cookie is good for (Linux' MAX_SYNCOOKIE_AGE)
	cookieMinute = 60 * 1e9  // ns
	cookieBits   = 24        // of the hash part
	cookieMask   = 1<<24 - 1 //
	tsOptBits    = 6         // of the timestamp
	tsOptMask    = 1<<6 - 1  //
	tsNoScale    = 0xf       // in the scale bits
	tsSACK       = 1 << 4    //
	tsECN        = 1 << 5    //
)

func cookieTable(a netip.Addr) *[4]uint16 {
	if a.Unmap().Is4() {
		return &cookieMSS4
	}
	return &cookieMSS6
}

// MakeCookie is the initial sequence number that stands for a SYN with number irs and that MSS.
func MakeCookie(now int64, k *Secret, local, remote netip.AddrPort, irs Seq, mss uint16) Seq {
	t := cookieTable(local.Addr())
	i := len(t) - 1
	for i > 0 && mss < t[i] {
		i--
	}
	minute := uint32(now / cookieMinute)
	hash := (k.cookie(local, remote, irs, minute) + uint32(i)) & cookieMask
	return Seq(uint32(k.flow(local, remote, 3)) + uint32(irs) + minute<<cookieBits + hash)
}

// CheckCookie is the MSS of the cookie that an ACK brought back: irs is the peer's first number (SEG.SEQ - 1), cookie ours
// (SEG.ACK - 1). It says false for a forged or old one.
func CheckCookie(now int64, k *Secret, local, remote netip.AddrPort, irs, cookie Seq) (mss uint16, ok bool) {
	v := uint32(cookie) - uint32(k.flow(local, remote, 3)) - uint32(irs)
	minute := uint32(now / cookieMinute)
	age := (minute - v>>cookieBits) & (1<<(32-cookieBits) - 1)
	if age >= cookieLife {
		return 0, false
	}
	i := (v - k.cookie(local, remote, irs, minute-age)) & cookieMask
	t := cookieTable(local.Addr())
	if int(i) >= len(t) {
		return 0, false
	}
	return t[i], true
}

// cookie is the hash in a cookie's low bits. The peer's number is part of it: Linux only adds the number, so that an ACK of
// up to three bytes later, when those got lost, passes as one of another MSS, and the bytes are lost for ever.
func (k *Secret) cookie(local, remote netip.AddrPort, irs Seq, minute uint32) uint32 {
	return uint32(k.flow(local, remote, 2+uint64(minute)<<8+uint64(irs)<<32))
}

// CookieTS puts options into a timestamp: the value sent is never later than ts, so that the clock does not jump back
// when the connection is made. scale is the peer's window scale, -1 for none.
func CookieTS(ts uint32, scale int, sack, ecn bool) uint32 {
	o := uint32(tsNoScale)
	if scale >= 0 {
		o = uint32(min(scale, 14))
	}
	if sack {
		o |= tsSACK
	}
	if ecn {
		o |= tsECN
	}
	v := ts&^tsOptMask | o
	if int32(v-ts) > 0 {
		v -= 1 << tsOptBits
	}
	return v
}

// CookieOptions reads what CookieTS put into a timestamp; scale is -1 for none.
func CookieOptions(tsecr uint32) (scale int, sack, ecn bool) {
	scale = int(tsecr & tsNoScale)
	if scale == tsNoScale {
		scale = -1
	}
	return scale, tsecr&tsSACK != 0, tsecr&tsECN != 0
}
