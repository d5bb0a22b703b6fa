package nic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
)

// patience bounds the wait for a queue: the kernel gives one back some time after its socket was closed.
const patience = 15 * time.Second

// PD is a protection domain: registered memory, for the queues of any number of devices. A frame that came in by one may
// leave by another.
type PD struct {
	Memory efvi.Memory
	file   *os.File
	next   uint32 // first frame that no port has
}

// NewPD makes a domain of that many frames of efvi.FrameSize bytes. The name shows in /proc/PID/maps.
func NewPD(name string, frames int) (*PD, error) {
	f, err := afxdp.NewMemory(name, frames)
	if err != nil {
		return nil, err
	}
	m, err := afxdp.MapMemory(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &PD{Memory: m, file: f}, nil
}

// Alloc takes n frames of the domain: the first of them, and the others in a row. They are never given back.
func (d *PD) Alloc(n int) (uint32, error) {
	if uint64(d.next)+uint64(n) > uint64(d.Memory.Frames()) {
		return 0, fmt.Errorf("a domain of %d frames has no %d more", d.Memory.Frames(), n)
	}
	first := d.next
	d.next += uint32(n)
	return first, nil
}

// Close gives the memory back. Its ports must be closed before.
func (d *PD) Close() error {
	return errors.Join(afxdp.UnmapMemory(d.Memory), d.file.Close())
}

// Port is a VI set: a device of which the packets that a filter chooses are ours.
type Port struct {
	Device   afxdp.Device
	VIs      []*afxdp.VI // by receive queue
	steering *steering
	timed    bool
	times    efvi.Times // that the driver has
}

// Open takes every receive queue of a device of the calling thread's network namespace, posts that many frames of the domain
// to each, and steers what the filter chooses to them.
func (d *PD) Open(device string, f efvi.FilterSpec, frames int) (*Port, error) {
	return d.open(device, f, frames, false)
}

// OpenTimed is Open with times of packets, as far as kernel and driver have them: each VI's Times says so. What is sent must have
// efvi.SumRoom bytes in front of it. All ports of a domain must be opened alike.
func (d *PD) OpenTimed(device string, f efvi.FilterSpec, frames int) (*Port, error) {
	return d.open(device, f, frames, true)
}

func (d *PD) open(device string, f efvi.FilterSpec, frames int, timed bool) (*Port, error) {
	dev, err := find(device, f)
	if err != nil {
		return nil, err
	}
	p := &Port{Device: dev, timed: timed}
	var native bool
	if timed {
		if features, err := afxdp.ProbeFeatures(dev.Ifindex); err == nil {
			p.times = features.Times()
		}
	}
	if p.steering, native, err = steer(dev, f, &p.times); err != nil {
		return nil, err
	}
	for q := 0; q < dev.Queues && err == nil; q++ {
		err = d.openQueue(p, q, frames, native)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", device, err), p.Close())
	}
	return p, nil
}

// find looks at a device, for a filter that makes sense.
func find(device string, f efvi.FilterSpec) (afxdp.Device, error) {
	if err := f.Check(); err != nil {
		return afxdp.Device{}, err
	}
	i, err := net.InterfaceByName(device)
	if err != nil {
		return afxdp.Device{}, fmt.Errorf("find %s: %w", device, err)
	}
	return afxdp.Probe(i.Index)
}

func (d *PD) openQueue(p *Port, queue, frames int, native bool) error {
	q, err := afxdp.PrepareQueue(p.Device.Ifindex, queue, d.file, afxdp.RingConfig{TxMetadata: p.timed})
	if err != nil {
		return err
	}
	defer q.Close()
	fd, err := unix.FcntlInt(uintptr(q.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate socket: %w", err)
	}
	info := p.Device.Info(queue, q.Layout(), native)
	info.Times = p.times
	vi, err := afxdp.Map(fd, q.Layout(), d.Memory, info)
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	p.VIs = append(p.VIs, vi)
	err = q.Bind() // after the rings are mapped: before Linux 6.4 they cannot be any more
	for end := time.Now().Add(patience); errors.Is(err, unix.EBUSY) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		err = q.Bind()
	}
	if err != nil {
		return err
	}
	vi.Bound(q.Layout())
	first, err := d.Alloc(frames)
	if err != nil {
		return err
	}
	post := make([]uint32, frames)
	for i := range post {
		post[i] = first + uint32(i)
	}
	if n := vi.Post(post); n < frames {
		return fmt.Errorf("queue %d takes %d frames, not %d", queue, n, frames)
	}
	return p.steering.set(queue, fd)
}

// Wait sleeps until packets wait at a queue, or that long (0: for ever); a signal ends it, too.
func (p *Port) Wait(d time.Duration) {
	fds := make([]unix.PollFd, len(p.VIs))
	for i, vi := range p.VIs {
		fds[i] = unix.PollFd{Fd: int32(vi.FD()), Events: unix.POLLIN}
	}
	ms := -1
	if d > 0 {
		ms = int(max(d.Milliseconds(), 1))
	}
	_, _ = unix.Poll(fds, ms)
}

// Close gives the device back to the kernel.
func (p *Port) Close() error {
	var errs []error
	for _, vi := range p.VIs {
		errs = append(errs, vi.Close())
	}
	return errors.Join(append(errs, p.steering.close())...)
}
