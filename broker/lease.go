package broker

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
)

const (
	frameSize   = efvi.FrameSize
	lingerPause = time.Second
)

// giveMemory makes the client's lease: a number, its umem, its state.
func (c *client) giveMemory() error {
	if c.umem != nil {
		return nil
	}
	if err := c.b.overMemory(c); err != nil {
		return err
	}
	umem, mapped, err := c.b.newMemory(c.frames)
	if err != nil {
		return err
	}
	c.mapped = mapped
	fd, err := proto.NewState()
	if err != nil {
		umem.Close()
		c.unmap()
		return err
	}
	state := os.NewFile(uintptr(fd), "sluice-state")
	m, err := proto.MapState(fd)
	if err != nil {
		umem.Close()
		c.unmap()
		state.Close()
		return err
	}
	c.umem, c.state, c.stateMap = umem, state, m
	c.lease = c.b.leases.Add(1)
	c.bequeath()
	return nil
}

// dupAll copies descriptors, so that they can be sent after the lock is gone.
func dupAll(fds []int) ([]int, error) {
	out := make([]int, 0, len(fds))
	for _, fd := range fds {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(out)
			return nil, fmt.Errorf("copy a descriptor: %w", err)
		}
		out = append(out, n)
	}
	return out, nil
}

// addrPort is a key as an address, the invalid one as ::.
func addrPort(k key) netip.AddrPort {
	if !k.ip.IsValid() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), k.port)
	}
	return netip.AddrPortFrom(k.ip, k.port)
}
