package steer

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/netns"
)

// Program is the XDP program on one device, with its maps. Its methods may be called from several
// goroutines: each is one or two map operations, which the kernel orders.
type Program struct {
	pin  Pin
	dir  string // where this program's pins are
	mode Mode
	link link.Link
	maps steerMaps
}

// Mode tells where the program runs.
func (p *Program) Mode() Mode { return p.mode }

// Pin tells which device of which namespace the program is on.
func (p *Program) Pin() Pin { return p.pin }

// mapsByName lists the maps by the names they are pinned under.
func mapsByName(m *steerMaps) map[string]**ebpf.Map {
	return map[string]**ebpf.Map{
		steerMapConnects:  &m.Connects,
		steerMapCounters:  &m.Counters,
		steerMapDevices:   &m.Devices,
		steerMapListeners: &m.Listeners,
		steerMapQuiet:     &m.Quiet,
		steerMapSpurEnds:  &m.SpurEnds,
		steerMapSpurs:     &m.Spurs,
		steerMapXsks:      &m.Xsks,
	}
}

// Release closes the descriptors and leaves program and pins in place, for Adopt. The Program is
// of no use afterwards; a Close then does nothing.
func (p *Program) Release() error {
	var errs []error
	if p.link != nil {
		errs = append(errs, p.link.Close())
	}
	errs = append(errs, p.maps.Close())
	*p = Program{pin: p.pin, mode: p.mode}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("release XDP program: %w", err)
	}
	return nil
}

// Close detaches the program and removes its pins.
func (p *Program) Close() error {
	var errs []error
	dir := p.dir
	if p.link != nil {
		// The program stays attached as long as any process has the link open, so it is
		// detached outright. A device that went away took it along.
		if err := p.link.Detach(); err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("detach XDP program: %w", err))
		}
		p.restoreOffload()
	}
	errs = append(errs, p.Release())
	if err := os.RemoveAll(dir); err != nil {
		errs = append(errs, fmt.Errorf("remove pins: %w", err))
	}
	return errors.Join(errs...)
}

// restoreOffload turns generic receive offload on again where describe turned it off. Without a
// namespace or a device any more there is nothing to do.
func (p *Program) restoreOffload() {
	var d steerDevice
	if p.maps.Devices == nil || p.maps.Devices.Lookup(uint32(0), &d) != nil || d.Gro == 0 {
		return
	}
	ns, err := netns.Find(p.pin.NetNS)
	if err != nil {
		return
	}
	defer ns.Close()
	_ = netns.Do(int(ns.Fd()), func() error {
		l, err := netlink.LinkByIndex(p.pin.Ifindex)
		if err != nil {
			return err
		}
		return ethtool.SetGRO(l.Attrs().Name, true)
	})
}
