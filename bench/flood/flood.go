// Package flood makes a flood of one datagram: an XDP program that the kernel runs over and over on a frame of its own
// (BPF_PROG_TEST_RUN with live frames) redirects it out of a veth, from where it arrives at the peer's driver as frames do that a NIC has
// received, with no packet of the kernel's around it yet.
package flood

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/wire"
)

// perRun is how many frames one run of the program sends: some hundred milliseconds' worth. Before and after each run the kernel waits for all
// processors, some ten milliseconds.
const perRun = 1 << 19

// Send sends datagrams of 18 octets from a local address to another one, by the device that has the first, for at least that long, and
// returns how many. Those that find the peer's ring full are lost. Needs root; the frames leave from the calling thread's namespace.
func Send(from, to netip.AddrPort, mac [6]byte, d time.Duration) (sent uint64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dev, err := deviceOf(from.Addr())
	if err != nil {
		return 0, err
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(dev.Index)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}})
	if err != nil {
		return 0, fmt.Errorf("load XDP program: %w", err)
	}
	defer prog.Close()
	frame := datagram([6]byte(dev.HardwareAddr), mac, from, to)
	for end := time.Now().Add(d); time.Now().Before(end); sent += perRun {
		if _, err := prog.Run(&ebpf.RunOptions{Data: frame, Repeat: perRun, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES}); err != nil {
			return sent, fmt.Errorf("run XDP program on live frames (Linux 5.18): %w", err)
		}
	}
	return sent, nil
}

func deviceOf(ip netip.Addr) (*net.Interface, error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		if a.IP.Equal(ip.AsSlice()) {
			return net.InterfaceByIndex(a.LinkIndex)
		}
	}
	return nil, fmt.Errorf("no device has %s", ip)
}

// datagram is the shortest frame there is.
func datagram(src, dst [6]byte, from, to netip.AddrPort) []byte {
	const eth, ip, size = 14, 20, 60
	b := make([]byte, size)
	copy(b, dst[:])
	copy(b[6:], src[:])
	put := func(at int, v uint16) { binary.BigEndian.PutUint16(b[at:], v) }
	put(12, unix.ETH_P_IP)
	b[eth], b[eth+8], b[eth+9] = 0x45, 64, unix.IPPROTO_UDP
	put(eth+2, size-eth)
	copy(b[eth+12:], from.Addr().AsSlice())
	copy(b[eth+16:], to.Addr().AsSlice())
	put(eth+10, ^wire.Sum(b[eth:eth+ip]))
	put(eth+ip, from.Port())
	put(eth+ip+2, to.Port())
	put(eth+ip+4, size-eth-ip) // and no checksum, as IPv4 allows
	return b
}
