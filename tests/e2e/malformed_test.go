package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
)

// Malformed packets aimed at the accelerated port, among real requests: none
// of the requests is harmed, nothing crashes, and the bad ones are counted.
func TestMalformedPackets(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.accelerated()
	r.waitAccelerated(x)
	load := startLoad(t, r, fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port), "keep", 8)
	worker := x.WorkerPids()
	const seed, packets = 1, 20000
	t.Logf("seed %d", seed)
	r.inject(t, func(send func([]byte)) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		for range packets {
			send(malformed(r, rnd, uint16(x.Port)))
		}
	})
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	require.NotZero(t, res.Requests)
	require.Equal(t, worker, x.WorkerPids(), "a worker died:\n%s", x.errorLog())
	require.NotZero(t, r.Status().Sum("bad_packets"), "malformed packets counted")
}

// inject opens a packet socket on the client's device.
func (r *rig) inject(t *testing.T, f func(send func([]byte))) {
	t.Helper()
	require.NoError(t, r.Client.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: r.Client.Ifindex}
		f(func(frame []byte) { unix.Sendto(fd, frame, 0, to) })
		return nil
	}))
}

// malformed makes an IPv4 TCP segment to the port and spoils it somewhere:
// lengths, offsets, flags, options, checksum, or its end. What is not the
// checksum's own fault mostly gets a right one, so that it reaches deeper.
func malformed(r *rig, rnd *rand.Rand, port uint16) []byte {
	f := make([]byte, 14+20+60+rnd.IntN(40))
	copy(f, r.Server.MAC[:])
	copy(f[6:], r.Client.MAC[:])
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip, tcp := f[14:34], f[34:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(f)-14))
	src, dst := r.Client.IPv4.As4(), r.Server.IPv4.As4()
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(tcp, uint16(1+rnd.IntN(65535)))
	binary.BigEndian.PutUint16(tcp[2:], port)
	binary.BigEndian.PutUint32(tcp[4:], rnd.Uint32())
	binary.BigEndian.PutUint32(tcp[8:], rnd.Uint32())
	tcp[12], tcp[13] = 0xf0, byte(rnd.Uint32())
	for i := 20; i < len(tcp); i++ {
		tcp[i] = byte(rnd.Uint32()) // options and data
	}
	spoil(f, rnd)
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^fold(ip))
	if rnd.IntN(4) > 0 {
		pseudo := append(append([]byte{}, ip[12:20]...), 0, unix.IPPROTO_TCP, byte(len(tcp)>>8), byte(len(tcp)))
		tcp[16], tcp[17] = 0, 0
		binary.BigEndian.PutUint16(tcp[16:], ^fold(append(pseudo, tcp...)))
	}
	if rnd.IntN(4) == 0 {
		f = f[:34+rnd.IntN(len(tcp))]
	}
	return f
}

func spoil(f []byte, rnd *rand.Rand) {
	ip, tcp := f[14:], f[34:]
	switch rnd.IntN(6) {
	case 0:
		ip[0] = 0x40 | byte(rnd.IntN(16))
	case 1:
		binary.BigEndian.PutUint16(ip[2:], uint16(rnd.Uint32()))
	case 2:
		tcp[12] = byte(rnd.IntN(16)) << 4
	case 3:
		tcp[20+rnd.IntN(40)] = 0 // an option of length 0, or an early end
	case 4:
		tcp[13] = []byte{0, 0x3f, 0x03, 0x06, 0xff, 0x29}[rnd.IntN(6)]
	case 5: // nothing: random options are enough
	}
}

// fold is the ones' complement sum of 16-bit words (RFC 1071).
func fold(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
