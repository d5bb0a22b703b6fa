package interop

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

const vlan = 100

// TestOverAVLAN: frames with a tag through the XDP program, the queues and the stack: a server that reaches its peer by a VLAN of the route, as
// the engine does where the kernel has a VLAN device, and a peer whose link is of that VLAN. Beside it the same addresses and ports without a
// tag, to the same stack, stay apart.
func TestOverAVLAN(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	server, client := newEnd(t, bed, bed.Server, bed.Client, 1, 0, 0), newEnd(t, bed, bed.Client, bed.Server, 1, vlan, 0)
	server.vlan = vlan
	for _, v6 := range []bool{false, true} {
		at, from := netip.AddrPortFrom(bed.Server.IPv4, port), netip.AddrPortFrom(bed.Client.IPv4, 40000)
		if v6 {
			at, from = netip.AddrPortFrom(bed.Server.IPv6, port), netip.AddrPortFrom(bed.Client.IPv6, 40000)
		}
		tagged := steer.Link{VLAN: vlan, Ifindex: bed.Server.Ifindex}
		require.NoError(t, client.prog.SetConnect(steer.Link{VLAN: vlan}, steer.Tuple{Local: from, Remote: at}))
		require.NoError(t, server.prog.SetListener(tagged, at.Addr(), port, 0))
		l, err := server.stack.Listen(server.now(), at, 16)
		require.NoError(t, err)
		c, err := client.stack.Connect(client.now(), from, at)
		require.NoError(t, err)
		var s *usock.Socket
		both(t, client, server, "a connection", func() bool {
			if s == nil {
				s, _ = l.Accept(server.now())
			}
			return s != nil && c.State() == tcp.Established
		})
		echo(t, client, server, c, s, 300_000)

		before := server.stack.Counters().Eth.OtherVLAN
		require.NoError(t, server.prog.SetListener(steer.Untagged, at.Addr(), port, 0))
		untagged := bedtest.Packet{DstMAC: bed.Server.MAC, SrcMAC: bed.Client.MAC, Flags: bedtest.RST, Src: from, Dst: at}
		require.NoError(t, bed.Client.Do(func() error { return sendRaw(bed.Client.Ifindex, untagged.Bytes()) }))
		both(t, client, server, "the frame without a tag to be dropped", func() bool {
			return server.stack.Counters().Eth.OtherVLAN > before
		})
		require.NoError(t, server.prog.DelListener(steer.Untagged, at.Addr(), port))
		echo(t, client, server, c, s, 1000)
		c.Close(client.now())
		s.Close(server.now())
		both(t, client, server, "the end", func() bool { return client.stack.Conns() == 0 && server.stack.Conns() == 0 })
		l.Close(server.now())
	}
}

// both polls two stacks until cond holds.
func both(t *testing.T, a, b *rig, what string, cond func() bool) {
	t.Helper()
	fds := append(append([]unix.PollFd{}, a.fds...), b.fds...)
	for end := time.Now().Add(15 * time.Second); !cond(); {
		require.True(t, time.Now().Before(end), "waited in vain for: %s", what)
		if n := a.stack.Poll(a.now(), 256) + b.stack.Poll(b.now(), 256); n == 0 {
			ts := unix.NsecToTimespec(int64(time.Millisecond))
			_, _ = unix.Ppoll(fds, &ts, nil)
		}
	}
}

// echo sends n bytes there and back.
func echo(t *testing.T, client, server *rig, c, s *usock.Socket, n int) {
	t.Helper()
	sent, back, buf := 0, 0, make([]byte, 16<<10)
	var held []byte
	both(t, client, server, "the echo", func() bool {
		if sent < n {
			for i := range buf {
				buf[i] = byte((sent + i) * 31)
			}
			if k, err := c.Send(client.now(), [][]byte{buf[:min(len(buf), n-sent)]}, 0); err == nil {
				sent += k
			}
		}
		if len(held) == 0 {
			if k, _, err := s.Recv(server.now(), [][]byte{buf}, 0); err == nil {
				held = append(held, buf[:k]...)
			}
		}
		if k, err := s.Send(server.now(), [][]byte{held}, 0); err == nil && len(held) > 0 {
			held = held[k:]
		}
		if k, _, err := c.Recv(client.now(), [][]byte{buf}, 0); err == nil {
			for i, b := range buf[:k] {
				require.Equal(t, byte((back+i)*31), b)
			}
			back += k
		}
		return back == n
	})
}

func sendRaw(ifindex int, frame []byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifindex})
}
