package moves

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// controls are the congestion controls of the peers, by style; where the kernel has none of the name it is the host's. BBR takes a path that loses a
// fifth of what is sent, twice at much the same rate, for a policed one, and keeps to that rate for 48 round trips (its "long-term" estimate, lt_bw in
// net/ipv4/tcp_bbr.c). With moves all the time it is down to some kB/s for a minute now and then.
var controls = map[string]string{"threads": "cubic", "poll": "reno", "epoll": "bbr", "epollet": "cubic", "epollone": "bbr"}

// paces is how a peer's sending went.
type paces struct {
	still atomic.Int64 // the longest time that octets were out and none was acknowledged, ns
	slow  atomic.Int64 // the least that BBR believed the path to carry, octets a second; 0: not asked
	waits atomic.Int64 // patiences that a single write took
}

// option runs f on the peer's descriptor.
func (c *peer) option(f func(fd int)) {
	if raw, err := c.Conn.(*net.TCPConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

func (c *peer) control() {
	c.option(func(fd int) { _ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, controls[c.style]) })
}

func (c *peer) info() (i unix.TCPInfo) {
	c.option(func(fd int) {
		if n, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			i = *n
		}
	})
	return i
}

// write goes on as long as octets are acknowledged: a sender that its congestion control holds back has lost nothing.
func (c *peer) write(b []byte) (n int, err error) {
	for acked := c.info().Bytes_acked; ; c.pace.waits.Add(1) {
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		k, err := c.Write(b[n:])
		n += k
		before := acked
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if acked = c.info().Bytes_acked; acked == before {
			return n, err
		}
	}
}

// watch looks at the peers until done.
func watch(peers []*peer, done chan struct{}) {
	last := make([]unix.TCPInfo, len(peers))
	since := make([]time.Time, len(peers))
	for {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		for i, c := range peers {
			now := c.info()
			if now.Bytes_acked != last[i].Bytes_acked || now.Unacked == 0 {
				last[i], since[i] = now, time.Now()
			}
			c.pace.still.Store(max(c.pace.still.Load(), int64(time.Since(since[i]))))
			if controls[c.style] == "bbr" {
				c.slowest()
			}
		}
	}
}

// slowest notes BBR's estimate if it is the least.
func (c *peer) slowest() {
	c.option(func(fd int) {
		i, err := unix.GetsockoptTCPCCBBRInfo(fd, unix.IPPROTO_TCP, unix.TCP_CC_INFO)
		if err != nil {
			return
		}
		bw := int64(i.Bw_hi)<<32 | int64(i.Bw_lo)
		if was := c.pace.slow.Load(); bw > 0 && (was == 0 || bw < was) {
			c.pace.slow.Store(bw)
		}
	})
}

// pace tells how all of them went.
func pace(peers []*peer) string {
	var b strings.Builder
	for _, c := range peers {
		fmt.Fprintf(&b, "%s (%s): nothing acknowledged for up to %v", c.style, controls[c.style], time.Duration(c.pace.still.Load()).Round(time.Millisecond))
		if v := c.pace.slow.Load(); v > 0 {
			fmt.Fprintf(&b, ", believed in as little as %d octets a second", v)
		}
		if v := c.pace.waits.Load(); v > 0 {
			fmt.Fprintf(&b, ", a write waited longer than %v %d times", patience, v)
		}
		b.WriteString("; ")
	}
	return b.String()
}
