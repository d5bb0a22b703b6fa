package broker

import (
	"encoding/json"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A program shows its listeners to the next broker as the sockets they are; one that it has closed it cannot show, and its connections go on. So what
// it had is noted where only a broker can have written it and what outlives this one: in an attribute of the program's state memory.

// notes is that attribute. Whoever has CAP_SYS_ADMIN in the host's user namespace writes "trusted" ones, and reads them.
const notes = "trusted.sluice.listeners"

// noted is a listener as it stands there.
type noted struct {
	Cookie uint64     `json:"cookie"`
	IP     netip.Addr `json:"ip,omitzero"`
	Port   uint16     `json:"port"`
}

// noteListeners writes down what the client has, or had and left. A kernel whose shared memory has no attributes has such connections reset.
func (c *client) noteListeners() {
	if c.state == nil {
		return
	}
	var all []noted
	for _, l := range c.listeners {
		all = append(all, noted{l.cookie, l.key.ip, l.key.port})
	}
	c.writeNotes(notes, all)
}

// notedListeners are those that an earlier broker wrote down.
func (c *client) notedListeners() (all []noted) {
	readNotes(c.state, notes, &all)
	return all
}

// adoptLeft lists what the client had left when the broker before died: its connections may go on, and to the kernel.
func (c *client) adoptLeft() {
	for _, n := range c.notedListeners() {
		if c.listeners[n.Cookie] == nil && len(c.listeners) < maxListeners {
			l := &listener{cookie: n.Cookie, key: key{n.IP, n.Port}, ready: true, left: true, leftAt: time.Now()}
			c.listeners[l.cookie] = l
			c.ports[addrPort(l.key)] = true
		}
	}
}

// writeNotes has an attribute of the client's state memory say what only a broker can have written.
func (c *client) writeNotes(name string, what any) {
	b, err := json.Marshal(what)
	if err == nil {
		err = unix.Fsetxattr(int(c.state.Fd()), name, b, 0)
	}
	if err != nil {
		c.b.log.Debugf("broker: %v: not noted: %v", c, err)
	}
}

func readNotes(state *os.File, name string, what any) bool {
	b := make([]byte, 64<<10)
	n, err := unix.Fgetxattr(int(state.Fd()), name, b)
	return err == nil && json.Unmarshal(b[:n], what) == nil
}
