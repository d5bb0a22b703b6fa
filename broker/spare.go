package broker

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
)

// spare is a umem made ahead: 64 MiB of fresh pages take the kernel 50 to 300 ms, which a short program's first connect would wait for.
// Nobody had it before.
type spare struct {
	file   *os.File // nil: none now
	making bool
}

// newMemory makes a umem, or takes the one made ahead.
func (b *Broker) newMemory(frames int) (*os.File, error) {
	if f := b.spare.file; f != nil && frames == b.cfg.Frames {
		b.spare.file = nil
		if !b.cfg.NoPins { // else for one program, which has it now
			b.makeSpare()
		}
		return f, nil
	}
	return b.freshMemory(frames)
}

const umemName = "sluice-umem"

// freshMemory is in huge pages if that was asked for and there are enough.
func (b *Broker) freshMemory(frames int) (*os.File, error) {
	if b.cfg.Huge {
		f, err := afxdp.NewHugeMemory(umemName, frames)
		if err == nil {
			return f, nil
		}
		b.log.Infof("broker: %v; it gets ordinary ones", err)
	}
	return afxdp.NewMemory(umemName, frames)
}

// makeSpare makes the next umem, beside.
func (b *Broker) makeSpare() {
	if b.spare.file != nil || b.spare.making {
		return
	}
	b.spare.making = true
	b.goDo(func() {
		f, err := b.touched(b.cfg.Frames)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.spare.making = false
		switch {
		case err != nil:
			b.log.Debugf("broker: umem made ahead: %v", err)
		case b.closed || b.drains:
			f.Close()
		default:
			b.spare.file = f
		}
	})
}

func (b *Broker) dropSpare() {
	if b.spare.file != nil {
		b.spare.file.Close()
		b.spare.file = nil
	}
}

// touched is a umem whose pages are there.
func (b *Broker) touched(frames int) (*os.File, error) {
	f, err := b.freshMemory(frames)
	if err != nil {
		return nil, err
	}
	m, err := afxdp.MapMemory(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	_ = unix.Madvise(m.Bytes, unix.MADV_POPULATE_WRITE) // a kernel before 5.14 makes them when they are registered
	return f, afxdp.UnmapMemory(m)
}
