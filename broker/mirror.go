package broker

import (
	"slices"
	"sync"
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
	rings  map[*client]*mirror.Reader // the device's
}

// maxMirrors bounds each user's; each is another copy of every packet of his programs.
const maxMirrors = 8

// mirrorsOf counts a user's.
func (b *Broker) mirrorsOf(uid uint32) (n int) {
	for _, m := range b.mirrors {
		if m.who == nil && uid == 0 || m.who != nil && m.who.uid == uid {
			n++
		}
	}
	return n
}

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
	begun, err := b.beginMirror(c, want, p.FDs)
	if err == nil {
		begun.Wait()
	}
	return nil, nil, err
}

// tapTimeout is how long a mirror waits for a program to begin; one that is stopped begins when it goes on.
const tapTimeout = time.Second

// beginMirror begins one; begun is done when the programs of now show their packets.
func (b *Broker) beginMirror(c *client, want proto.Mirror, fds []int) (begun *sync.WaitGroup, err error) {
	begun = new(sync.WaitGroup)
	b.mu.Lock()
	defer b.mu.Unlock()
	onDevice := want.Off || len(fds) == 1
	switch {
	case onDevice && c.uid != 0:
		return nil, refuse("mirror: only root may have a device")
	case onDevice:
		b.endDevice()
	}
	if want.Off {
		return begun, nil
	}
	if b.mirrorsOf(c.uid) >= maxMirrors {
		return nil, refuse("mirror: %d are on already", maxMirrors)
	}
	if c.uid != 0 {
		want.Size = min(want.Size, proto.DefaultRing)
	}
	b.nmirror++
	m := &mirrored{id: b.nmirror, who: c, want: want, taps: map[*client]bool{}, rings: map[*client]*mirror.Reader{}}
	if onDevice {
		f, err := dupFile(fds[0], "mirror")
		if err != nil {
			return nil, err
		}
		m.who, m.device = nil, newTapDevice(f)
		b.goDo(func() { m.device.run(b.stopping) })
	}
	c.looks = true
	b.mirrors = append(b.mirrors, m)
	for o := range b.clients {
		b.tap(m, o, begun)
	}
	b.log.Infof("broker: %v: mirrors the packets of %d programs", c, len(m.taps))
	return begun, nil
}

// mirrorNew shows a process that has just come, before it has any queue.
func (b *Broker) mirrorNew(c *client, tool bool) {
	if c.looks = tool; tool {
		return
	}
	for _, m := range b.mirrors {
		b.tap(m, c, new(sync.WaitGroup))
	}
}

// tap makes the ring between a program and a mirror, if the one may see the other.
func (b *Broker) tap(m *mirrored, o *client, begun *sync.WaitGroup) {
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
		m.rings[o] = r
		m.device.news <- ringNews{r, false}
	} else {
		ring := proto.Ring{Pid: o.pid, Program: o.program}
		if o.space != nil {
			ring.NetNS = o.space.inode
		}
		m.who.tell(proto.OpRing, ring, fd)
	}
	m.taps[o] = true
	begun.Add(1)
	o.ask(proto.OpTap, proto.Tap{Mirror: m.id}, []int{fd}, tapTimeout, func(*proto.Packet, error) { begun.Done() })
}

// endMirrors ends those of a tool, or (nil) all, and forgets a program.
func (b *Broker) endMirrors(c *client) {
	for _, m := range slices.Clone(b.mirrors) {
		if r := m.rings[c]; r != nil {
			m.device.news <- ringNews{r, true}
			delete(m.rings, c)
		}
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
