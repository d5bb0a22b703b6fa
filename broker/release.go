package broker

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/broker/proto"
)

// A port on lease is bound, and without a connection it is so for nobody's use: the kernel would give it to whoever binds. So who is refused one asks,
// and all programs of the namespace give back what they do not use.

// maxReleases is how often in a second programs have to lease anew what they had.
const maxReleases = 200

// opRelease waits for all who have such ports.
func opRelease(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Release
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("release: %v", err)
	}
	b.mu.Lock()
	all := b.lessees(c, r.Port)
	done := make(chan struct{}, len(all))
	for _, o := range all {
		o.ask(proto.OpRelease, r, nil, b.cfg.ReleaseTime, func(*proto.Packet, error) { done <- struct{}{} })
	}
	b.mu.Unlock()
	for range all {
		<-done
	}
	return nil, nil, nil
}

// lessees are the programs in the client's namespace that have the port on lease, or any (0).
func (b *Broker) lessees(c *client, port uint16) (all []*client) {
	s := b.knownSpace(c)
	if s == nil || !s.released.allows(time.Now(), maxReleases) {
		return nil
	}
	for o := range b.clients {
		if !o.gone && o.space == s && o.releases && o.leases(port) {
			all = append(all, o)
		}
	}
	return all
}

func (c *client) leases(port uint16) bool {
	if port == 0 {
		return len(c.leased) > 0
	}
	for a := range c.leased {
		if a.Port() == port {
			return true
		}
	}
	return false
}

// knownSpace is the client's network namespace if somebody has something in it.
func (b *Broker) knownSpace(c *client) *space {
	if c.space != nil || c.gone {
		return c.space
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid))
	if err != nil {
		return nil
	}
	defer f.Close()
	inode, err := netns.Inode(int(f.Fd()))
	if err != nil {
		return nil
	}
	return b.spaces[inode]
}

// keepRest makes a keeper of those sockets of another that have none of the ports.
func keepRest(keeper int, gone proto.Unports) (int, error) {
	socks, err := proto.Kept(keeper)
	if err != nil {
		return -1, err
	}
	defer closeAll(socks)
	var rest []int
	for _, fd := range socks {
		a, _, err := boundTo(fd)
		if err != nil {
			return -1, err
		}
		if a = unmap(a); a.Addr() != unmap(netip.AddrPortFrom(gone.Local, 0)).Addr() || !slices.Contains(gone.Ports, a.Port()) {
			rest = append(rest, fd)
		}
	}
	if len(rest) == 0 {
		return -1, unix.EINVAL
	}
	return proto.Keep(rest)
}
