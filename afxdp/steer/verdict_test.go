package steer_test

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const (
	anyPort    = 8080 // listener on every address
	onePort    = 8081 // listener on one address per family
	v6Port     = 8082 // listener on every IPv6 address
	freePort   = 8083 // no entry
	dialedPort = 5000 // local end of a connect entry
	dialPort   = 6000 // its remote end

	oneVLAN = 100 // with entries for onePort and dialedPort, IPv4
	anyVLAN = 101 // with an entry for anyPort
)

// rig is a program with entries of each kind and a socket on queue 0 only.
type rig struct {
	testing.TB
	bed  *testbed.Bed
	port *bedtest.Port
}

func newRig(t testing.TB) *rig {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	r := &rig{TB: t, bed: bed, port: bedtest.OpenPort(t, bed.Server, 1, bedtest.PinDir(t))}
	p := r.port.Program
	require.NoError(t, p.SetListener(steer.Untagged, netip.Addr{}, anyPort, 0))
	require.NoError(t, p.SetListener(steer.Untagged, bed.Server.IPv4, onePort, 0))
	require.NoError(t, p.SetListener(steer.Untagged, bed.Server.IPv6, onePort, 0))
	require.NoError(t, p.SetListener(steer.Untagged, netip.IPv6Unspecified(), v6Port, 0))
	tagged := steer.Link{VLAN: oneVLAN, Ifindex: bed.Server.Ifindex} // no device of the kernel's has that tag here
	require.NoError(t, p.SetListener(tagged, bed.Server.IPv4, onePort, 0))
	k := r.packet(false, dialPort, dialedPort)
	require.NoError(t, p.SetConnect(tagged, steer.Tuple{Local: k.Dst, Remote: k.Src}))
	require.NoError(t, p.SetListener(steer.Link{VLAN: anyVLAN, Ifindex: bed.Server.Ifindex}, netip.Addr{}, anyPort, 0))
	for _, v6 := range []bool{false, true} {
		k := r.packet(v6, dialPort, dialedPort)
		require.NoError(t, p.SetConnect(steer.Untagged, steer.Tuple{Local: k.Dst, Remote: k.Src}))
	}
	return r
}

// packet is a segment from the client to the server.
func (r *rig) packet(v6 bool, from, to uint16) bedtest.Packet {
	c, s := r.bed.Client.IPv4, r.bed.Server.IPv4
	if v6 {
		c, s = r.bed.Client.IPv6, r.bed.Server.IPv6
	}
	return bedtest.Packet{
		DstMAC: r.bed.Server.MAC, SrcMAC: r.bed.Client.MAC, Flags: bedtest.SYN,
		Src: netip.AddrPortFrom(c, from), Dst: netip.AddrPortFrom(s, to),
	}
}

// icmp is an error that quotes the first octets of a segment from the server to the client.
func (r *rig) icmp(v6 bool, kind byte, quoted bedtest.Packet, octets int) bedtest.Packet {
	p := r.packet(v6, 0, 0)
	quoted.Src, quoted.Dst = quoted.Dst, quoted.Src
	q := quoted.IP()
	p.Proto, p.Payload = 1, append([]byte{kind, 4, 0, 0, 0, 0, 5, 0}, q[:min(octets, len(q))]...)
	if v6 {
		p.Proto = 58
	}
	return p
}

// want runs the program on a frame and compares verdict and counter with the reason.
func (r *rig) want(reason string, queue int, frame []byte, why string) {
	r.Helper()
	before, err := r.port.Program.Counters()
	require.NoError(r, err)
	got, err := r.port.Program.Run(r.bed.Server.FD(), queue, frame)
	require.NoError(r, err, why)
	after, err := r.port.Program.Counters()
	require.NoError(r, err)
	verdict := uint32(steer.Pass)
	if reason == "redirected" || reason == "icmp_redirected" {
		verdict = steer.Redirect
	}
	if reason == "quiet_drop" {
		verdict = steer.Drop
	}
	require.Greater(r, after[reason], before[reason], "%s: counts as %s", why, reason)
	for name := range after {
		// The device is a living one: the client's kernel sends neighbour and multicast
		// messages at times.
		if name != reason && name != "other_host" && name != "not_tcp" {
			require.Equal(r, before[name], after[name], "%s: counts as %s, not as %s", why, reason, name)
		}
	}
	require.Equal(r, verdict, got, why)
}

func TestVerdictOfEntries(t *testing.T) {
	r := newRig(t)
	for _, v6 := range []bool{false, true} {
		r.want("redirected", 0, r.packet(v6, 1, anyPort).Bytes(), "listener on every address")
		r.want("redirected", 0, r.packet(v6, 1, onePort).Bytes(), "listener on this address")
		r.want("no_entry", 0, r.packet(v6, 1, freePort).Bytes(), "no listener")
		r.want("no_queue", 1, r.packet(v6, 1, anyPort).Bytes(), "no socket on the queue")
		r.want("redirected", 0, r.packet(v6, dialPort, dialedPort).Bytes(), "connect entry")
		r.want("no_entry", 0, r.packet(v6, dialPort+1, dialedPort).Bytes(), "another remote port")
		other := r.packet(v6, 1, onePort)
		other.Dst = netip.AddrPortFrom(other.Dst.Addr().Next().Next(), onePort)
		r.want("no_entry", 0, other.Bytes(), "listener on another address")
		other = r.packet(v6, 1, anyPort)
		other.DstMAC[5] ^= 1
		r.want("other_host", 0, other.Bytes(), "another host's MAC address")
		other.DstMAC = [6]byte{255, 255, 255, 255, 255, 255}
		r.want("other_host", 0, other.Bytes(), "broadcast")
	}
	r.want("redirected", 0, r.packet(true, 1, v6Port).Bytes(), "IPv6 listener")
	r.want("no_entry", 0, r.packet(false, 1, v6Port).Bytes(), "IPv6 listener does not hear IPv4")

	require.NoError(t, r.port.Program.DelListener(steer.Untagged, netip.Addr{}, anyPort))
	k := r.packet(false, dialPort, dialedPort)
	require.NoError(t, r.port.Program.DelConnect(steer.Untagged, steer.Tuple{Local: k.Dst, Remote: k.Src}))
	require.NoError(t, r.port.Program.DelConnect(steer.Untagged, steer.Tuple{Local: k.Dst, Remote: k.Src}), "twice is no error")
	r.want("no_entry", 0, r.packet(true, 1, anyPort).Bytes(), "deleted")
	r.want("no_entry", 0, k.Bytes(), "deleted")
	require.NoError(t, r.port.Program.DelQueue(0))
	require.NoError(t, r.port.Program.DelQueue(0), "twice is no error")
	r.want("no_queue", 0, r.packet(false, 1, onePort).Bytes(), "queue deleted")
}

func TestVerdictOfOddPackets(t *testing.T) {
	r := newRig(t)
	for _, v6 := range []bool{false, true} {
		good := r.packet(v6, 1, anyPort)
		p := good
		p.Tags = []uint16{7, 7}
		r.want("not_tcp", 0, p.Bytes(), "two VLAN tags")
		p = good
		p.Proto, p.Payload = 17, make([]byte, 40)
		r.want("not_tcp", 0, p.Bytes(), "UDP")
		short := good.Bytes()
		for n := 14; n < len(short); n++ {
			r.want("malformed", 0, short[:n], "cut off")
		}
		bad := good.Bytes()
		bad[len(bad)-8] = 4 << 4
		r.want("malformed", 0, bad, "TCP header of 16 octets")
		bad = good.Bytes()
		bad[14] ^= 0x20
		r.want("malformed", 0, bad, "wrong IP version")
	}
	p := r.packet(false, 1, anyPort)
	p.Options = make([]byte, 40)
	r.want("redirected", 0, p.Bytes(), "IPv4 options are skipped")
	bad := p.Bytes()
	bad[14] = 0x44
	r.want("malformed", 0, bad, "IPv4 header of 16 octets")
	p = r.packet(false, 1, anyPort)
	for _, frag := range []uint16{0x2000, 0x0001, 0x2005} {
		p.Frag = frag
		r.want("fragment", 0, p.Bytes(), "fragment")
	}
	p.Frag = 0x4000
	r.want("redirected", 0, p.Bytes(), "don't-fragment is no fragment")
	for _, ext := range []byte{0, 43, 44, 60} {
		b := r.packet(true, 1, anyPort).Bytes()
		b[14+6] = ext
		r.want("extension_header", 0, b, "IPv6 extension header")
	}
}

func TestVerdictOfICMPErrors(t *testing.T) {
	r := newRig(t)
	kinds := map[bool][]byte{false: {3, 11, 12}, true: {1, 2, 3, 4}}
	for v6, kinds := range kinds {
		header := map[bool]int{false: 20, true: 40}[v6]
		for _, kind := range kinds {
			ours := r.packet(v6, 1, anyPort)
			r.want("icmp_redirected", 0, r.icmp(v6, kind, ours, header+8).Bytes(), "8 octets quoted")
			r.want("icmp_redirected", 0, r.icmp(v6, kind, r.packet(v6, dialPort, dialedPort), 99).Bytes(), "connect entry")
			r.want("no_entry", 0, r.icmp(v6, kind, r.packet(v6, 1, freePort), 99).Bytes(), "not ours")
			r.want("malformed", 0, r.icmp(v6, kind, ours, header+3).Bytes(), "ports cut off")
			r.want("malformed", 0, r.icmp(v6, kind, ours, header-1).Bytes(), "header cut off")
			udp := ours
			udp.Proto, udp.Payload = 17, make([]byte, 16)
			r.want("not_tcp", 0, r.icmp(v6, kind, udp, 99).Bytes(), "quotes UDP")
		}
		echo := map[bool]byte{false: 8, true: 128}[v6]
		r.want("not_tcp", 0, r.icmp(v6, echo, r.packet(v6, 1, anyPort), 99).Bytes(), "echo request")
	}
}

// Connections of the kernel stay its own, whatever entries there are; its listener does not count.
func TestVerdictFollowsTheKernelsSockets(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.port.Program.DelQueue(0)) // so that the handshake goes to the kernel
	for _, v6 := range []bool{false, true} {
		local, remote := kernelConnection(r, r.packet(v6, 1, anyPort).Dst)
		p := r.packet(v6, remote.Port(), anyPort)
		require.Equal(t, netip.AddrPortFrom(p.Dst.Addr(), anyPort), local)
		p.Flags = bedtest.ACK
		r.want("kernel_socket", 0, p.Bytes(), "established in the kernel")
		at := steer.Tuple{Local: p.Dst, Remote: p.Src}
		require.NoError(t, r.port.Program.SetTaken(steer.Untagged, at))
		r.want("no_queue", 0, p.Bytes(), "taken from the kernel, its socket is still there")
		require.NoError(t, r.port.Program.SetConnect(steer.Untagged, at))
		r.want("kernel_socket", 0, p.Bytes(), "a plain connect entry does not count against the kernel's socket")
		require.NoError(t, r.port.Program.DelConnect(steer.Untagged, at))
		r.want("kernel_socket", 0, r.icmp(v6, 3-byte(b2i(v6)), p, 99).Bytes(), "ICMP error for the kernel")
		p.Src = netip.AddrPortFrom(p.Src.Addr(), remote.Port()^1)
		r.want("no_queue", 0, p.Bytes(), "the kernel has but a listener")
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// kernelConnection makes a connection between the kernels of both ends, which lives as long as the
// test, and a listener.
func kernelConnection(r *rig, at netip.AddrPort) (local, remote netip.AddrPort) {
	var l net.Listener
	require.NoError(r, r.bed.Server.Do(func() (err error) {
		l, err = net.Listen("tcp", at.String())
		return err
	}))
	r.Cleanup(func() { l.Close() })
	require.NoError(r, r.bed.Client.Do(func() error {
		c, err := net.Dial("tcp", at.String())
		if err == nil {
			r.Cleanup(func() { c.Close() })
		}
		return err
	}))
	c, err := l.Accept()
	require.NoError(r, err)
	r.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
}

func TestQuietQueueLeavesSYNsToTheKernel(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.port.Program.SetQuiet(0, true))
	p := r.packet(false, 1, anyPort)
	r.want("quiet_syn", 0, p.Bytes(), "SYN")
	r.want("quiet_syn", 0, r.packet(true, 1, anyPort).Bytes(), "SYN")
	p.Flags = bedtest.SYN | bedtest.ACK
	r.want("redirected", 0, p.Bytes(), "SYN-ACK is no pure SYN")
	p.Flags = bedtest.ACK
	r.want("redirected", 0, p.Bytes(), "ACK")
	require.NoError(t, r.port.Program.SetQuiet(1, true))
	r.want("quiet_drop", 1, p.Bytes(), "ACK on a queue between two owners")
	p.Flags = bedtest.SYN
	r.want("quiet_syn", 1, p.Bytes(), "SYN on a queue between two owners")
	require.NoError(t, r.port.Program.SetQuiet(0, false))
	r.want("redirected", 0, p.Bytes(), "SYN, no longer quiet")
}

// A SYN that repeats one that went to the queue's owner goes there, too: answered by both, its peer would be reset (make chaos seeds 1 and 311). But
// not when the owner is gone.
func TestARepeatedSYNGoesWhereTheFirstWent(t *testing.T) {
	r := newRig(t)
	for _, v6 := range []bool{false, true} {
		p, other := r.packet(v6, 1, anyPort), r.packet(v6, 2, anyPort)
		r.want("redirected", 0, p.Bytes(), "the first SYN")
		require.NoError(t, r.port.Program.SetQuiet(0, true))
		r.want("redirected", 0, p.Bytes(), "again")
		again := p
		again.Seq += 1000
		r.want("quiet_syn", 0, again.Bytes(), "of a new connection by the same port")
		r.want("quiet_syn", 0, other.Bytes(), "of another connection")
		r.want("quiet_syn", 0, other.Bytes(), "of another connection, again: its first is the kernel's")
		require.NoError(t, r.port.Program.SetQuiet(1, true))
		r.want("no_queue", 1, p.Bytes(), "again, on a queue between two owners")
		require.NoError(t, r.port.Program.SetQuiet(0, false))
		r.want("redirected", 0, other.Bytes(), "no longer quiet")
	}
	p := r.packet(false, 3, anyPort)
	r.want("redirected", 0, p.Bytes(), "the first SYN")
	require.NoError(t, r.port.Program.SetQuiet(0, true))
	time.Sleep(4100 * time.Millisecond)
	r.want("quiet_syn", 0, p.Bytes(), "a new connection from the same port, as far as can be told")
}

// On a router the port of a wildcard listener is other hosts' business too.
func TestForwardedPacketsStayWithTheKernel(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.bed.Server.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
	}))
	p := r.packet(false, 1, anyPort)
	r.want("redirected", 0, p.Bytes(), "for this host")
	p.Dst, p.Src = netip.AddrPortFrom(p.Src.Addr(), anyPort), netip.AddrPortFrom(p.Src.Addr().Next(), 1)
	r.want("forwarded", 0, p.Bytes(), "for another host")
	require.NoError(t, r.bed.Server.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0o644)
	}))
	p = r.packet(true, 1, anyPort)
	r.want("redirected", 0, p.Bytes(), "for this host")
	p.Dst, p.Src = netip.AddrPortFrom(p.Src.Addr(), anyPort), netip.AddrPortFrom(p.Src.Addr().Next(), 1)
	r.want("forwarded", 0, p.Bytes(), "for another host")
}

// An entry ends with the socket it was given for, as far as new connections go: those that are there go on.
func TestEntriesAreHeldToTheirSockets(t *testing.T) {
	r := newRig(t)
	const bound = 8084
	require.NoError(t, r.port.Program.SetListener(steer.Untagged, netip.Addr{}, anyPort, steer.Listens))
	require.NoError(t, r.port.Program.SetListener(steer.Untagged, netip.Addr{}, bound, steer.ListensNot))
	for _, v6 := range []bool{false, true} {
		syn, other, late := r.packet(v6, 1, anyPort), r.packet(v6, 1, bound), r.packet(v6, 1, anyPort)
		late.Flags = bedtest.ACK
		r.want("no_listener", 0, syn.Bytes(), "the listener is closed")
		r.want("redirected", 0, late.Bytes(), "a connection of it lives")
		r.want("redirected", 0, other.Bytes(), "simultaneous open of a bound port")
		for _, at := range []netip.AddrPort{syn.Dst, other.Dst} {
			var l net.Listener
			require.NoError(t, r.bed.Server.Do(func() (err error) {
				l, err = net.Listen("tcp", at.String())
				return err
			}))
			defer l.Close()
		}
		r.want("redirected", 0, syn.Bytes(), "the kernel listens")
		r.want("no_listener", 0, other.Bytes(), "somebody listens on the bound port")
		other.Flags = bedtest.ACK
		r.want("redirected", 0, other.Bytes(), "a connection from the bound port lives")
	}
	require.NoError(t, r.port.Program.SetListener(steer.Untagged, netip.Addr{}, anyPort, steer.NoSYN))
	for _, v6 := range []bool{false, true} {
		p := r.packet(v6, 1, anyPort)
		r.want("no_listener", 0, p.Bytes(), "the entry is for old connections only, though somebody listens")
		p.Flags = bedtest.ACK
		r.want("redirected", 0, p.Bytes(), "an old connection")
	}
}

// The kernel's share of new connections is what was asked for, a SYN that is repeated goes where the first one went, and connections
// that are there stay.
func TestTheKernelsShare(t *testing.T) {
	r := newRig(t)
	run, err := r.port.Program.Runner(r.bed.Server.FD())
	require.NoError(t, err)
	defer run.Close()
	for _, v6 := range []bool{false, true} {
		for _, share := range []uint8{0, 85, 170, 255} {
			require.NoError(t, r.port.Program.SetListener(steer.Untagged, netip.Addr{}, anyPort, steer.Flags(0).KernelShare(share)))
			kernel := 0
			for port := range uint16(4096) {
				p := r.packet(v6, 20000+2*port, anyPort)
				first, err := run.Run(0, p.Bytes())
				require.NoError(t, err)
				again, err := run.Run(0, p.Bytes())
				require.NoError(t, err)
				require.Equal(t, first, again)
				if first == steer.Pass {
					kernel++
				}
				p.Flags = bedtest.ACK
				late, err := run.Run(0, p.Bytes())
				require.NoError(t, err)
				require.EqualValues(t, steer.Redirect, late)
			}
			require.InDelta(t, float64(share)/256, float64(kernel)/4096, 0.04, "share %d", share)
		}
	}
	r.want("shared_syn", 0, r.packet(false, 20000, anyPort).Bytes(), "the kernel's share is 255 of 256")
}
