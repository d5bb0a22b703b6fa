package steer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Flags of a listener entry, as in steer.c. Without any its SYNs go to user space whatever sockets there are.
type Flags uint32

// An entry stands for a socket that somebody showed. These hold it to that, packet by packet.
const (
	Listens    Flags = 1 << iota // SYNs go to user space only while the kernel listens there: the entry of a listener
	ListensNot                   // only while it does not: the entry of a bound port
	NoSYN                        // never: connections that are there go on, new ones are the kernel's
)

// KernelShare makes flags of which the kernel gets n of 256 new connections, 0 to 255: processes listen there that have no queue. Which
// ones follows from the connection's addresses and ports.
func (f Flags) KernelShare(n uint8) Flags { return f&^0xff00 | Flags(n)<<8 }

// Link is what an entry is on: the device itself, or the VLAN device with this IEEE 802.1Q identifier on top of it. Frames of the one never
// match entries of the other. And where from there: to the sockets of the device's queues, or by spurs.
type Link struct {
	VLAN    uint16 // 1 to 4094; 0: not tagged
	Ifindex int    // of the VLAN device
	Way     Way
}

// Untagged is the device itself.
var Untagged = Link{}

// Tuple is a connection seen from this host.
type Tuple struct{ Local, Remote netip.AddrPort }

// SetListener sends connections to (ip, port) to user space. An invalid ip stands for every local
// address, an unspecified one for every address of its family.
func (p *Program) SetListener(on Link, ip netip.Addr, port uint16, flags Flags) error {
	for _, k := range listenerKeys(on, ip, port) {
		if err := p.maps.Listeners.Put(k, on.listener(flags)); err != nil {
			return fmt.Errorf("set listener entry for port %d: %w", port, err)
		}
	}
	return nil
}

// DelListener undoes SetListener of the same address and port. It is no error if there is none.
func (p *Program) DelListener(on Link, ip netip.Addr, port uint16) error {
	for _, k := range listenerKeys(on, ip, port) {
		if err := del(p.maps.Listeners, k); err != nil {
			return fmt.Errorf("delete listener entry for port %d: %w", port, err)
		}
	}
	return nil
}

// SetPorts is SetListener, with ListensNot, for many ports of one address, in one system call: all of them, or an error and none.
func (p *Program) SetPorts(on Link, ip netip.Addr, ports []uint16) error {
	keys, values := portKeys(on, ip, ports), slices.Repeat([]steerListener{on.listener(ListensNot)}, len(ports))
	if _, err := p.maps.Listeners.BatchUpdate(keys, values, nil); err != nil {
		return fmt.Errorf("set entries of %d ports: %w", len(ports), errors.Join(err, p.DelPorts(on, ip, ports)))
	}
	return nil
}

// DelPorts undoes SetPorts. It is no error if some are missing.
func (p *Program) DelPorts(on Link, ip netip.Addr, ports []uint16) error {
	for keys := portKeys(on, ip, ports); len(keys) > 0; {
		n, err := p.maps.Listeners.BatchDelete(keys, nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ebpf.ErrKeyNotExist) || n >= len(keys) {
			return fmt.Errorf("delete entries of ports: %w", err)
		}
		keys = keys[n+1:] // it stopped at one that is missing
	}
	return nil
}

func (on Link) listener(flags Flags) steerListener {
	return steerListener{Flags: uint32(flags) | on.Way.flags(), Ifindex: uint32(on.Ifindex)}
}

func (on Link) listenerKey(ip netip.Addr, port uint16) steerListenerKey {
	return steerListenerKey{Local: address(ip), Port: netOrder(port), Vlan: on.VLAN, Proto: unix.IPPROTO_TCP}
}

func portKeys(on Link, ip netip.Addr, ports []uint16) []steerListenerKey {
	keys := make([]steerListenerKey, len(ports))
	for i, port := range ports {
		keys[i] = on.listenerKey(ip, port)
	}
	return keys
}

// ListenerEntry is one of Listeners.
type ListenerEntry struct {
	On Link
	netip.AddrPort
}

// Listeners lists the listener entries.
func (p *Program) Listeners() ([]ListenerEntry, error) {
	var out []ListenerEntry
	var k steerListenerKey
	var v steerListener
	it := p.maps.Listeners.Iterate()
	for it.Next(&k, &v) {
		out = append(out, ListenerEntry{Link{k.Vlan, int(v.Ifindex), wayOf(v.Flags)}, netip.AddrPortFrom(k.Local.addr(), hostOrder(k.Port))})
	}
	return out, it.Err()
}

// SetConnect sends one connection to user space.
func (p *Program) SetConnect(on Link, t Tuple) error {
	if err := p.maps.Connects.Put(connectKey(on, t), on.Way.flags()); err != nil {
		return fmt.Errorf("set connect entry: %w", err)
	}
	return nil
}

// taken is the flag TAKEN of steer.c.
const taken = uint32(1)

// SetTaken sends one connection to user space although the kernel has a socket of it.
func (p *Program) SetTaken(on Link, t Tuple) error {
	if err := p.maps.Connects.Put(connectKey(on, t), taken|on.Way.flags()); err != nil {
		return fmt.Errorf("set entry of a connection that is taken: %w", err)
	}
	return nil
}

// DelConnect undoes SetConnect and SetTaken. It is no error if there is none.
func (p *Program) DelConnect(on Link, t Tuple) error {
	if err := del(p.maps.Connects, connectKey(on, t)); err != nil {
		return fmt.Errorf("delete connect entry: %w", err)
	}
	return nil
}

// ConnectEntry is one of Connects. Of its link the VLAN device's number is not known.
type ConnectEntry struct {
	On Link
	Tuple
}

// Connects lists the connect entries.
func (p *Program) Connects() ([]ConnectEntry, error) {
	var out []ConnectEntry
	var k steerConnectKey
	var v uint32
	it := p.maps.Connects.Iterate()
	for it.Next(&k, &v) {
		out = append(out, ConnectEntry{Link{VLAN: k.Vlan, Way: wayOf(v)}, Tuple{
			Local:  netip.AddrPortFrom(k.Local.addr(), hostOrder(k.LocalPort)),
			Remote: netip.AddrPortFrom(k.Remote.addr(), hostOrder(k.RemotePort)),
		}})
	}
	return out, it.Err()
}

// MaxQueues is how many queues of a device can be served: 0 to MaxQueues-1.
const MaxQueues = FirstSpur

// SetQueue names the AF_XDP socket that gets the packets of queue. The entry goes by itself when
// the last holder of the socket closes it.
func (p *Program) SetQueue(queue, xskFD int) error {
	if err := p.maps.Xsks.Put(uint32(queue), uint32(xskFD)); err != nil {
		return fmt.Errorf("set socket of queue %d: %w", queue, err)
	}
	return nil
}

// DelQueue undoes SetQueue and SetSpur. It is no error if there is none.
func (p *Program) DelQueue(queue int) error {
	if queue >= FirstSpur {
		return p.delSpur(queue)
	}
	if err := del(p.maps.Xsks, uint32(queue)); err != nil {
		return fmt.Errorf("delete socket of queue %d: %w", queue, err)
	}
	return nil
}

// SetQuiet leaves pure SYNs of queue, or spur, to the kernel while on.
func (p *Program) SetQuiet(queue int, on bool) error {
	var v uint32
	if on {
		v = 1
	}
	if err := p.maps.Quiet.Put(uint32(queue), v); err != nil {
		return fmt.Errorf("set quiet flag of queue %d: %w", queue, err)
	}
	return nil
}

func del(m *ebpf.Map, key any) error {
	err := m.Delete(key)
	// An XSK map says EINVAL where others say that there is no such key.
	if errors.Is(err, ebpf.ErrKeyNotExist) || m.Type() == ebpf.XSKMap && errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// listenerKeys are the entries that ip stands for.
func listenerKeys(on Link, ip netip.Addr, port uint16) []steerListenerKey {
	if !ip.IsValid() {
		return []steerListenerKey{on.listenerKey(netip.IPv4Unspecified(), port), on.listenerKey(netip.IPv6Unspecified(), port)}
	}
	return []steerListenerKey{on.listenerKey(ip, port)}
}

func connectKey(on Link, t Tuple) steerConnectKey {
	return steerConnectKey{
		Local: address(t.Local.Addr()), LocalPort: netOrder(t.Local.Port()),
		Remote: address(t.Remote.Addr()), RemotePort: netOrder(t.Remote.Port()),
		Vlan: on.VLAN, Proto: unix.IPPROTO_TCP,
	}
}

// address writes IPv4 as ::ffff:a.b.c.d, as steer.c does.
func address(ip netip.Addr) (a steerAddress) {
	b := ip.As16()
	for i := range a.Word {
		a.Word[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return a
}

func (a steerAddress) addr() netip.Addr {
	var b [16]byte
	for i, w := range a.Word {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrFrom16(b).Unmap()
}

// netOrder is the value whose bytes in memory are port in network order; hostOrder undoes it.
func netOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

func hostOrder(port uint16) uint16 { return netOrder(port) }
