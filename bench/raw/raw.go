// Package raw is a ping-pong of Ethernet frames over AF_XDP with no protocol at all: the limit that a stack over AF_XDP
// can come close to. Both ends spin; a frame costs one kick of the transmit ring and one pass through the device.
package raw

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
)

// FrameLen is the length of the frames, in bytes, without their checksum.
const FrameLen = 64

// patience bounds the wait for a queue: the kernel gives one back some time after its socket was closed.
const patience = 15 * time.Second

// framesPerQueue are posted for receiving; one more, behind those of all queues, is for sending.
const framesPerQueue = 64

// End is one end: every queue of a device, in the calling thread's network namespace. It needs root.
type End struct {
	steering *steering
	vis      []*afxdp.VI
	mem      efvi.Memory
	mac      [6]byte
	silence  time.Duration // without an answer after which Call gives up
	ev       [framesPerQueue]efvi.Event
}

// Open takes the device that has the address ip.
func Open(ip net.IP) (*End, error) {
	ifindex, err := deviceOf(ip)
	if err != nil {
		return nil, err
	}
	dev, err := afxdp.Probe(ifindex)
	if err != nil {
		return nil, err
	}
	e := &End{mac: dev.MAC, silence: patience}
	if e.steering, err = steer(ifindex, dev.Kind, dev.Queues); err != nil {
		return nil, err
	}
	if err := e.openQueues(dev); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// deviceOf finds a device by its address.
func deviceOf(ip net.IP) (int, error) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				return i.Index, nil
			}
		}
	}
	return 0, fmt.Errorf("no device has the address %s", ip)
}

func (e *End) openQueues(dev afxdp.Device) error {
	queues := min(dev.Queues, maxQueues)
	mem, err := afxdp.NewMemory("sluice-raw", queues*framesPerQueue+1)
	if err != nil {
		return err
	}
	defer mem.Close()
	if e.mem, err = afxdp.MapMemory(mem); err != nil {
		return err
	}
	for i := range queues {
		if err := e.openQueue(dev, i, mem); err != nil {
			return err
		}
	}
	return nil
}

func (e *End) openQueue(dev afxdp.Device, i int, mem *os.File) error {
	q, err := afxdp.OpenQueue(dev.Ifindex, i, mem, afxdp.RingConfig{})
	for end := time.Now().Add(patience); errors.Is(err, unix.EBUSY) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		q, err = afxdp.OpenQueue(dev.Ifindex, i, mem, afxdp.RingConfig{})
	}
	if err != nil {
		return err
	}
	defer q.Close()
	fd, err := unix.FcntlInt(uintptr(q.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate socket: %w", err)
	}
	vi, err := afxdp.Map(fd, q.Layout(), e.mem, dev.Info(i, q.Layout(), true))
	if err != nil {
		return err
	}
	e.vis = append(e.vis, vi)
	for f := range uint32(framesPerQueue) {
		vi.Post([]uint32{uint32(i)*framesPerQueue + f})
	}
	return e.steering.set(i, fd)
}

// Close gives the device back.
func (e *End) Close() {
	for _, vi := range e.vis {
		_ = vi.Close()
	}
	if e.mem.Bytes != nil {
		_ = afxdp.UnmapMemory(e.mem)
	}
	e.steering.close()
}

// Reflect sends every frame back to where it came from, until stop.
func (e *End) Reflect(stop <-chan struct{}) {
	e.own()
	for turns := 0; ; turns++ {
		if turns&0xffff == 0 {
			select {
			case <-stop:
				return
			default:
			}
		}
		e.each(func(vi *afxdp.VI, f efvi.Event) {
			b := e.mem.Data(f)
			copy(b[:6], b[6:12])
			copy(b[6:12], e.mac[:])
			vi.Send(f.Frame, f.Off, f.Len)
			_ = vi.Flush()
		}, func(vi *afxdp.VI, frame uint32) { vi.Post([]uint32{frame}) })
	}
}

// errSilent is what Call returns when nothing comes back.
var errSilent = errors.New("no answer to a frame")

// least is how many latencies Call takes, however long that lasts.
const least = 100

// Call sends frames to the other end's address for that long, after a tenth of it as warm-up, each when the one before came
// back, and gives the latencies in nanoseconds to took. It returns how many went there and back, the warm-up included.
func (e *End) Call(to [6]byte, d time.Duration, took func(ns int64)) (int, error) {
	e.own()
	out := uint32(len(e.vis) * framesPerQueue)
	b := e.mem.Frame(out)
	clear(b[:FrameLen])
	copy(b, to[:])
	copy(b[6:], e.mac[:])
	b[12], b[13] = etherType>>8, etherType&0xff
	begin := time.Now()
	from := begin.Add(d / 10)
	end := from.Add(d)
	for n, heard := 0, 0; ; n++ {
		t := time.Now()
		if t.After(end) && heard >= least {
			return n, nil
		}
		if !e.bounce(out, t) {
			return n, errSilent
		}
		if t.After(from) {
			took(int64(time.Since(t)))
			heard++
		}
	}
}

// bounce sends the frame and spins until one comes.
func (e *End) bounce(out uint32, t time.Time) bool {
	e.vis[0].Send(out, 0, FrameLen)
	_ = e.vis[0].Flush()
	for back, turns := false, 0; !back; turns++ {
		e.each(func(vi *afxdp.VI, f efvi.Event) {
			back = true
			vi.Post([]uint32{f.Frame})
		}, func(*afxdp.VI, uint32) {})
		if turns&0xffff == 0xffff && time.Since(t) > e.silence {
			return false
		}
	}
	return true
}

// each looks once at every queue.
func (e *End) each(came func(*afxdp.VI, efvi.Event), sent func(vi *afxdp.VI, frame uint32)) {
	for _, vi := range e.vis {
		for _, ev := range e.ev[:vi.Poll(e.ev[:])] {
			switch ev.Kind {
			case efvi.EventRX:
				came(vi, ev)
			case efvi.EventTX:
				sent(vi, ev.Frame)
			}
		}
	}
}

// own gives the calling goroutine a thread, and the runtime enough processors that it does not take this thread's away in
// every kick.
func (e *End) own() {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0)))
}
