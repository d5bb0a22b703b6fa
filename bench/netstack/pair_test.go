package netstack

import (
	"io"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Sizes as in bench/micro.
const (
	requestLen  = 100
	responseLen = 600
	bulkLen     = 1 << 20
)

// BenchmarkHandshake is connect, the three segments, accept; and a reset from each end, so that nothing is left.
func BenchmarkHandshake(b *testing.B) {
	p := newPair(b)
	p.listener.Close()
	l, lq := endpoint(b, p)
	check(b, l.Bind(server))
	check(b, l.Listen(16))
	defer l.Close()
	come, in := waiter.NewChannelEntry(waiter.ReadableEvents)
	lq.EventRegister(&come)
	b.ReportAllocs()
	for b.Loop() {
		var cq waiter.Queue
		done, out := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
		cq.EventRegister(&done)
		c, err := p.a.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &cq)
		check(b, err)
		if err := c.Connect(server); err != nil {
			if _, ok := err.(*tcpip.ErrConnectStarted); !ok {
				b.Fatal(err)
			}
		}
		s, sq, err := l.Accept(nil)
		for ; err != nil; s, sq, err = l.Accept(nil) {
			<-in
		}
		<-out
		over, gone := waiter.NewChannelEntry(waiter.EventHUp | waiter.EventErr)
		sq.EventRegister(&over)
		c.Abort()
		<-gone
		s.Abort()
	}
}

// endpoint is a socket at the server's stack.
func endpoint(b *testing.B, p *pair) (tcpip.Endpoint, *waiter.Queue) {
	q := new(waiter.Queue)
	e, err := p.b.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, q)
	check(b, err)
	return e, q
}

// serve answers requests until the connection ends.
func serve(s io.ReadWriter) {
	buf := make([]byte, responseLen)
	for {
		if _, err := io.ReadFull(s, buf[:requestLen]); err != nil {
			return
		}
		if _, err := s.Write(buf); err != nil {
			return
		}
	}
}

// BenchmarkRequest is a request and its response, from write to read at both ends.
func BenchmarkRequest(b *testing.B) {
	p := newPair(b)
	c, s := p.open(b)
	go serve(s)
	defer c.Close()
	buf := make([]byte, responseLen)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(buf[:requestLen]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTransfer is a megabyte from one program to the other.
func BenchmarkTransfer(b *testing.B) {
	p := newPair(b)
	c, s := p.open(b)
	defer c.Close()
	whole := make(chan error)
	go func() {
		in := make([]byte, 64<<10)
		for {
			for got := 0; got < bulkLen; {
				n, err := s.Read(in[:min(len(in), bulkLen-got)])
				if err != nil {
					close(whole)
					return
				}
				got += n
			}
			whole <- nil
		}
	}()
	out := make([]byte, bulkLen)
	transfer := func() {
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		<-whole
	}
	transfer() // windows and buffers grow
	b.SetBytes(bulkLen)
	b.ReportAllocs()
	for b.Loop() {
		transfer()
	}
}
