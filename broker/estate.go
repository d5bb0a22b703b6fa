package broker

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// Which connections a program had stands in memory that it shares with its broker. When both die nobody has it any more, and peers that only wait
// would wait for ever. So a service manager, if there is one, keeps that memory of each program, and a pidfd. The next broker gets both back: of a program
// that ended meanwhile, or that ends before it has come, the peers are told then.

// estate is of such a program.
type estate struct{ state, pidfd *os.File }

func (e *estate) close() {
	e.state.Close()
	e.pidfd.Close()
}

const estatePrefix = "state-"

// estateName is a memory's with the manager: its inode, which no program chooses.
func estateName(state *os.File) string {
	var st unix.Stat_t
	_ = unix.Fstat(int(state.Fd()), &st)
	return estatePrefix + strconv.FormatUint(st.Ino, 10)
}

// bequeath has the manager keep what is needed if this broker and the client die.
func (c *client) bequeath() {
	m := &c.b.cfg.Manager
	if m.Socket == "" || c.state == nil || c.pidfd == nil {
		return
	}
	raw, err := c.pidfd.SyscallConn()
	if err == nil {
		_ = raw.Control(func(pidfd uintptr) { err = m.keep(estateName(c.state), int(c.state.Fd()), int(pidfd)) })
	}
	if err != nil {
		c.b.log.Infof("broker: %v: %v", c, err)
	}
	c.notePorts()
}

func (b *Broker) forgetEstate(name string) {
	if err := b.cfg.Manager.forget(name); err != nil {
		b.log.Infof("broker: %v", err)
	}
}

// inherit takes what the manager kept.
func (b *Broker) inherit() {
	b.estates = map[string]*estate{}
	for name, fds := range b.cfg.Manager.Kept {
		e := &estate{}
		for _, fd := range fds {
			if m, err := proto.MapState(fd); err == nil && e.state == nil {
				m.Close()
				e.state = os.NewFile(uintptr(fd), "state")
			} else if err != nil && e.pidfd == nil && unix.SetNonblock(fd, true) == nil {
				e.pidfd = os.NewFile(uintptr(fd), "pidfd")
			} else {
				unix.Close(fd)
			}
		}
		if !strings.HasPrefix(name, estatePrefix) || e.state == nil || e.pidfd == nil {
			e.close()
			b.forgetEstate(name)
			continue
		}
		b.estates[name] = e
		b.goDo(func() { b.execute(name, e) })
	}
	b.cfg.Manager.Kept = nil
}

// disinherit is for a broker that ends: who has not come yet is nobody's any more.
func (b *Broker) disinherit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, e := range b.estates {
		e.close()
		b.forgetEstate(name)
	}
	clear(b.estates)
}

// adopted: the client has come, and is heard of if it ends.
func (c *client) adopted() {
	name := estateName(c.state)
	e := c.b.estates[name]
	if e == nil { // the broker before had no manager
		c.bequeath()
		return
	}
	delete(c.b.estates, name)
	e.close()
}

// execute waits for the program's end, and tells its peers.
func (b *Broker) execute(name string, e *estate) {
	if !ended(e.pidfd) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.estates[name] != e || b.closed {
		return
	}
	delete(b.estates, name)
	b.settle(e)
	e.close()
	b.forgetEstate(name)
}

func (b *Broker) settle(e *estate) {
	var n portNotes
	if !readNotes(e.state, notesOfPorts, &n) {
		return
	}
	var listeners []noted
	readNotes(e.state, notes, &listeners)
	m, err := proto.MapState(int(e.state.Fd()))
	if err != nil {
		return
	}
	defer m.Close()
	rest := connectionsIn(m, func(t steer.Tuple) bool {
		return n.has(t.Local) || slices.ContainsFunc(listeners, func(l noted) bool { return (key{l.IP, l.Port}).covers(t.Local) })
	})
	b.log.Infof("broker: a program ended while no broker ran; %d connections left", len(rest))
	f, err := netns.Find(n.NetNS)
	if err != nil { // it ended with its last process
		return
	}
	s, err := b.getSpace(f)
	if err != nil {
		b.log.Infof("broker: %v", err)
		return
	}
	b.reset(s, rest)
	s.put()
}

// notesOfPorts is another attribute like notes: where the program is, and its ports on lease.
const notesOfPorts = "trusted.sluice.ports"

// portNotes stands there, if there is a manager.
type portNotes struct {
	NetNS uint64 `json:"netns"`
	Ports []span `json:"ports,omitempty"`
}

// span is ports of one address that follow each other.
type span struct {
	IP netip.Addr `json:"ip"`
	Lo uint16     `json:"lo"`
	Hi uint16     `json:"hi"`
}

func (n *portNotes) has(a netip.AddrPort) bool {
	return slices.ContainsFunc(n.Ports, func(s span) bool { return s.IP == a.Addr() && s.Lo <= a.Port() && a.Port() <= s.Hi })
}

// notePorts writes them down.
func (c *client) notePorts() {
	if c.state == nil || c.space == nil || c.b.cfg.Manager.Socket == "" {
		return
	}
	n := portNotes{NetNS: c.space.inode}
	all := make([]netip.AddrPort, 0, len(c.leased))
	for a := range c.leased {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	for _, a := range all {
		if i := len(n.Ports) - 1; i >= 0 && n.Ports[i].IP == a.Addr() && n.Ports[i].Hi+1 == a.Port() {
			n.Ports[i].Hi++
		} else {
			n.Ports = append(n.Ports, span{a.Addr(), a.Port(), a.Port()})
		}
	}
	c.writeNotes(notesOfPorts, n)
}
