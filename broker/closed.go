package broker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// A listener's entry ends with the kernel socket that was shown for it, also if the program closed it without a word: by a call that the
// preload object does not see, or because it hopes for the port's next owner's connections.

// lookPause is how often the listeners are compared with the kernel's.
const lookPause = time.Second

// watchListeners compares, as long as the namespace is used.
func (s *space) watchListeners() {
	s.b.after(lookPause, func() {
		if !s.closed && !s.b.drains {
			s.dropClosed()
		}
	})
}

// dropClosed treats listeners that are no more as left. The kernel is asked without the lock: with many sockets that takes a while. So only
// those count that were there before it was asked.
func (s *space) dropClosed() {
	shown := s.shown()
	if len(shown) == 0 {
		s.watchListeners()
		return
	}
	b := s.b
	s.refs++
	b.goDo(func() {
		there, err := b.back.Listeners(s.fd())
		b.mu.Lock()
		defer b.mu.Unlock()
		if err != nil {
			b.log.Debugf("broker: listeners: %v", err)
			shown = nil
		}
		for l, c := range shown {
			if !b.closed && c.listeners[l.cookie] == l && !l.left && !there[l.cookie] {
				b.log.Infof("broker: %v: its listener on %v is closed", c, l.key)
				c.unlisten(l)
			}
		}
		s.watchListeners()
		s.put()
	})
}

// shown are the listeners of the namespace that programs have.
func (s *space) shown() map[*listener]*client {
	r := map[*listener]*client{}
	for c := range s.b.clients {
		if c.space == s {
			for _, l := range c.listeners {
				if !l.left {
					r[l] = c
				}
			}
		}
	}
	return r
}

// unlisten ends a listener; its connections may go on.
func (c *client) unlisten(l *listener) {
	l.left, l.leftAt = true, time.Now()
	c.settleMembership()
}

// restPause is how long who has closed its last listener keeps its queues: a server that closes and listens again after each client (iperf3) would give
// them up and get them back each time, and the kernel takes 10 to 20 ms to close the socket of one. Until then its next client is at the door.
const restPause = 100 * time.Millisecond

// rest is unlisten for a process that may listen again at once. New connections are the kernel's, which refuses them; only the queues stay.
func (c *client) rest(l *listener) {
	l.left, l.leftAt = true, time.Now()
	if c.resting != nil {
		c.resting.Stop()
	}
	c.resting = c.b.after(restPause, func() {
		if c.resting = nil; !c.gone {
			c.settleMembership()
		}
	})
	c.space.reconcile()
}

// mayRest tells whether nobody waits for what the process would keep.
func (c *client) mayRest() bool {
	return c.space != nil && !slices.ContainsFunc(c.space.all(), func(d *device) bool { return d.isMember(c) && len(d.members) > 1 })
}

// struct inet_diag_msg: its size in bytes, and where the socket's cookie is, two words.
const (
	sizeDiagMessage = 72
	diagCookie      = 44
)

func (kernel) Listeners(ns int) (map[uint64]bool, error) {
	out := map[uint64]bool{}
	err := netns.Do(ns, func() error {
		for _, every := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
			req.AddData(diagRequest{local: netip.AddrPortFrom(every, 0)}) // a dump looks at family, state and port; 0 is every port
			msgs, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
			if err != nil {
				return fmt.Errorf("list listeners: %w", err)
			}
			for _, m := range msgs {
				if len(m) >= sizeDiagMessage {
					low, high := binary.NativeEndian.Uint32(m[diagCookie:]), binary.NativeEndian.Uint32(m[diagCookie+4:])
					out[uint64(high)<<32|uint64(low)] = true
				}
			}
		}
		return nil
	})
	return out, err
}
