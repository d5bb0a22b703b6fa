package tcp

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Secret is the key of the keyed hashes: initial sequence numbers, timestamp offsets and SYN cookies.
type Secret [16]byte

// ISN is the initial sequence number of a connection: "ISN = M + F(localip, localport, remoteip, remoteport, secretkey)",
// where "M is the 4 microsecond timer, and F() is a pseudorandom function" RFC 6528 §3. Linux' timer ticks each 64 ns.
func ISN(now int64, k *Secret, local, remote netip.AddrPort) Seq {
	return Seq(uint32(now>>6) + uint32(k.flow(local, remote, 0)))
}

// TSOffset is where a connection's timestamp clock starts, so that timestamps do not tell the uptime: RFC 7323 §7.1.
func TSOffset(k *Secret, local, remote netip.Addr) uint32 {
	return uint32(k.flow(netip.AddrPortFrom(local, 0), netip.AddrPortFrom(remote, 0), 1))
}

// flow hashes the two ends of a connection and one more number.
func (k *Secret) flow(a, b netip.AddrPort, extra uint64) uint64 {
	var h sip
	h.init(k)
	x, y := a.Addr().As16(), b.Addr().As16()
	le := binary.LittleEndian
	h.word(le.Uint64(x[:8]))
	h.word(le.Uint64(x[8:]))
	h.word(le.Uint64(y[:8]))
	h.word(le.Uint64(y[8:]))
	h.word(uint64(a.Port())<<16 | uint64(b.Port()))
	h.word(extra)
	return h.end(48)
}

// sip is SipHash-2-4 over whole 64-bit words (Aumasson, Bernstein: "SipHash: a fast short-input PRF").
type sip struct{ a, b, c, d uint64 }

func (h *sip) init(k *Secret) {
	k0, k1 := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
	*h = sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

func (h *sip) word(m uint64) {
	h.d ^= m
	h.mix()
	h.mix()
	h.a ^= m
}

// end finishes a message of n bytes, n a multiple of 8.
func (h *sip) end(n uint64) uint64 {
	h.word(n << 56)
	h.c ^= 0xff
	for range 4 {
		h.mix()
	}
	return h.a ^ h.b ^ h.c ^ h.d
}

func (h *sip) mix() {
	h.a += h.b
	h.b = bits.RotateLeft64(h.b, 13) ^ h.a
	h.a = bits.RotateLeft64(h.a, 32)
	h.c += h.d
	h.d = bits.RotateLeft64(h.d, 16) ^ h.c
	h.a += h.d
	h.d = bits.RotateLeft64(h.d, 21) ^ h.a
	h.c += h.b
	h.b = bits.RotateLeft64(h.b, 17) ^ h.c
	h.c = bits.RotateLeft64(h.c, 32)
}
