package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/hidden"
	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
)

// With Config.Hide a device's queues for programs are hidden ones, where the device can: out of the RSS table, reached by rules for the
// listeners that are on. The XDP program is the same, and still passes on what is not for a program.

// hider is what the broker needs of a *hidden.Queues.
type hider interface {
	Queues() []int
	Steer(s efvi.FilterSpec, locals []netip.Addr) ([]string, error)
	Unsteer(s efvi.FilterSpec) error
	Aim(specs []efvi.FilterSpec, queue int) error
	Led(s efvi.FilterSpec) (queue int, ok bool)
	Sweep() error
	Release() error
}

// hide takes queues of a new device, or goes on with those that an earlier broker took.
func (s *space) hide(n netDevice) hider {
	b := s.b
	if b.cfg.Hide == 0 {
		return nil
	}
	h, err := b.back.Hide(s.fd(), n.Name, b.cfg.Hide, identity(s.inode, n.Ifindex), b.journal(s.inode, n.Ifindex))
	if err != nil {
		b.log.Infof("broker: %s: no hidden queue, XDP alone steers: %v", n.Name, err)
		return nil
	}
	b.log.Infof("broker: %s: queues %v are hidden from the kernel", n.Name, h.Queues())
	return h
}

func identity(inode uint64, ifindex int) hidden.Identity {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return hidden.Identity{Boot: strings.TrimSpace(string(boot)), NetNS: inode, Ifindex: ifindex}
}

// journal is the file for a device's changes, beside the socket.
func (b *Broker) journal(inode uint64, ifindex int) string {
	return filepath.Join(journals(b.cfg.Socket), fmt.Sprintf("%d-%d.json", inode, ifindex))
}

func journals(socket string) string { return filepath.Join(filepath.Dir(socket), "hidden") }

// specs are the filters of a listener entry.
func (k key) specs() (out []efvi.FilterSpec) {
	ips := []netip.Addr{k.ip}
	if !k.ip.IsValid() {
		ips = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, ip := range ips {
		out = append(out, efvi.IPLocal(efvi.TCP, netip.AddrPortFrom(ip, k.port)))
	}
	return out
}

// steer leads an entry's packets to the hidden queues. What the device refuses stays with the kernel.
func (d *device) steer(k key) {
	h := d.hides()
	if h == nil {
		return
	}
	for _, s := range k.specs() {
		rules, err := h.Steer(s, d.addrs())
		if err != nil {
			d.space.b.log.Infof("broker: %s: %v stays with the kernel: %v", d.Name, s, err)
			continue
		}
		d.space.b.log.Infof("broker: %s: %v by rule %s", d.Name, s, strings.Join(rules, ", "))
	}
}

// unsteer ends an entry's rules.
func (d *device) unsteer(k key) {
	h := d.hides()
	if h == nil {
		return
	}
	for _, s := range k.specs() {
		if err := h.Unsteer(s); err != nil && !errors.Is(err, unix.ENOENT) {
			d.note(err)
		}
	}
}

// hides is what leads packets to hidden queues; from there they go to spurs, too.
func (d *device) hides() hider {
	if d.trunk != nil {
		return d.trunk.hidden
	}
	return d.hidden
}

// unhide gives the queues back to the kernel.
func (d *device) unhide() {
	if d.hidden == nil {
		return
	}
	if err := d.hidden.Release(); err != nil {
		d.space.b.log.Errorf("broker: %s: hidden queues: %v", d.Name, err)
	}
	d.hidden = nil
}

// inside makes ethtool requests in a network namespace.
type inside struct{ ns int }

func (i inside) Ethtool(device string, req []byte) error {
	return netns.Do(i.ns, func() error { return ethtool.Kernel{}.Ethtool(device, req) })
}

func (kernel) Hide(ns int, device string, count int, id hidden.Identity, path string) (hider, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// The rules outlive the call; so must the descriptor, which is the space's.
	h, err := hidden.Open(ethtool.NIC{Name: device, Call: inside{ns}}, count, id, path)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// repairHidden puts back what brokers that were killed changed, but for devices in keep, whose programs may still come.
func (b *Broker) repairHidden(keep map[steer.Pin]bool) {
	files, _ := filepath.Glob(filepath.Join(journals(b.cfg.Socket), "*.json"))
	for _, f := range files {
		var pin steer.Pin
		if n, _ := fmt.Sscanf(filepath.Base(f), "%d-%d.json", &pin.NetNS, &pin.Ifindex); n == 2 && (keep[pin] || b.hides(pin)) {
			continue
		}
		if err := repairOne(f); err != nil {
			b.log.Errorf("broker: repair of %s: %v", f, err)
			continue
		}
		b.log.Infof("broker: %s: repaired", f)
	}
}

// hides tells whether the journal is one of this broker's own.
func (b *Broker) hides(pin steer.Pin) bool {
	s := b.spaces[pin.NetNS]
	return s != nil && s.devices[pin.Ifindex] != nil && s.devices[pin.Ifindex].hidden != nil
}

// Repair puts every device back that the journals beside the socket tell of. No broker may be running there.
func Repair(socket string) (repaired []string, err error) {
	cfg := Config{Socket: socket}.withDefaults()
	if answers(cfg.Socket) {
		return nil, fmt.Errorf("a broker is running at %s; it repairs what it finds when it starts", cfg.Socket)
	}
	files, _ := filepath.Glob(filepath.Join(journals(cfg.Socket), "*.json"))
	for _, f := range files {
		if e := repairOne(f); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f, e))
			continue
		}
		repaired = append(repaired, f)
	}
	return repaired, err
}

func repairOne(path string) error {
	var where netnsCaller
	defer where.close()
	return hidden.Repair(path, &where, where.find)
}
