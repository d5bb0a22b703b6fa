package tcp

// Options are the socket options that a listener's connections inherit. Times are nanoseconds, 0 means the host's
// setting.
type Options struct {
	RcvBuf, SndBuf int // the doubled values, as getsockopt tells them; 0: automatic
	RcvLowat       int
	NotsentLowat   int
	MaxSeg         int
	WindowClamp    int
	DeferAccept    int // in SYN-ACK retransmissions
	SynCount       int
	KeepCnt        int

	KeepIdle, KeepIntvl int64
	UserTimeout         int64
	Linger2             int64 // -1: no FIN-WAIT-2 for orphans
	LingerTime          int64

	MaxPacing  uint64 // bytes a second, 0 none
	Congestion string // "" the host's

	Stamping uint32 // SO_TIMESTAMPING

	SaveSYN int  // TCP_SAVE_SYN: 1 the headers from IP on, 2 the link layer's too
	Inq     bool // TCP_INQ

	FastOpen int           // TCP_FASTOPEN: a listener's bound of pending ones
	FastKeys *FastOpenKeys // TCP_FASTOPEN_KEY, nil: the host's

	FastConnect, FastNoCookie bool // TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE

	NoDelay, Cork, KeepAlive, OOBInline, Linger, ZeroCopy bool
}

// defaultOptions are those of a fresh socket. They are shared and never written.
var defaultOptions = Options{RcvLowat: 1}

// DefaultOptions are those of a fresh socket.
func DefaultOptions() Options { return defaultOptions }

// ownOptions makes the options this connection's own before they are written: an idle connection shares them with its
// listener.
func (c *Conn) ownOptions() *Options {
	if !c.is(flagOwnOpt) {
		o := *c.opt
		c.opt = &o
		c.set(flagOwnOpt)
	}
	return c.opt
}

// applyOptions gives the sender what concerns it.
func (c *Conn) applyOptions(now int64) {
	o := c.opt
	if o.SndBuf > 0 {
		c.snd.buf.size, c.snd.buf.locked = o.SndBuf, true
	}
	c.snd.buf.lowat = clamp32(o.NotsentLowat)
	c.snd.userTime = o.UserTimeout
	c.snd.synTries = uint8(o.SynCount)
	if o.NoDelay {
		c.snd.setNoDelay(true)
	}
	if o.Cork {
		c.snd.setCork(true)
	}
	if o.MaxPacing != 0 {
		c.snd.setMaxPacing(o.MaxPacing)
	}
	if o.Congestion != "" {
		c.snd.setCongestion(now, o.Congestion)
	}
}
