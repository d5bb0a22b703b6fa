package tcp

import "time"

// PathMTU tells of a new MTU of the way, in bytes of IP packet: by ICMP when icmp is true, where quoted is the sequence
// number of the segment that was too big, else by a change of the route.
func (c *Conn) PathMTU(now int64, mtu int, quoted Seq, icmp bool) {
	if c.state == Closed || c.is(flagFrozen) {
		return
	}
	// "A node must not reduce its estimate of the Path MTU below the IPv6 minimum link MTU" RFC 8201 §4; Linux takes no
	// less than 552 for IPv4.
	least := 552
	if c.Flow.iplen() == 40 {
		least = 1280
	}
	mtu = max(mtu, least)
	if !icmp {
		if c.rare != nil {
			c.rare.mtuUntil = 0
		}
		c.setMTU(mtu)
		c.syncMSS(now)
		return
	}
	if quoted.LT(c.snd.una) || quoted.GT(c.snd.nxt) {
		c.h.MIB.OutOfWindowIcmps++
		return
	}
	if mtu >= int(c.mtu) {
		return
	}
	old := int(c.mtu)
	c.setMTU(mtu)
	if !c.snd.onTooBig(now, quoted, c.mss()) {
		c.setMTU(old)
		return
	}
	x := c.rarely()
	if x.mtuUntil == 0 {
		x.linkMTU = old
	}
	x.mtuUntil = now + int64(c.mtuExpires())
}

func (c *Conn) mtuExpires() time.Duration {
	if c.Flow.iplen() == 40 {
		return c.h.Params.MTUExpires6
	}
	return c.h.Params.MTUExpires
}

// growMTU tries the route's MTU again: "An attempt to detect an increase [...] MUST NOT be done less than 5 minutes after a
// Datagram Too Big message has been received [...]. We recommend setting these timers at twice their minimum values (10
// minutes and 2 minutes, respectively)." RFC 1191 §3; so does RFC 8201 §4.
func (c *Conn) growMTU(now int64) {
	if c.rare == nil || c.rare.mtuUntil == 0 || now < c.rare.mtuUntil {
		return
	}
	c.rare.mtuUntil = 0
	c.setMTU(c.rare.linkMTU)
	c.syncMSS(now)
}

// NoNeighbour tells that the next hop does not answer: what the kernel's ARP reports to itself as ICMP host unreachable.
func (c *Conn) NoNeighbour(now int64) {
	c.RevertBackoff(now, c.snd.una)
	c.SoftError(now, ErrHostUnreach, c.snd.una, false)
}

// SoftError tells of an ICMP error that quoted the segment numbered quoted. "Since these Unreachable messages indicate
// soft error conditions, a TCP implementation MUST NOT abort the connection, and it SHOULD make the information available
// to the application" RFC 9293 §3.9.2.2 (MUST-56, SHLD-25); while connecting the attempt ends, as in the kernel, and
// afterwards even a hard error is only what a timeout will be reported as (RFC 5927 §5.2).
func (c *Conn) SoftError(now int64, err error, quoted Seq, hard bool) {
	una := c.snd.una
	if c.halfFast() {
		una = c.snd.iss // the SYN-ACK may be quoted
	}
	if c.state == Closed || c.is(flagFrozen) {
		return
	}
	if quoted.LT(una) || quoted.GT(c.snd.nxt) {
		c.h.MIB.OutOfWindowIcmps++
		return // "check that the TCP sequence number [...] is within the range SND.UNA =< SEG.SEQ < SND.NXT" RFC 5927 §4.1
	}
	if c.connecting() || c.halfFast() && !c.rare.accepted {
		c.fail(now, err)
		return
	}
	c.rarely().soft = err
}
