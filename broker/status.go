package broker

import (
	"fmt"
	"runtime"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// Counters count what a broker did since it began.
type Counters struct {
	HandedOver uint64 `json:"handed_over"` // connections made kernel sockets
	TakenOver  uint64 `json:"taken_over"`  // and the other way
	Orphans    uint64 `json:"orphans"`     // connections passed on before they were accepted
	Resets     uint64 `json:"resets"`      // connections of dead programs whose peers were told
	Strays     uint64 `json:"strays"`      // connections rescued after their packets changed the queue
	Nobodys    uint64 `json:"nobodys"`     // whose peers were told that nobody has them
}

// Status is a broker's, for people and programs.
type Status struct {
	Seconds  int64             `json:"seconds"` // since it began
	Doors    int               `json:"doors"`
	Leases   []LeaseStatus     `json:"leases"`
	Devices  []DeviceStatus    `json:"devices"`
	Counters Counters          `json:"counters"`
	Mirror   *MirrorStatus     `json:"mirror,omitempty"`
	Refused  []RefusedStatus   `json:"refused,omitempty"`
	Ended    map[string]uint64 `json:"ended"` // the counters of processes that ended, summed; root only

	Goroutines int `json:"goroutines"` // of the broker
}

// LeaseStatus is one process.
type LeaseStatus struct {
	Lease     uint64            `json:"lease"`
	Pid       int               `json:"pid"`
	UID       uint32            `json:"uid"`
	Program   string            `json:"program"`
	NetNS     uint64            `json:"netns"`
	Listeners []string          `json:"listeners"`
	Flows     int               `json:"flows"`
	Ports     int               `json:"ports"`  // on lease, for connections to come
	Queues    []proto.QueueRef  `json:"queues"` // those that packets come to
	Counters  map[string]uint64 `json:"counters"`
}

// RefusedStatus is what a process asked for last and did not get.
type RefusedStatus struct {
	Pid     int      `json:"pid"`
	Program string   `json:"program"`
	What    proto.Op `json:"what"` // listen, connect or ports
	Why     string   `json:"why"`
}

// heard notes how a request for queues ended: no process without a lease could be asked why it has none.
func (b *Broker) heard(c *client, what proto.Op, err error) {
	if what != proto.OpListen && what != proto.OpConnect && what != proto.OpPorts {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(c.refused, what)
	if err != nil {
		if c.refused == nil {
			c.refused = map[proto.Op]string{}
		}
		c.refused[what] = err.Error()
	}
}

// DeviceStatus is one device in use.
type DeviceStatus struct {
	NetNS    uint64            `json:"netns"`
	Device   string            `json:"device"`
	Ifindex  int               `json:"ifindex"`
	Mode     string            `json:"mode"`           // native or generic
	Spur     int               `json:"spur,omitempty"` // of spurs: the number of the first; they stand for themselves, with the device's name
	Owners   []int             `json:"owners"`         // pid for each queue, 0: the kernel
	ZeroCopy int               `json:"zero_copy"`      // of these queues: how many whose packets the device itself reads and writes
	Entries  []string          `json:"entries"`
	Counters map[string]uint64 `json:"counters"`
}

// Status tells all there is.
func (b *Broker) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status(func(*client) bool { return true }, true)
}

// opStatus tells root everything, and others about their own.
func opStatus(b *Broker, c *client, _ *proto.Packet) (any, []int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.uid == 0 {
		return b.status(func(*client) bool { return true }, true), nil, nil
	}
	return b.status(func(o *client) bool { return o.uid == c.uid }, false), nil, nil
}

func (b *Broker) status(which func(*client) bool, devices bool) Status {
	s := Status{Seconds: int64(time.Since(b.began) / time.Second), Doors: len(b.doors), Counters: b.count, Goroutines: runtime.NumGoroutine()}
	for c := range b.clients {
		if c.lease != 0 && which(c) {
			s.Leases = append(s.Leases, c.status())
		}
		for what, why := range c.refused {
			if which(c) {
				s.Refused = append(s.Refused, RefusedStatus{c.pid, c.program, what, why})
			}
		}
	}
	sort.Slice(s.Refused, func(i, j int) bool {
		a, b := &s.Refused[i], &s.Refused[j]
		return a.Pid < b.Pid || a.Pid == b.Pid && a.What < b.What
	})
	sort.Slice(s.Leases, func(i, j int) bool { return s.Leases[i].Lease < s.Leases[j].Lease })
	if !devices {
		return s
	}
	for _, m := range b.mirrors {
		if m.device != nil {
			s.Mirror = m.status()
		}
	}
	s.Ended = map[string]uint64{}
	for i, name := range proto.CounterNames {
		s.Ended[name] = b.past[i]
	}
	for _, sp := range b.spaces {
		for _, d := range sp.all() {
			if d.trunk == nil || len(d.owners())+len(d.entries) > 0 { // else spurs that were kept for the next program
				s.Devices = append(s.Devices, d.status())
			}
		}
	}
	return s
}

func (c *client) status() LeaseStatus {
	l := LeaseStatus{Lease: c.lease, Pid: c.pid, UID: c.uid, Program: c.program, Flows: len(c.flows), Ports: len(c.leased), Counters: map[string]uint64{}}
	for _, li := range c.listeners {
		if !li.left {
			l.Listeners = append(l.Listeners, li.key.String())
		}
	}
	sort.Strings(l.Listeners)
	if c.space != nil {
		l.NetNS = c.space.inode
		for _, d := range c.space.all() {
			for _, q := range d.queues {
				if q.owner == c && q.active {
					l.Queues = append(l.Queues, proto.QueueRef{Ifindex: d.Ifindex, Queue: q.index})
				}
			}
		}
	}
	for i, name := range proto.CounterNames {
		if c.stateMap != nil {
			l.Counters[name] = c.stateMap.Counter(i)
		}
	}
	return l
}

func (d *device) status() DeviceStatus {
	s := DeviceStatus{NetNS: d.space.inode, Device: d.Name, Ifindex: d.Ifindex, Mode: string(d.prog.Mode())}
	if d.trunk != nil {
		s.Spur = d.queues[0].index
	}
	for _, q := range d.queues {
		pid := 0
		if q.owner != nil && q.active {
			pid = q.owner.pid
			if q.xsk.Layout().ZeroCopy {
				s.ZeroCopy++
			}
		}
		if !q.absent {
			s.Owners = append(s.Owners, pid)
		}
	}
	for e := range d.entries {
		s.Entries = append(s.Entries, e.String())
	}
	sort.Strings(s.Entries)
	s.Counters, _ = d.prog.Counters()
	return s
}

// Query asks the broker at a socket for its Status; what it shows depends on who asks.
func Query(socket string, timeout time.Duration) (Status, error) {
	var s Status
	door, err := proto.Dial(socket)
	if err != nil {
		return s, err
	}
	defer unix.Close(door)
	c, _, err := proto.Open(door, proto.Hello{Program: "status", Tool: true}, timeout)
	if err != nil {
		return s, fmt.Errorf("broker status: %w", err)
	}
	defer c.Close()
	_, err = c.Call(proto.OpStatus, nil, nil, &s, timeout)
	return s, err
}
