package repair

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stamped is a segment on the loopback device with its timestamps.
type stamped struct {
	from     uint16 // port
	val, ecr uint32
}

// tap captures what comes by the loopback device.
func tap(t *testing.T) int {
	t.Helper()
	const ip = 0x0008 // ETH_P_IP in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, ip)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20))
	return fd
}

// tapped reads what was captured, in order.
func tapped(t *testing.T, fd int) (all []stamped) {
	t.Helper()
	for b := make([]byte, 1<<16); ; {
		n, from, err := unix.Recvfrom(fd, b, 0)
		if err == unix.EAGAIN {
			return all
		}
		require.NoError(t, err)
		if ll, ok := from.(*unix.SockaddrLinklayer); !ok || ll.Pkttype != unix.PACKET_HOST || n < 40 {
			continue
		}
		tcp := b[int(b[0]&15)*4 : n]
		for o := tcp[20 : int(tcp[12]>>4)*4]; len(o) > 1; {
			switch {
			case o[0] == unix.TCPOPT_NOP:
				o = o[1:]
				continue
			case o[0] == unix.TCPOPT_TIMESTAMP && len(o) >= 10:
				all = append(all, stamped{binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint32(o[2:]), binary.BigEndian.Uint32(o[6:])})
			}
			o = o[max(2, min(int(o[1]), len(o))):]
		}
	}
}

// tooOld is how many segments this namespace has discarded for their timestamps (RFC 7323 section 5.3, R1).
func tooOld(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/netstat")
	require.NoError(t, err)
	lines := strings.Split(string(b), "\n")
	for i, name := range strings.Fields(lines[0]) {
		if name == "PAWSEstab" {
			return strings.Fields(lines[1])[i]
		}
	}
	return "?"
}

// TestTimestampsNeverGoBack: through moves at any part of a millisecond, with another clock in between, no segment is older than the one before,
// each side echoes what the other has sent (or nothing, as long as it does not know), and nobody discards one as too old.
func TestTimestampsNeverGoBack(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		via := injector(t)
		wire := tap(t)
		p.both()
		for i := range 100 {
			time.Sleep(time.Duration(i) * 37 * time.Microsecond)
			begun := time.Now()
			s, err := FromKernel(p.near)
			require.NoError(t, err)
			require.NoError(t, Discard(p.near))
			unix.Close(p.near)
			time.Sleep(time.Duration(i%7) * 300 * time.Microsecond)
			// The stack that has it meanwhile counts from when it asked for the connection (ustack/tcp, Adopt and Freeze).
			s.TSVal += uint32(time.Since(begun) / time.Millisecond)
			p.near, err = ToKernel(s, via)
			require.NoError(t, err)
			p.both()
		}
		sa, err := unix.Getsockname(p.near)
		require.NoError(t, err)
		near := uint16(sa.(*unix.SockaddrInet4).Port)
		last, sent := uint32(0), map[bool]map[uint32]bool{true: {0: true}, false: {0: true}}
		all := tapped(t, wire)
		require.Greater(t, len(all), 400)
		for i, s := range all {
			ours := s.from == near
			if ours {
				require.False(t, last != 0 && int32(s.val-last) < 0, "segment %d of %d: %d after %d", i, len(all), s.val, last)
				last = s.val
			}
			sent[ours][s.val] = true
			if i > 0 && s.val != 0 { // 0: what a move replays
				require.True(t, sent[!ours][s.ecr], "segment %d of %d echoes %d", i, len(all), s.ecr)
			}
		}
		require.Equal(t, "0", tooOld(t))
	})
}
