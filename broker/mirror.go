package broker

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi/mirror"
)

// mirrored is somebody's wish to see packets. All fields belong to the broker's lock but those of the device's loop.
type mirrored struct {
	id     uint64
	who    *client // the tool; nil: the device
	want   proto.Mirror
	taps   map[*client]bool
	device *tapDevice
}

// maxMirrors bounds them; each is another copy of every packet.
const maxMirrors = 8

// opMirror begins a mirror, or ends the device's.
func opMirror(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var want proto.Mirror
	if err := p.Into(&want); err != nil || want.Size < 0 || want.Size > proto.MaxRing || want.Snap < 0 || len(p.FDs) > 1 {
		return nil, nil, refuse("mirror: not understood")
	}
	if want.Size == 0 {
		want.Size = proto.DefaultRing
	}
	if want.Snap == 0 {
		want.Snap = 1 << 16
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	onDevice := want.Off || len(p.FDs) == 1
	switch {
	case onDevice && c.uid != 0:
		return nil, nil, refuse("mirror: only root may have a device")
	case onDevice:
		b.endDevice()
	}
	if want.Off {
		return nil, nil, nil
	}
	if len(b.mirrors) >= maxMirrors {
		return nil, nil, refuse("mirror: %d are on already", maxMirrors)
	}
	b.nmirror++
	m := &mirrored{id: b.nmirror, who: c, want: want, taps: map[*client]bool{}}
	if onDevice {
		f, err := dupFile(p.FDs[0], "mirror")
		if err != nil {
			return nil, nil, err
		}
		m.who, m.device = nil, newTapDevice(f)
		b.goDo(func() { m.device.run(b.stopping) })
	}
	c.looks = true
	b.mirrors = append(b.mirrors, m)
	for o := range b.clients {
		b.tap(m, o)
	}
	b.log.Infof("broker: %v: mirrors the packets of %d programs", c, len(m.taps))
	return nil, nil, nil
}

// mirrorNew shows a process that has just come, before it has any queue.
func (b *Broker) mirrorNew(c *client, tool bool) {
	if c.looks = tool; tool {
		return
	}
	for _, m := range b.mirrors {
		b.tap(m, c)
	}
}

// tap makes the ring between a program and a mirror, if the one may see the other.
func (b *Broker) tap(m *mirrored, o *client) {
	if o.gone || o.looks || o.token == "" || m.want.Pid != 0 && m.want.Pid != o.pid || m.who != nil && m.who.uid != 0 && m.who.uid != o.uid {
		return
	}
	fd, err := mirror.New(m.want.Size, m.want.Snap)
	if err != nil {
		b.log.Errorf("broker: %v", err)
		return
	}
	defer unix.Close(fd)
	if m.device != nil {
		r, err := mirror.OpenReader(fd)
		if err != nil {
			return
		}
		m.device.add(r)
	} else {
		ring := proto.Ring{Pid: o.pid, Program: o.program}
		if o.space != nil {
			ring.NetNS = o.space.inode
		}
		m.who.tell(proto.OpRing, ring, fd)
	}
	m.taps[o] = true
	o.tell(proto.OpTap, proto.Tap{Mirror: m.id}, fd)
}

// endMirrors ends those of a tool, or (nil) all, and forgets a program.
func (b *Broker) endMirrors(c *client) {
	for _, m := range slices.Clone(b.mirrors) {
		if delete(m.taps, c); m.who == c && (c != nil || m.device != nil) || c == nil {
			b.endMirror(m)
		}
	}
}

func (b *Broker) endDevice() {
	for _, m := range slices.Clone(b.mirrors) {
		if m.device != nil {
			b.endMirror(m)
		}
	}
}

func (b *Broker) endMirror(m *mirrored) {
	b.mirrors = slices.DeleteFunc(b.mirrors, func(o *mirrored) bool { return o == m })
	for o := range m.taps {
		o.tell(proto.OpTap, proto.Tap{Mirror: m.id, Off: true})
	}
	if m.device != nil {
		m.device.close()
	}
}

// tapDevice is a network device that packets are written to.
type tapDevice struct {
	file  *os.File
	fresh chan *mirror.Reader
	end   chan struct{}
	count chan MirrorStatus // holds the latest
}

// MirrorStatus is the mirror interface's.
type MirrorStatus struct {
	Packets uint64 `json:"packets"`
	Dropped uint64 `json:"dropped"` // because the ring or the device was full
}

func newTapDevice(f *os.File) *tapDevice {
	d := &tapDevice{file: f, fresh: make(chan *mirror.Reader, 4096), end: make(chan struct{}), count: make(chan MirrorStatus, 1)}
	d.count <- MirrorStatus{}
	return d
}

func (d *tapDevice) add(r *mirror.Reader) {
	select {
	case d.fresh <- r:
	default:
		r.Close()
	}
}

func (d *tapDevice) close() { close(d.end) }

func (m *mirrored) status() *MirrorStatus {
	s := <-m.device.count
	m.device.count <- s
	return &s
}

// mirrorPause is how often the rings are looked at.
const mirrorPause = time.Millisecond

// run writes packets to the device until it is closed.
func (d *tapDevice) run(stopping chan struct{}) {
	defer d.file.Close()
	tick := time.NewTicker(mirrorPause)
	defer tick.Stop()
	var rings []*mirror.Reader
	var s MirrorStatus
	failed := uint64(0)
	for {
		select {
		case <-d.end:
		case <-stopping:
		case r := <-d.fresh:
			rings = append(rings, r)
			continue
		case <-tick.C:
			s.Dropped = failed
			for i := 0; i < len(rings); i++ {
				if !d.drain(rings[i], &s.Packets, &failed) {
					rings[i].Close()
					rings = append(rings[:i], rings[i+1:]...)
					i--
					continue
				}
				s.Dropped += rings[i].Dropped()
			}
			<-d.count
			d.count <- s
			continue
		}
		for _, r := range rings {
			r.Close()
		}
		return
	}
}

// drain writes what is there; false: the ring is no good.
func (d *tapDevice) drain(r *mirror.Reader, written, failed *uint64) bool {
	var p mirror.Packet
	for range 1 << 16 {
		ok, err := r.Next(&p)
		if !ok {
			return err == nil
		}
		if _, err := d.file.Write(p.Data); err != nil {
			*failed++
			continue
		}
		*written++
	}
	return true
}
