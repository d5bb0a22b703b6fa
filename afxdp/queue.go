package afxdp

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// Queue is one receive queue of a device, taken by an AF_XDP socket, or about to be.
type Queue struct {
	fd     int
	layout Layout
	at     *unix.SockaddrXDP // what to bind to
	parts  bool              // ask for packets in several frames
	busy   BusyPoll
}

// OpenQueue takes queue of the device ifindex in the calling thread's network namespace, over the
// memory of mem. It needs CAP_NET_RAW there. Zero-copy is tried first, unless cfg.Copy. The memory
// is registered by itself, which pins it page by page, unless cfg.Share has a socket that did.
func OpenQueue(ifindex, queue int, mem *os.File, cfg RingConfig) (*Queue, error) {
	cfg = cfg.withDefaults()
	if cfg.Share > 0 {
		if q, err := open(ifindex, queue, efvi.Memory{}, cfg); err == nil {
			return q, nil
		}
		cfg.Share = 0
	}
	m, done, err := cfg.mapping(mem)
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := open(ifindex, queue, m, cfg)
	if err != nil {
		return nil, fmt.Errorf("take queue %d of interface %d: %w", queue, ifindex, err)
	}
	return q, nil
}

// PrepareQueue is OpenQueue without the last step: the socket has its memory and its rings, and is bound to nothing. Before Linux 6.4 rings can
// be mapped only now ("xsk: allow remap of fill and/or completion rings"). Whoever holds such a socket can bind it, to any queue of its
// namespace, without privilege: see package guard. cfg.Share is not obeyed.
func PrepareQueue(ifindex, queue int, mem *os.File, cfg RingConfig) (*Queue, error) {
	cfg = cfg.withDefaults()
	cfg.Share = 0
	m, done, err := cfg.mapping(mem)
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := prepare(ifindex, queue, m, cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare queue %d of interface %d: %w", queue, ifindex, err)
	}
	return q, nil
}

// mapping is the memory, mapped until done is called at least.
func (c *RingConfig) mapping(mem *os.File) (m efvi.Memory, done func(), err error) {
	if len(c.Mapped.Bytes) > 0 {
		return c.Mapped, func() {}, nil
	}
	m, err = MapMemory(mem)
	return m, func() { _ = UnmapMemory(m) }, err
}

func open(ifindex, queue int, m efvi.Memory, cfg RingConfig) (*Queue, error) {
	q, err := prepare(ifindex, queue, m, cfg)
	if err != nil {
		return nil, err
	}
	if err := q.Bind(); err != nil {
		_ = q.Close()
		return nil, err
	}
	return q, nil
}

func prepare(ifindex, queue int, m efvi.Memory, cfg RingConfig) (*Queue, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make XDP socket: %w", err)
	}
	q := &Queue{fd: fd, at: address(ifindex, queue, cfg), busy: cfg.Busy}
	// Packets in several frames (Linux 6.6) are asked for where the device may have longer ones than a frame holds, and only there: a driver
	// may have zero-copy without it. A socket that shares memory takes them as the one it shares with does.
	if l, err := net.InterfaceByIndex(ifindex); err == nil {
		q.parts = cfg.Share == 0 && (cfg.Parts || l.MTU > MaxMTU)
	}
	q.layout.Parts = cfg.Share != 0 && cfg.Parts
	if err := q.set(m, cfg); err != nil {
		_ = q.Close()
		return nil, err
	}
	return q, nil
}

func (q *Queue) set(m efvi.Memory, cfg RingConfig) error {
	if cfg.Share == 0 {
		if err := q.register(m, cfg.TxMetadata); err != nil {
			return fmt.Errorf("register umem of %d frames: %w", m.Frames(), err)
		}
	}
	q.layout.Shared, q.layout.Unbound = cfg.Share != 0, true
	for _, r := range []struct {
		name    string
		option  int
		entries uint32
	}{
		{"fill", unix.XDP_UMEM_FILL_RING, cfg.Fill},
		{"completion", unix.XDP_UMEM_COMPLETION_RING, cfg.Completion},
		{"RX", unix.XDP_RX_RING, cfg.RX},
		{"TX", unix.XDP_TX_RING, cfg.TX},
	} {
		if err := unix.SetsockoptInt(q.fd, unix.SOL_XDP, r.option, int(r.entries)); err != nil {
			return fmt.Errorf("make %s ring of %d entries: %w", r.name, r.entries, err)
		}
	}
	q.allowBatches(cfg)
	return q.learn(cfg)
}

// Bind takes the queue. Whether packets are copied is known from here on.
func (q *Queue) Bind() error {
	if err := q.bind(); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	opt, err := options(q.fd)
	if err != nil {
		return fmt.Errorf("ask for socket options: %w", err)
	}
	l := &q.layout
	l.Unbound, l.ZeroCopy = false, opt&unix.XDP_OPTIONS_ZEROCOPY != 0
	l.BusyPoll = q.busy.Usec > 0 && q.busy.set(q.fd) == nil // a matter of speed only
	return nil
}

// bind does without parts only where the kernel does not know them. What else is in the way passes: a queue whose last owner just let go of it
// must not be without them for good because it came free between two attempts.
func (q *Queue) bind() error {
	if q.parts {
		a := *q.at
		a.Flags |= xdpUseSG
		err := unix.Bind(q.fd, &a)
		q.layout.Parts = err == nil
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return unix.Bind(q.fd, q.at)
}

// CanMap tells whether another process can still map the rings of a bound queue, which Linux lets it since 6.4.
func (q *Queue) CanMap() bool {
	m, err := mapRing[uint64](q.fd, unix.XDP_UMEM_PGOFF_FILL_RING, q.layout.Fill)
	if err != nil {
		return false
	}
	return unix.Munmap(m.mem) == nil
}

// register tells the kernel which memory frames lie in, with room for metadata in front of packets if the kernel knows that (Linux 6.8).
func (q *Queue) register(m efvi.Memory, metadata bool) error {
	if metadata {
		err := registerUmem(q.fd, m.Bytes, efvi.FrameSize, efvi.SumRoom)
		q.layout.TxMetadata = err == nil
		if !errors.Is(err, unix.EINVAL) { // memory that is short now says nothing about the kernel
			return err
		}
	}
	return registerUmem(q.fd, m.Bytes, efvi.FrameSize, 0)
}

// address is what to bind to. Without XDP_COPY and XDP_ZEROCOPY the kernel itself tries zero-copy and
// then copies; a socket that shares memory works as the one it shares with.
func address(ifindex, queue int, cfg RingConfig) *unix.SockaddrXDP {
	a := &unix.SockaddrXDP{Ifindex: uint32(ifindex), QueueID: uint32(queue)}
	switch {
	case cfg.flags != 0:
		a.Flags = cfg.flags | unix.XDP_COPY
	case cfg.Share > 0:
		a.Flags, a.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(cfg.Share)
	case cfg.Copy:
		a.Flags = unix.XDP_USE_NEED_WAKEUP | unix.XDP_COPY
	default:
		a.Flags = unix.XDP_USE_NEED_WAKEUP
	}
	return a
}

// allowBatches lets one kick of a copy-mode socket send a whole TX ring. Both options are a matter
// of speed only: without them a kick stops after 32 frames, or at the default send buffer.
func (q *Queue) allowBatches(cfg RingConfig) {
	_ = unix.SetsockoptInt(q.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, int(cfg.TX))
	const truesize = 2 * efvi.FrameSize // of one frame in the kernel, with its book-keeping
	_ = unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, int(cfg.TX)*truesize)
}

// learn fills in where the rings are.
func (q *Queue) learn(cfg RingConfig) error {
	off, err := mmapOffsets(q.fd)
	if err != nil {
		return fmt.Errorf("ask for ring offsets: %w", err)
	}
	ring := func(o unix.XDPRingOffset, entries uint32) Ring {
		return Ring{Entries: entries, Producer: o.Producer, Consumer: o.Consumer, Flags: o.Flags, Desc: o.Desc}
	}
	l := &q.layout
	l.RX, l.TX = ring(off.Rx, cfg.RX), ring(off.Tx, cfg.TX)
	l.Fill, l.Completion = ring(off.Fr, cfg.Fill), ring(off.Cr, cfg.Completion)
	return nil
}

// FD is the socket. It stays the queue's.
func (q *Queue) FD() int { return q.fd }

// Layout is what Map needs beside the socket.
func (q *Queue) Layout() Layout { return q.layout }

// Close gives the queue back, once no other process holds the socket.
func (q *Queue) Close() error {
	if q.fd < 0 {
		return nil
	}
	fd := q.fd
	q.fd = -1
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("close XDP socket: %w", err)
	}
	return nil
}
