package afxdp_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// sink is as much of a TCP receiver as a kernel needs to send to it at full speed.
type sink struct {
	bed     *testbed.Bed
	port    *bedtest.Port
	slot    [2][bedtest.FramesPerQueue]bool // sending frames in flight, by queue
	next    uint32                          // sequence number awaited
	largest int                             // frame seen
	bytes   uint64
}

// turn takes what came by any queue and answers it.
func (s *sink) turn(t *testing.T) {
	for q, vi := range s.port.VIs {
		var ev [64]efvi.Event
		for _, e := range ev[:vi.Poll(ev[:])] {
			switch e.Kind {
			case efvi.EventTX:
				s.slot[q][e.Frame-s.port.First(q)] = false
			case efvi.EventRX:
				s.answer(t, q, s.port.Memory.Data(e))
				vi.Post([]uint32{e.Frame})
			}
		}
	}
}

func (s *sink) answer(t *testing.T, queue int, b []byte) {
	s.largest = max(s.largest, len(b))
	ip := b[14:]
	tcp := ip[20:]
	head := 20 + int(tcp[12]>>4)*4
	n := uint32(binary.BigEndian.Uint16(ip[2:])) - uint32(head)
	seq := binary.BigEndian.Uint32(tcp[4:])
	reply := bedtest.Packet{
		DstMAC: s.bed.Client.MAC, SrcMAC: s.bed.Server.MAC, Flags: bedtest.ACK,
		Src: netip.AddrPortFrom(s.bed.Server.IPv4, port),
		Dst: netip.AddrPortFrom(s.bed.Client.IPv4, binary.BigEndian.Uint16(tcp)),
		Seq: 1,
	}
	switch {
	case tcp[13]&bedtest.SYN != 0:
		s.next = seq + 1
		reply.Flags, reply.Seq = bedtest.SYN|bedtest.ACK, 0
	case seq == s.next:
		s.next += n
		s.bytes += uint64(n)
	}
	reply.Ack = s.next
	s.transmit(t, queue, reply.Bytes())
}

// transmit sends by any free frame; without one an answer is lost, which TCP bears.
func (s *sink) transmit(t *testing.T, queue int, b []byte) {
	for i, slot := bedtest.Half, &s.slot[queue]; i < len(slot); i++ {
		if !slot[i] {
			slot[i] = true
			s.port.Transmit(t, queue, i-bedtest.Half, b)
			return
		}
	}
}

// A kernel that sends in bulk hands frames of up to 64 KiB to its device (GSO). On veth they would
// arrive like that, and be lost for want of a frame that holds them, if the program that is attached
// in the driver (more than one queue) did not make the peer cut them first.
func TestKernelBulkSenderSendsNoLargeFrame(t *testing.T) {
	for _, mtu := range []int{1500, 9000} {
		t.Run(fmt.Sprint("MTU ", mtu), func(t *testing.T) { bulk(t, mtu) })
	}
}

func bulk(t *testing.T, mtu int) {
	const queues = 2
	bed := bedtest.New(t, testbed.Config{Queues: queues, MTU: mtu})
	s := &sink{bed: bed, port: bedtest.OpenPort(t, bed.Server, queues, bedtest.PinDir(t))}
	require.Equal(t, steer.Native, s.port.Program.Mode())
	require.NoError(t, s.port.Program.SetListener(steer.Untagged, netip.Addr{}, port, 0))

	const total = 4 << 20
	done := make(chan error, 1)
	go func() {
		var conn net.Conn
		err := bed.Client.Do(func() (err error) {
			conn, err = net.Dial("tcp", netip.AddrPortFrom(bed.Server.IPv4, port).String())
			return err
		})
		if err == nil {
			err = write(conn, total)
		}
		done <- err
	}()
	bedtest.Until(t, "4 MiB to come", func() bool {
		for range 1000 {
			s.turn(t)
		}
		select {
		case err := <-done:
			require.NoError(t, err)
		default:
		}
		return s.bytes >= total
	})
	require.Equal(t, 14+40+536, s.largest, "full segments, as we named no MSS, and no larger frame")
	for _, vi := range s.port.VIs {
		st, err := vi.Stats()
		require.NoError(t, err)
		require.Zero(t, st.RxDropped, "frames too large for the memory would be here")
	}
}

func write(c net.Conn, total int) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(bedtest.CleanLimit)); err != nil {
		return err
	}
	b := make([]byte, 256<<10)
	for ; total > 0; total -= len(b) {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}
