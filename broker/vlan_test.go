package broker

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

var onVLAN = netip.MustParseAddr("127.0.0.2")

// vlanOn is a VLAN device on top of the fake host's eth0.
func vlanOn(eth0 netDevice, ifindex int, id uint16, addrs ...netip.Addr) netDevice {
	n := eth0
	n.carrier = carrier{Name: "eth0." + string('0'+rune(id)), Up: true, Addrs: addrs}
	n.Ifindex, n.Kind, n.Queues, n.VLAN, n.Below = ifindex, "vlan", 1, id, eth0.Ifindex
	return n
}

// anyOf is the key of a listener on every address.
func anyOf(l net.Listener) key { return key{port: portOf(l).port} }

func newVLANHost(t *testing.T) *fakeHost {
	h := newFakeHost(t, 2, nil)
	h.k.set(func() { h.k.devices = append(h.k.devices, vlanOn(h.k.devices[0], 9, 5, onVLAN)) })
	return h
}

func (h *fakeHost) listeners() (out []entry) {
	h.see(func(p *fakeProgram) bool {
		for e := range p.listeners {
			out = append(out, e)
		}
		return true
	})
	return out
}

// Who listens on a VLAN device's address gets the queues of the device below, and what is steered there are tagged frames alone.
func TestVLANsAreServedByTheDeviceBelow(t *testing.T) {
	h := newVLANHost(t)
	tagged := kernelListener(t, onVLAN.String()+":0")
	e := h.engine()
	g := e.listen(tagged)
	require.Empty(t, g.Notes)
	require.Len(t, g.VIs, 2)
	require.Equal(t, 7, g.VIs[0].Ifindex)
	require.JSONEq(t, `7`, field(t, g.VIs[0].Info, "Ifindex"), "the queues' own link has no tag")
	require.JSONEq(t, `0`, field(t, g.VIs[0].Info, "VLAN"))
	e.ready(g)
	require.Equal(t, []entry{{5, portOf(tagged)}}, h.listeners())
	require.Equal(t, []string{portOf(tagged).String() + " vlan 5"}, h.b.Status().Devices[0].Entries)

	plain, every := kernelListener(t, "127.0.0.1:0"), kernelListener(t, ":0")
	e.ready(e.listen(plain))
	e.ready(e.listen(every))
	want := []entry{{5, portOf(tagged)}, {0, portOf(plain)}, {0, anyOf(every)}, {5, anyOf(every)}}
	require.ElementsMatch(t, want, h.listeners(), "one process is served on both at once")

	h.k.set(func() { h.k.devices[1].Ifindex = 10 }) // made anew
	e.ready(e.listen(kernelListener(t, "127.0.0.1:0")))
	h.k.set(func() { h.k.devices = h.k.devices[:1] })
	last := kernelListener(t, "127.0.0.1:0")
	e.ready(e.listen(last))
	require.Contains(t, h.listeners(), entry{0, portOf(last)})
	require.NotContains(t, h.listeners(), entry{5, anyOf(every)}, "the VLAN device is gone")
	require.NotContains(t, h.listeners(), entry{5, portOf(tagged)}, "the VLAN device is gone")
	require.Contains(t, h.listeners(), entry{0, anyOf(every)})
}

// SLUICE_DEVICES names the VLAN device or the one below.
func TestVLANsCanBeChosen(t *testing.T) {
	h := newVLANHost(t)
	every := kernelListener(t, ":0")
	e := h.engine()
	e.ready(e.listen(every, "eth0.5"))
	require.Equal(t, []entry{{5, anyOf(every)}}, h.listeners())
	other := kernelListener(t, ":0")
	e.ready(e.listen(other, "eth0"))
	require.ElementsMatch(t, []entry{{5, anyOf(every)}, {0, anyOf(other)}}, h.listeners())
	_, err := e.tryListen(kernelListener(t, onVLAN.String()+":0"), "eth0")
	require.ErrorContains(t, err, "eth0.5 left out: not in SLUICE_DEVICES")
}

// Connections to be, and ports on lease, of a VLAN device's address wait for tagged frames.
func TestFlowsOfVLANs(t *testing.T) {
	h := newVLANHost(t)
	e := h.engine()
	l := kernelListener(t, onVLAN.String()+":0") // something that is bound there
	f, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	defer f.Close()
	flow := steer.Tuple{Local: l.Addr().(*net.TCPAddr).AddrPort(), Remote: netip.MustParseAddrPort("192.0.2.9:80")}
	var g proto.Grant
	fds, err := e.c.Call(proto.OpConnect, proto.Connect{Local: flow.Local, Remote: flow.Remote}, []int{int(f.Fd())}, &g, patience)
	require.NoError(t, err)
	e.took(g, fds)
	require.Len(t, e.vis, 2)
	require.True(t, h.see(func(p *fakeProgram) bool {
		return len(p.flows) == 1 && p.flows[steer.ConnectEntry{On: steer.Link{VLAN: 5}, Tuple: flow}]
	}))
	_, err = e.c.Call(proto.OpDisconnect, proto.Disconnect{Local: flow.Local, Remote: flow.Remote}, nil, nil, patience)
	require.NoError(t, err)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.flows) == 0 }))

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: onVLAN.As4()}))
	local, _, err := boundTo(fd)
	require.NoError(t, err)
	_, err = e.lease([]int{fd})
	require.NoError(t, err)
	require.Equal(t, []entry{{5, key{onVLAN, local.Port()}}}, h.listeners())
	_, err = e.c.Call(proto.OpUnports, proto.Unports{Local: onVLAN, Ports: []uint16{local.Port()}}, nil, nil, patience)
	require.NoError(t, err)
	require.Empty(t, h.listeners())
}

// What cannot be seen or sent as it should be stays with the kernel, and the program is told why.
func TestVLANsLeftToTheKernel(t *testing.T) {
	for why, change := range map[string]func(v, below *netDevice){
		"eth0.5 left out: its tags are not those of 802.1Q":                                               func(v, _ *netDevice) { v.Left = "its tags are not those of 802.1Q" },
		"eth0.5 left out: the device below it is not known":                                               func(v, _ *netDevice) { v.Below = 99 },
		"eth0.5 left out: eth0 below it: a device of kind bond":                                           func(_, below *netDevice) { below.Kind = "bond" },
		"eth0.5 left out: eth0 below it is down":                                                          func(_, below *netDevice) { below.Up = false },
		"eth0.5 left out: it has another MAC address than eth0 below it":                                  func(v, _ *netDevice) { v.MAC[5]++ },
		"eth0.5 left out: eth0 below it takes tags off before XDP sees them (ethtool -K eth0 rxvlan off)": func(_, below *netDevice) { below.Strips = true },
		"eth0.5 left out: its frames have two tags":                                                       func(_, below *netDevice) { below.Kind = "vlan" },
		"eth0.5 left out: it is down":                                                                     func(v, _ *netDevice) { v.Up = false },
	} {
		h := newVLANHost(t)
		h.k.set(func() { change(&h.k.devices[1], &h.k.devices[0]) })
		_, err := h.engine().tryListen(kernelListener(t, onVLAN.String()+":0"))
		require.ErrorContains(t, err, why)
	}
}

// An entry knows no device, so who listens on one only is the kernel's.
func TestListenerBoundToADevice(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return c.Control(func(fd uintptr) {
			require.NoError(t, unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"))
		})
	}}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = h.engine().tryListen(l)
	require.ErrorContains(t, err, "bound to a device")
}

func field(t *testing.T, b []byte, name string) string {
	var m map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(b, &m))
	return string(m[name])
}
