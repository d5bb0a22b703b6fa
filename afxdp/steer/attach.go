package steer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/netns"
)

// ErrAttached is returned by Attach when the pins of a living program are already there.
var ErrAttached = errors.New("already attached; adopt it")

// MaxLinearMTU is the largest MTU, in bytes, whose packets fit the one page that drivers keep for
// XDP. Above it the program is loaded as one that bears packets in several pieces (frags); those
// that fit no frame of the umem are then lost, so the stack has to name a smaller MSS.
const MaxLinearMTU = 3498

const linkName = "link"

// Attach loads the program and attaches it to ifindex in the network namespace ns (a
// descriptor, or netns.Current), where it runs best (see Mode). Link and maps are
// pinned under pinDir/<inode of ns>-<ifindex>, so that they outlive this process; pinDir must
// lie on a bpffs (see EnsureBPFFS). Without pinDir nothing is pinned, and all ends with this process.
func Attach(ns, ifindex int, pinDir string) (*Program, error) {
	return attach(ns, ifindex, pinDir, modesFor)
}

func attach(ns, ifindex int, pinDir string, modes func(kind string, queues int) []Mode) (*Program, error) {
	pin, err := pinOf(ns, ifindex)
	if err != nil {
		return nil, err
	}
	p := &Program{pin: pin}
	if pinDir != "" {
		if err := clearStale(pinDir, pin); err != nil {
			return nil, fmt.Errorf("attach to interface %d: %w", ifindex, err)
		}
		p.dir = filepath.Join(pinDir, pin.String())
	}
	err = netns.Do(ns, func() error { return p.attach(modes) })
	if err == nil && p.dir != "" {
		err = p.persist()
	}
	if err != nil {
		return nil, fmt.Errorf("attach to interface %d: %w", ifindex, errors.Join(err, p.Close()))
	}
	return p, nil
}

// attach runs in the device's namespace. The first mode that works is taken.
func (p *Program) attach(modes func(kind string, queues int) []Mode) error {
	l, err := netlink.LinkByIndex(p.pin.Ifindex)
	if err != nil {
		return fmt.Errorf("find device: %w", err)
	}
	attrs := l.Attrs()
	queues, err := ethtool.ReceiveQueues(attrs.Name)
	if err != nil || queues == 0 {
		queues = attrs.NumRxQueues
	}
	var errs []error
	for _, mode := range modes(l.Type(), queues) {
		err := p.load(attrs.MTU > MaxLinearMTU || mode == Generic && bearsJoined(), mode)
		if err == nil {
			p.mode = mode
			return p.describe(attrs)
		}
		errs = append(errs, fmt.Errorf("%s: %w", mode, err))
	}
	return errors.Join(errs...)
}

// load loads program and maps and attaches the program in one mode.
func (p *Program) load(frags bool, mode Mode) error {
	spec, err := loadSteer()
	if err != nil {
		return fmt.Errorf("read XDP object: %w", err)
	}
	if frags {
		spec.Programs[steerProgSteer].Flags |= unix.BPF_F_XDP_HAS_FRAGS
	}
	var obj steerObjects
	if err := spec.LoadAndAssign(&obj, nil); err != nil {
		return fmt.Errorf("load XDP program: %w", err)
	}
	defer obj.Steer.Close() // the link holds it
	p.link, err = link.AttachXDP(link.XDPOptions{Program: obj.Steer, Interface: p.pin.Ifindex, Flags: attachFlags[mode]})
	if err != nil {
		p.link = nil
		return errors.Join(fmt.Errorf("attach XDP program: %w", err), obj.steerMaps.Close())
	}
	p.maps = obj.steerMaps
	return nil
}

// describe tells the program about its device, and others about the program. On the generic path
// XDP runs after the kernel has joined packets (GRO): where it cannot hand them on that is turned off.
func (p *Program) describe(attrs *netlink.LinkAttrs) error {
	d := steerDevice{Netns: p.pin.NetNS, Ifindex: uint32(p.pin.Ifindex)}
	copy(d.Mac[:], attrs.HardwareAddr)
	if p.mode == Generic {
		d.Generic = 1
		if on, err := ethtool.GRO(attrs.Name); err == nil && on && !bearsJoined() && ethtool.SetGRO(attrs.Name, false) == nil {
			d.Gro = 1
		}
	}
	if err := p.maps.Devices.Put(uint32(0), d); err != nil {
		return fmt.Errorf("describe device: %w", err)
	}
	return nil
}

// SetMAC tells the program that the device has another link address.
func (p *Program) SetMAC(mac [6]byte) error {
	var d steerDevice
	if err := p.maps.Devices.Lookup(uint32(0), &d); err != nil {
		return fmt.Errorf("read device: %w", err)
	}
	if d.Mac == mac {
		return nil
	}
	d.Mac = mac
	if err := p.maps.Devices.Put(uint32(0), d); err != nil {
		return fmt.Errorf("describe device: %w", err)
	}
	return nil
}

// persist pins the maps and, last, the link: where there is a link pin, all is there.
func (p *Program) persist() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make pin directory: %w", err)
	}
	for name, m := range mapsByName(&p.maps) {
		if err := (*m).Pin(filepath.Join(p.dir, name)); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	if err := p.link.Pin(filepath.Join(p.dir, linkName)); err != nil {
		return fmt.Errorf("pin link: %w", err)
	}
	return nil
}

// Adopt reopens what Attach pinned, in this process or in one that is gone.
func Adopt(ns, ifindex int, pinDir string) (*Program, error) {
	pin, err := pinOf(ns, ifindex)
	if err != nil {
		return nil, err
	}
	return AdoptPin(pinDir, pin)
}

// AdoptPin is Adopt for a pin that Pins found. If the device is gone it returns os.ErrNotExist;
// RemovePin then clears up.
func AdoptPin(pinDir string, pin Pin) (*Program, error) {
	p := &Program{pin: pin, dir: filepath.Join(pinDir, pin.String())}
	if err := p.reopen(); err != nil {
		_ = p.Release()
		return nil, fmt.Errorf("adopt XDP program %s: %w", pin, err)
	}
	return p, nil
}

func (p *Program) reopen() error {
	var err error
	if p.link, err = livingLink(filepath.Join(p.dir, linkName)); err != nil {
		return err
	}
	for name, m := range mapsByName(&p.maps) {
		*m, err = ebpf.LoadPinnedMap(filepath.Join(p.dir, name), nil)
		if errors.Is(err, os.ErrNotExist) && (m == &p.maps.Spurs || m == &p.maps.SpurEnds) {
			continue // a program of before there were spurs
		}
		if err != nil {
			return fmt.Errorf("open pinned map %s: %w", name, err)
		}
	}
	if p.maps.Listeners.KeySize() != uint32(binary.Size(steerListenerKey{})) || p.maps.Listeners.ValueSize() != uint32(binary.Size(steerListener{})) {
		return errors.New("its entries are those of another version")
	}
	var d steerDevice
	if err := p.maps.Devices.Lookup(uint32(0), &d); err != nil {
		return fmt.Errorf("read device: %w", err)
	}
	p.mode = Native
	if d.Generic != 0 {
		p.mode = Generic
	}
	return nil
}

// livingLink opens a pinned link, if it is still attached to a device.
func livingLink(path string) (link.Link, error) {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil, fmt.Errorf("open pinned link: %w", err)
	}
	info, err := l.Info()
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("ask for link: %w", err)
	}
	if x := info.XDP(); x == nil || x.Ifindex == 0 {
		_ = l.Close()
		return nil, fmt.Errorf("device of the link: %w", os.ErrNotExist)
	}
	return l, nil
}
