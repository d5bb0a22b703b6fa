// Package netstack does the work of bench/micro by gVisor's netstack, under the same names, so that benchstat puts both side by
// side. Netstack runs its protocol work in goroutines of its own: handing a segment to one and getting the data back is part
// of what a program that embeds it pays, and is measured.
package netstack

import (
	"context"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	mtu  = 1500
	nic  = 1
	port = 80
)

var (
	clientIP = tcpip.AddrFrom4([4]byte{192, 0, 2, 1})
	serverIP = tcpip.AddrFrom4([4]byte{192, 0, 2, 2})
	server   = tcpip.FullAddress{NIC: nic, Addr: serverIP, Port: port}
)

func check(t testing.TB, err tcpip.Error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newStack has SACK, as Linux has, and its other defaults as they are.
func newStack(t testing.TB, link stack.LinkEndpoint, ip tcpip.Address) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
	})
	sack := tcpip.TCPSACKEnabled(true)
	check(t, s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	check(t, s.CreateNIC(nic, link))
	check(t, s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: ip, PrefixLen: 24},
	}, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	t.Cleanup(s.Destroy)
	return s
}

// pair is a client's stack and a server's, joined by a pipe without a queue.
type pair struct {
	a, b     *stack.Stack
	listener *gonet.TCPListener
}

func newPair(t testing.TB) *pair {
	x, y := pipe.New(tcpip.LinkAddress("\x02\x00\x00\x00\x00\x00"), tcpip.LinkAddress("\x02\x00\x00\x00\x00\x01"), mtu)
	p := &pair{a: newStack(t, x, clientIP), b: newStack(t, y, serverIP)}
	l, err := gonet.ListenTCP(p.b, server, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	p.listener = l
	t.Cleanup(func() { l.Close() })
	return p
}

// open makes a connection.
func (p *pair) open(t testing.TB) (c, s *gonet.TCPConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, p.a, server, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c, in.(*gonet.TCPConn)
}
