package broker

import (
	"os"
	"slices"
	"time"

	"github.com/sluice-net/sluice/efvi/mirror"
)

// tapDevice is a network device that packets are written to.
type tapDevice struct {
	file  *os.File
	news  chan ringNews
	end   chan struct{}
	count chan MirrorStatus // holds the latest
}

// ringNews tells of the ring of a program that came, or that went.
type ringNews struct {
	ring *mirror.Reader
	gone bool
}

// MirrorStatus is the mirror interface's.
type MirrorStatus struct {
	Packets uint64 `json:"packets"`
	Dropped uint64 `json:"dropped"` // because the ring or the device was full
}

func newTapDevice(f *os.File) *tapDevice {
	d := &tapDevice{file: f, news: make(chan ringNews, 4096), end: make(chan struct{}), count: make(chan MirrorStatus, 1)}
	d.count <- MirrorStatus{}
	return d
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
		case n := <-d.news:
			if !n.gone {
				rings = append(rings, n.ring)
			} else if i := slices.Index(rings, n.ring); i >= 0 {
				d.drain(n.ring, &s.Packets, &failed)
				failed += n.ring.Dropped()
				n.ring.Close()
				rings = slices.Delete(rings, i, i+1)
			}
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
