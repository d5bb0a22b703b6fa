package afxdp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// Option is a thing that the kernel can do for AF_XDP sockets, or not: found by trying.
type Option struct {
	Name string
	Err  error // nil: it can
}

// ProbeOptions tries what a queue's speed depends on, with sockets that are bound nowhere, or to the loopback device of the calling thread's
// network namespace. It needs what OpenQueue needs.
func ProbeOptions() []Option {
	try := func(name string, f func(fd int) error) Option {
		fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return Option{name, fmt.Errorf("make XDP socket: %w", err)}
		}
		defer unix.Close(fd)
		return Option{name, f(fd)}
	}
	huge, err := NewHugeMemory("sluice-probe", hugeFrames)
	if err == nil {
		err = huge.Close()
	}
	return []Option{
		try("busy polling", BusyPoll{Usec: 1}.set),
		try("batches of more than 32 packets", func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_TX_RING, 64); err != nil {
				return err
			}
			return unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, 64)
		}),
		try("transmit metadata", func(fd int) error { return withMemory(fd, efvi.SumRoom) }),
		{"umem of huge pages", err},
		{"need-wakeup", tryLoopback(unix.XDP_USE_NEED_WAKEUP, nil)},
		{"packets in several buffers", tryLoopback(xdpUseSG, nil)},
		{MapBound, tryLoopback(unix.XDP_USE_NEED_WAKEUP, func(q *Queue) error {
			if !q.CanMap() {
				return unix.EBUSY
			}
			return nil
		})},
	}
}

// xdpUseSG is XDP_USE_SG of linux/if_xdp.h: a packet may come in several descriptors.
const xdpUseSG = 1 << 4

func withMemory(fd int, metadata uint32) error {
	m, err := unix.Mmap(-1, 0, 2*efvi.FrameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(m)
	return registerUmem(fd, m, efvi.FrameSize, metadata)
}

// MapBound names the option without which programs must map their queues before they are bound: see PrepareQueue.
const MapBound = "queues that are mapped when they are bound"

// tryLoopback binds to the loopback device with a flag, has a look if it is given one, and lets go at once.
func tryLoopback(flag uint16, look func(*Queue) error) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	mem, err := NewMemory("sluice-probe", 2)
	if err != nil {
		return err
	}
	defer mem.Close()
	cfg := RingConfig{RX: 2, TX: 2, Fill: 2, Completion: 2, Copy: true, flags: flag}
	q, err := OpenQueue(lo.Index, 0, mem, cfg)
	// The kernel gives a queue back some time after its socket was closed.
	for end := time.Now().Add(5 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		q, err = OpenQueue(lo.Index, 0, mem, cfg)
	}
	if err != nil {
		return err
	}
	if look != nil {
		err = look(q)
	}
	return errors.Join(err, q.Close())
}

// hugePage is the size of the pages that NewHugeMemory asks for, in bytes.
const (
	hugePage   = 2 << 20
	hugeFrames = hugePage / efvi.FrameSize
)

// NewHugeMemory is NewMemory in huge pages of 2 MiB, which the administrator set aside (vm.nr_hugepages): fewer entries in the TLB, of the
// processor as of the IOMMU. The number of frames must be a multiple of 512. If there are not enough pages it fails, and takes none.
func NewHugeMemory(name string, frames int) (*os.File, error) {
	if frames <= 0 || frames%hugeFrames != 0 {
		return nil, fmt.Errorf("umem of %d frames: huge pages hold %d each", frames, hugeFrames)
	}
	f, err := newMemory(name, frames, unix.MFD_HUGETLB|unix.MFD_HUGE_2MB)
	if err != nil {
		return nil, err
	}
	// The pages are reserved when the file is mapped for the first time, and stay reserved.
	m, err := MapMemory(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%d huge pages for a umem: %w", frames/hugeFrames, err)
	}
	return f, UnmapMemory(m)
}
