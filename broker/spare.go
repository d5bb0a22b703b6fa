package broker

import (
	"os"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
)

// spare is a umem made ahead: 64 MiB of fresh pages take the kernel 50 to 300 ms, which a short program's first connect would wait for.
// Nobody had it before.
type spare struct {
	file   *os.File // nil: none now
	mapped efvi.Memory
	making bool
}

// newMemory makes a umem, or takes the one made ahead, which is mapped.
func (b *Broker) newMemory(frames int) (*os.File, efvi.Memory, error) {
	if f, m := b.spare.file, b.spare.mapped; f != nil && frames == b.cfg.Frames {
		b.spare.file, b.spare.mapped = nil, efvi.Memory{}
		if !b.cfg.NoPins { // else for one program, which has it now
			b.makeSpare()
		}
		return f, m, nil
	}
	f, err := b.freshMemory(frames)
	return f, efvi.Memory{}, err
}

// unmap ends the mapping of a client's umem, beside.
func (c *client) unmap() {
	if m := c.mapped; len(m.Bytes) > 0 {
		c.mapped = efvi.Memory{}
		c.b.goDo(func() { _ = afxdp.UnmapMemory(m) })
	}
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
		f, m, err := b.touched(b.cfg.Frames)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.spare.making = false
		switch {
		case err != nil:
			b.log.Debugf("broker: umem made ahead: %v", err)
		case b.closed || b.drains:
			f.Close()
			_ = afxdp.UnmapMemory(m)
		default:
			b.spare.file, b.spare.mapped = f, m
		}
	})
}

func (b *Broker) dropSpare() {
	if b.spare.file != nil {
		b.spare.file.Close()
		_ = afxdp.UnmapMemory(b.spare.mapped)
		b.spare = spare{making: b.spare.making}
	}
}

// touched is a umem whose pages are there, and mapped.
func (b *Broker) touched(frames int) (*os.File, efvi.Memory, error) {
	f, err := b.freshMemory(frames)
	if err != nil {
		return nil, efvi.Memory{}, err
	}
	var m efvi.Memory
	if err = afxdp.MakePages(f); err == nil {
		m, err = afxdp.MapPages(f)
	}
	if err != nil {
		f.Close()
	}
	return f, m, err
}
