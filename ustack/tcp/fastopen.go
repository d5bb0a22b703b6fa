package tcp

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/ustack/wire"
)

// TCP Fast Open, RFC 7413: a client that was given a cookie earlier may send data with its SYN, and the server's program
// may read it before the handshake is over. Cookies are the kernel's, bit for bit, so that a client's cookie is good at
// the kernel's listener and at ours.
//
//	client                                         server
//	SYN <cookie request>                 ──►       SYN-ACK <cookie>          fastopen_dial.go, fastopen_accept.go
//	SYN <cookie> data                    ──►       accept, read data
//	                                     ◄──       SYN-ACK of SYN and data, data of the server's own

// Bits of Params.FastOpen, those of tcp_fastopen.
const (
	fastClient       = 0x1
	fastServer       = 0x2
	fastClientBold   = 0x4   // data on a SYN without a cookie
	fastServerBold   = 0x200 // and taken from one
	fastEachListener = 0x400 // without TCP_FASTOPEN
)

// FastOpenKeys are the keys that cookies are made with. The second one's are believed, too, so that keys can be changed:
// "A server may [...] accept more than one valid cookie per client at any given time." RFC 7413 §4.1.2
type FastOpenKeys struct {
	Key [2]Secret
	N   int // how many are set
}

// fastCookie is a Fast Open option: n is the cookie's length, 0 for a request, -1 for no option.
type fastCookie struct {
	n   int8
	exp bool // in the form of before RFC 7413
	val [16]byte
}

var noCookie = fastCookie{n: -1}

// cookieOf is the option of a SYN or SYN-ACK.
func cookieOf(o *wire.TCPOptions) fastCookie {
	if !o.Has(wire.HasFastOpen) {
		return noCookie
	}
	return fastCookie{int8(o.CookieLen), o.Has(wire.FastOpenExp), o.Cookie}
}

// put writes the option.
func (k *fastCookie) put(o *wire.TCPOptions) {
	if k.n < 0 {
		return
	}
	o.Set |= wire.HasFastOpen
	if k.exp {
		o.Set |= wire.FastOpenExp
	}
	o.CookieLen, o.Cookie = uint8(k.n), k.val
}

// fastCookieLen is the length of the cookies that we give.
const fastCookieLen = 8

// fastCookie is the cookie of a client: "The cookie SHOULD be a MAC [...]. The cookie authenticates the client's (source)
// IP address of the SYN packet." RFC 7413 §4.1.2. As in Linux it is SipHash of both addresses, the client's first.
func (k *Secret) fastCookie(f *Flow) (c fastCookie) {
	var h sip
	h.init(k)
	remote, local := f.Remote.Addr().Unmap(), f.Local.Addr().Unmap()
	le := binary.LittleEndian
	n := uint64(8)
	if remote.Is4() {
		r, l := remote.As4(), local.As4()
		h.word(uint64(le.Uint32(r[:])) | uint64(le.Uint32(l[:]))<<32)
	} else {
		n = 32
		r, l := remote.As16(), local.As16()
		for _, a := range [...][]byte{r[:8], r[8:], l[:8], l[8:]} {
			h.word(le.Uint64(a))
		}
	}
	c.n = fastCookieLen
	le.PutUint64(c.val[:], h.end(n))
	return c
}

// matches says which key, counted from 1, a client's cookie was made with, 0 for none.
func (k *FastOpenKeys) matches(f *Flow, c *fastCookie) int {
	for i := range k.N {
		if want := k.Key[i].fastCookie(f); c.n == want.n && c.val == want.val {
			return i + 1
		}
	}
	return 0
}

// fastKeys are the host's: tcp_fastopen_key, or chosen when they are needed first.
func (h *Host) fastKeys() *FastOpenKeys {
	if h.fastOpen.keys == nil {
		k := h.Params.FastOpenKeys
		if k.N == 0 {
			k.N = 1
			binary.NativeEndian.PutUint64(k.Key[0][:8], h.Rand())
			binary.NativeEndian.PutUint64(k.Key[0][8:], h.Rand())
		}
		h.fastOpen.keys = &k
	}
	return h.fastOpen.keys
}

// setFastKeys is TCP_FASTOPEN_KEY: one key of 16 bytes or two.
func (o *Options) setFastKeys(val []byte) error {
	if len(val) != 16 && len(val) != 32 {
		return ErrInval
	}
	k := &FastOpenKeys{N: len(val) / 16}
	copy(k.Key[0][:], val)
	copy(k.Key[1][:], val[16:])
	o.FastKeys = k
	return nil
}

// text is what getsockopt tells of TCP_FASTOPEN_KEY.
func (k *FastOpenKeys) text(out []byte) int {
	n := copy(out, k.Key[0][:])
	if k.N > 1 {
		n += copy(out[n:], k.Key[1][:])
	}
	return n
}

// rare is what few connections have, or for a short time only.
type rare struct {
	soft error // what a timeout will be reported as (RFC 5461)

	mtuUntil int64 // until when an ICMP "too big" is believed, 0: none came
	linkMTU  int   // what the route said before

	// Of a connection that a SYN alone opened, until the handshake is over.
	listener *Listener // nil: it is over
	synackAt int64     // when the SYN-ACK left first
	accepted bool      // the program has the connection

	// Of an active open.
	asked    bool  // a Fast Open option left with the SYN
	deferred bool  // TCP_FASTOPEN_CONNECT: the SYN waits for data
	pending  bool  // a write waits for the handshake: the first of its bytes carry the ACK
	failed   uint8 // tcpi_fastopen_client_fail
	cookie   fastCookie

	// What was queued when the connection ended, and what of it was never sent, in bytes.
	gone, goneUnsent int

	syn  []byte    // TCP_SAVED_SYN
	errq *errQueue // nil: nothing was ever asked for that comes there
}

// Values of tcpi_fastopen_client_fail.
const (
	fastNoCookie = 1 + iota
	fastNotAcked
	fastRepeated
)

func (c *Conn) rarely() *rare {
	if c.rare == nil {
		c.rare = new(rare)
	}
	return c.rare
}

// halfFast says whether the SYN alone opened the connection, and the handshake is not over.
func (c *Conn) halfFast() bool { return c.rare != nil && c.rare.listener != nil }

// connecting says whether the program has to wait for the handshake.
func (c *Conn) connecting() bool {
	return c.state == SynSent || c.state == SynReceived && !c.halfFast()
}

// Parse reads keys as tcp_fastopen_key tells them: one or two of "%08x-%08x-%08x-%08x", with a comma between. All zero is
// what a kernel tells that has none yet: an error.
func (k *FastOpenKeys) Parse(text string) error {
	*k = FastOpenKeys{}
	for i, one := range strings.SplitN(text, ",", 2) {
		words := strings.Split(strings.TrimSpace(one), "-")
		if len(words) != 4 {
			return ErrInval
		}
		for j, w := range words {
			v, err := strconv.ParseUint(w, 16, 32)
			if err != nil {
				return ErrInval
			}
			binary.LittleEndian.PutUint32(k.Key[i][4*j:], uint32(v))
		}
		if k.Key[i] == (Secret{}) {
			return ErrInval
		}
		k.N = i + 1
	}
	return nil
}
