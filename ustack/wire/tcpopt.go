package wire

// Option kinds, from IANA's TCP parameters.
const (
	optEnd       = 0
	optNOP       = 1
	optMSS       = 2  // RFC 9293 §3.2
	optWScale    = 3  // RFC 7323 §2.2
	optSACKPerm  = 4  // RFC 2018 §2
	optSACK      = 5  // RFC 2018 §3
	optTimestamp = 8  // RFC 7323 §3.2
	optMD5       = 19 // RFC 2385 §3.0
	optFastOpen  = 34 // RFC 7413 §4.1.1

	optExperiment = 254    // RFC 6994 §3
	expFastOpen   = 0xf989 // "TCP Fast Open" in IANA's list of experiment identifiers
)

// MaxSACK is how many SACK blocks the option space can hold: "8*n+2 bytes, so the 40 bytes available for
// TCP options can specify a maximum of 4 blocks" RFC 2018 §3 (3 beside a timestamp).
const MaxSACK = 4

// OptSet says which options are there.
type OptSet uint8

// The options this package knows.
const (
	HasMSS OptSet = 1 << iota
	HasWScale
	HasSACKPerm
	HasTimestamp
	HasFastOpen // CookieLen 0 asks for a cookie
	FastOpenExp // Fast Open in the form it had before RFC 7413: kind 254
	HasMD5      // the segment is signed; never sent
)

// SACKBlock is one received range: Left is its first sequence number, Right the one after its last.
type SACKBlock struct{ Left, Right uint32 }

// TCPOptions are the options of one segment, as a value.
type TCPOptions struct {
	Set          OptSet
	WScale       uint8
	MSS          uint16
	TSVal, TSEcr uint32
	NSACK        uint8 // how many of SACK are there
	CookieLen    uint8
	SACK         [MaxSACK]SACKBlock
	Cookie       [16]byte
}

// Has tells whether an option is there.
func (o *TCPOptions) Has(s OptSet) bool { return o.Set&s != 0 }

// Reset forgets all options; blocks and cookie keep stale bytes that NSACK and CookieLen hide.
func (o *TCPOptions) Reset() { o.Set, o.NSACK, o.CookieLen = 0, 0, 0 }

// Parse reads the options of a header. A malformed option ends the reading and what came before stays, as in Linux:
// "TCP implementations MUST be prepared to handle an illegal option length" RFC 9293 §3.1, MUST-7.
func (o *TCPOptions) Parse(b []byte) {
	o.Reset()
	if len(b) == 12 && be.Uint32(b) == 0x0101080a { // NOP NOP timestamp: nearly every segment (RFC 7323 app. A)
		o.Set, o.TSVal, o.TSEcr = HasTimestamp, be.Uint32(b[4:]), be.Uint32(b[8:])
		return
	}
	for len(b) > 0 {
		switch {
		case b[0] == optEnd:
			return
		case b[0] == optNOP:
			b = b[1:]
			continue
		case len(b) < 2, b[1] < 2, int(b[1]) > len(b):
			return
		}
		o.one(b[0], b[2:b[1]])
		b = b[b[1]:]
	}
}

// one takes a single option; one of a wrong size is as if it were not there.
func (o *TCPOptions) one(kind byte, v []byte) {
	switch {
	case kind == optMSS && len(v) == 2:
		o.Set, o.MSS = o.Set|HasMSS, be.Uint16(v)
	case kind == optWScale && len(v) == 1:
		o.Set, o.WScale = o.Set|HasWScale, v[0]
	case kind == optSACKPerm && len(v) == 0:
		o.Set |= HasSACKPerm
	case kind == optTimestamp && len(v) == 8:
		o.Set, o.TSVal, o.TSEcr = o.Set|HasTimestamp, be.Uint32(v), be.Uint32(v[4:])
	case kind == optSACK && len(v) >= 8 && len(v)%8 == 0:
		o.NSACK = uint8(min(len(v)/8, MaxSACK))
		for i := range int(o.NSACK) {
			o.SACK[i] = SACKBlock{be.Uint32(v[8*i:]), be.Uint32(v[8*i+4:])}
		}
	case kind == optMD5 && len(v) == 16:
		o.Set |= HasMD5
	case kind == optFastOpen:
		o.fastOpen(v, 0)
	case kind == optExperiment && len(v) >= 2 && be.Uint16(v) == expFastOpen:
		o.fastOpen(v[2:], FastOpenExp)
	}
}

// fastOpen takes a cookie, or the wish for one: "limited by remaining space in the options field. The number MUST be even.
// Cookie 0, or 4 to 16 bytes (Length - 2)" RFC 7413 §4.1.1.
func (o *TCPOptions) fastOpen(v []byte, form OptSet) {
	if len(v)%2 == 0 && (len(v) == 0 || len(v) >= 4) && len(v) <= len(o.Cookie) {
		o.Set = o.Set&^FastOpenExp | HasFastOpen | form
		o.CookieLen = uint8(copy(o.Cookie[:], v))
	}
}

// Len is the number of bytes that Put writes, a multiple of 4.
func (o *TCPOptions) Len() int {
	n := 0
	if o.Has(HasMSS) {
		n += 4
	}
	if o.Has(HasTimestamp) {
		n += 12
	} else if o.Has(HasSACKPerm) {
		n += 4
	}
	if o.Has(HasWScale) {
		n += 4
	}
	if o.Has(HasFastOpen) {
		n += (o.fastOpenHead() + int(o.CookieLen) + 3) &^ 3
	}
	if o.NSACK > 0 {
		n += 4 + 8*int(o.NSACK)
	}
	return n
}

// Put writes the options into b in the order and padding of Linux, so that every field is aligned, and returns their
// length. What does not fit into 40 bytes is the caller's mistake: Len tells before.
func (o *TCPOptions) Put(b []byte) int {
	n := 0
	if o.Has(HasMSS) {
		be.PutUint32(b, optMSS<<24|4<<16|uint32(o.MSS))
		n = 4
	}
	if o.Has(HasTimestamp) {
		pad := uint32(optNOP<<24 | optNOP<<16)
		if o.Has(HasSACKPerm) { // takes the place of the two NOPs
			pad = optSACKPerm<<24 | 2<<16
		}
		be.PutUint32(b[n:], pad|optTimestamp<<8|10)
		be.PutUint32(b[n+4:], o.TSVal)
		be.PutUint32(b[n+8:], o.TSEcr)
		n += 12
	} else if o.Has(HasSACKPerm) {
		be.PutUint32(b[n:], optNOP<<24|optNOP<<16|optSACKPerm<<8|2)
		n += 4
	}
	if o.Has(HasWScale) {
		be.PutUint32(b[n:], optNOP<<24|optWScale<<16|3<<8|uint32(o.WScale))
		n += 4
	}
	n += o.putFastOpen(b[n:])
	return n + o.putSACK(b[n:])
}

func (o *TCPOptions) putFastOpen(b []byte) int {
	if !o.Has(HasFastOpen) {
		return 0
	}
	head := o.fastOpenHead()
	n := head + int(o.CookieLen)
	b[0], b[1] = optFastOpen, byte(n)
	if head == 4 {
		b[0] = optExperiment
		be.PutUint16(b[2:], expFastOpen)
	}
	copy(b[head:n], o.Cookie[:o.CookieLen])
	for ; n%4 != 0; n++ {
		b[n] = optNOP
	}
	return n
}

// fastOpenHead is the length of the option in front of the cookie.
func (o *TCPOptions) fastOpenHead() int {
	if o.Has(FastOpenExp) {
		return 4
	}
	return 2
}

func (o *TCPOptions) putSACK(b []byte) int {
	if o.NSACK == 0 {
		return 0
	}
	be.PutUint32(b, optNOP<<24|optNOP<<16|optSACK<<8|uint32(2+8*o.NSACK))
	for i := range int(o.NSACK) {
		be.PutUint32(b[4+8*i:], o.SACK[i].Left)
		be.PutUint32(b[8+8*i:], o.SACK[i].Right)
	}
	return 4 + 8*int(o.NSACK)
}
