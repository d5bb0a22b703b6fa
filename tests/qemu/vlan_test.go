package qemu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The guest's VLAN device, and who is on that VLAN outside of it.
var (
	vlanGuest = netip.MustParseAddr("10.79.0.1")
	vlanHost  = netip.MustParseAddr("10.79.0.2")
)

const (
	vlanID  = 100
	vlanTap = "vlan0"

	vnetHeader = 10 // octets
)

// tagger joins a tap device of the namespace to the guest's wire, as a switch would: what the kernel sends by it gets a tag, and what the guest
// sends with that tag loses it. This machine's kernel has no VLAN devices.
type tagger struct {
	in, out atomic.Uint64 // frames with the tag, to the guest and from it
}

// joinVLAN starts a tagger, which ends with the test.
func (g *guest) joinVLAN() *tagger {
	g.t.Helper()
	w := &tagger{}
	var tap, wire int
	require.NoError(g.t, g.wire.Do(func() (err error) {
		if tap, err = openTap(); err != nil {
			return err
		}
		wire, err = openWire()
		return err
	}))
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		w.run(tap, wire, stop)
	}()
	g.t.Cleanup(func() {
		close(stop)
		<-ended
		_ = unix.Close(tap)
		_ = unix.Close(wire)
	})
	return w
}

func openTap() (int, error) {
	l := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: vlanTap}, Mode: netlink.TUNTAP_MODE_TAP, Queues: 1, NonPersist: true, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
	if err := netlink.LinkAdd(l); err != nil {
		return -1, err
	}
	defer l.Fds[0].Close()
	fd, err := unix.FcntlInt(l.Fds[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: vlanHost.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(l, addr); err != nil {
		return -1, err
	}
	return fd, netlink.LinkSetUp(l)
}

// openWire takes what comes from the guest; the kernel takes tags off, and tells them beside the frame. What is left to a device, checksums of
// the guest's kernel among it, stays so: before each frame is a struct virtio_net_hdr, here and at the tap device.
func openWire() (int, error) {
	l, err := netlink.LinkByName(tapName)
	if err != nil {
		return -1, err
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for _, o := range []int{unix.PACKET_IGNORE_OUTGOING, unix.PACKET_AUXDATA, unix.PACKET_VNET_HDR} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o, 1); err != nil {
			return -1, err
		}
	}
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index})
}

func (w *tagger) run(tap, wire int, stop chan struct{}) {
	fds := []unix.PollFd{{Fd: int32(tap), Events: unix.POLLIN}, {Fd: int32(wire), Events: unix.POLLIN}}
	b, oob := make([]byte, 65536), make([]byte, 256)
	for {
		select {
		case <-stop:
			return
		default:
		}
		if n, _ := unix.Poll(fds, 50); n <= 0 {
			continue
		}
		if fds[0].Revents&unix.POLLIN != 0 {
			if n, err := unix.Read(tap, b); err == nil && n >= vnetHeader+14 {
				const at = vnetHeader + 12 // behind the addresses
				frame := append(append([]byte{}, b[:at]...), 0x81, 0, vlanID>>8, vlanID&0xff)
				_, _ = unix.Write(wire, append(frame, b[at:n]...))
				w.in.Add(1)
			}
		}
		if fds[1].Revents&unix.POLLIN != 0 {
			n, oobn, _, _, err := unix.Recvmsg(wire, b, oob, unix.MSG_DONTWAIT)
			if err == nil && tagOf(oob[:oobn]) == vlanID {
				_, _ = unix.Write(tap, b[:n])
				w.out.Add(1)
			}
		}
	}
}

// tagOf is the identifier that a struct tpacket_auxdata tells of, 0 for none.
func tagOf(oob []byte) uint16 {
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20 {
			status, tci := binary.NativeEndian.Uint32(m.Data), binary.NativeEndian.Uint16(m.Data[16:])
			if status&unix.TP_STATUS_VLAN_VALID != 0 {
				return tci & 0xfff
			}
		}
	}
	return 0
}

// A VLAN device of the kernel's, on a card whose driver leaves the tags in the frames, which comes when nginx is there already: nginx, which listens on
// every address, serves those who come by the VLAN and those who come without a tag by its own stack and the queues of the one card. A
// connection of the VLAN goes to the kernel and back. (One worker: the host's tap device knows no flows of tagged frames, and changes their queue.)
func TestVLANDeviceInAGuest(t *testing.T) {
	kernelsOf(t, func(t *testing.T, k kernel) {
		g := boot(t, k, machine{programs: []string{nginxPath}})
		w := g.joinVLAN()
		g.serveOne()
		want := g.page("page", 20000)
		g.accelerated(1)
		g.run("ip link add link eth0 name eth0.100 type vlan id 100 && ip addr add 10.79.0.1/24 dev eth0.100 && ip link set eth0.100 up")
		g.until("entries for the VLAN", "sluice status | grep -q ':80 vlan 100'")
		const each = 10
		for _, by := range []netip.Addr{vlanGuest, guestIP, vlanGuest} {
			before, in, out := g.accepted(), w.in.Load(), w.out.Load()
			for range each {
				g.fetchBy(g.client(false), by, want)
			}
			require.EqualValues(t, each, g.accepted()-before, "by %v", by)
			if by == vlanGuest {
				require.Greater(t, w.in.Load()-in, uint64(each*5), "its packets were tagged")
				require.Greater(t, w.out.Load()-out, uint64(each*len(want)/1460), "so were the answers")
			}
		}
		require.Len(t, g.status().Devices, 1)

		c := g.client(true)
		for _, step := range []struct{ how, accelerated string }{{"", "1"}, {"detach", "0"}, {"attach", "1"}} {
			for pid := range g.status().QueuesByPID() {
				if step.how != "" {
					g.run(fmt.Sprintf("sluice %s %d", step.how, pid))
				}
			}
			g.fetchBy(c, vlanGuest, want)
			require.Equal(t, step.accelerated, strings.TrimSpace(g.run("sluice ss -Hn --accelerated state established sport = :80 | wc -l")), "after %s", step.how)
		}
		c.CloseIdleConnections()

		g.run("ip link del eth0.100")
		g.until("the VLAN's entries to go", "! sluice status | grep -q 'vlan 100'")
		g.fetchAll(each, want)
	})
}

// serveOne is serveNginx with one worker.
func (g *guest) serveOne() {
	g.t.Helper()
	g.run("mkdir -p /www /etc/nginx && cat > /etc/nginx/nginx.conf <<'E'\n" + strings.Replace(nginxConf, "worker_processes 2", "worker_processes 1", 1) + "E\n")
	g.startBroker("")
	g.run("cd / && SLUICE_LOG=debug sluice run -- " + nginxPath + " -c /etc/nginx/nginx.conf >/run/nginx.log 2>&1 &")
	g.until("nginx to listen", "netstat -ltn | grep -q ':80 '")
}

func (g *guest) fetchBy(c *http.Client, by netip.Addr, want []byte) {
	g.t.Helper()
	r, err := c.Get(fmt.Sprintf("http://%v/page", by))
	require.NoError(g.t, err)
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	require.NoError(g.t, err)
	require.True(g.t, bytes.Equal(want, got), "%d octets of %d", len(got), len(want))
}
