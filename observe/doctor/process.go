package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/knobs"
	"github.com/sluice-net/sluice/observe/ask"
)

// process is one that runs.
type process struct {
	pid     int
	about   string
	environ map[string]string // SLUICE variables it was started with
	listen  []knobs.Rule
	connect []knobs.Rule
	lease   *broker.LeaseStatus
}

// Process looks at a running one.
func Process(r *Report, b *ask.Broker, pid int) error {
	comm, err := os.ReadFile(proc(pid, "comm"))
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	p := &process{pid: pid, about: fmt.Sprintf("%s[%d]", strings.TrimSpace(string(comm)), pid), environ: map[string]string{}}
	if !p.preloaded(r) || !p.variables(r) {
		p.list(r, nil)
		return nil
	}
	if b != nil {
		p.engine(r, b)
	}
	p.list(r, b)
	return nil
}

func proc(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// preloaded: is the preload object in the process? If not, why not?
func (p *process) preloaded(r *Report) bool {
	maps, err := os.ReadFile(proc(p.pid, "maps"))
	if err != nil {
		r.add(Bad, p.about, "run as root, or as the process's user", "%v", err)
		return false
	}
	if strings.Contains(string(maps), "/libsluice.so") {
		r.add(Good, p.about, "", "has the preload object")
		return true
	}
	if file(r, p.about, proc(p.pid, "exe")) {
		r.add(Bad, p.about, "start it by sluice run, or with LD_PRELOAD=…/libsluice.so", "was started without the preload object")
	}
	return false
}

// variables reads what the process was started with.
func (p *process) variables(r *Report) bool {
	raw, err := os.ReadFile(proc(p.pid, "environ"))
	if err != nil {
		r.add(Note, p.about, "run as root, or as the process's user", "its variables cannot be read: %v", err)
	}
	var list []string
	for _, e := range strings.Split(string(raw), "\x00") {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, "SLUICE") {
			p.environ[name] = value
			list = append(list, e)
		}
	}
	for _, err := range knobs.Validate(list) {
		r.add(Bad, p.about, "the default holds; correct it", "%v", err)
	}
	if len(list) > 0 {
		r.add(Good, p.about, "", "was started with %s", strings.Join(list, " "))
	}
	p.listen, _ = knobs.ParseListen(p.value("SLUICE_LISTEN"))
	p.connect, _ = knobs.ParseConnect(p.value("SLUICE_CONNECT"))
	if v := p.value("SLUICE"); v == "off" || v == "0" {
		r.add(Bad, p.about, "start it without SLUICE=off", "everything is left to the kernel: SLUICE=%s", v)
		return false
	}
	return true
}

// value is a variable's, or its default if it is not set or no good.
func (p *process) value(name string) string {
	k, _ := knobs.Lookup(name)
	if v, ok := p.environ[name]; ok && k.Check(v) == nil {
		return v
	}
	return k.Default
}

// asked says what a program asks the broker for.
var asked = map[proto.Op]string{proto.OpListen: "a listener", proto.OpConnect: "a connection", proto.OpPorts: "ports for connections"}

// remedy is what to do about a refusal, if that can be told from its words.
func remedy(why string) string {
	for _, m := range [...]struct{ words, do string }{
		{"policy", "the broker's policy file says who may have what: docs/security.md"},
		{"XDP program", "sluice doctor names the device: another XDP program is there, and a device has room for one"},
		{"loopback", ""},
	} {
		if strings.Contains(why, m.words) {
			return m.do
		}
	}
	return "the broker's log says more"
}

// engine asks the process.
func (p *process) engine(r *Report, b *ask.Broker) {
	st, err := b.Status()
	if err != nil {
		r.add(Bad, p.about, "", "%v", err)
		return
	}
	for i := range st.Leases {
		if st.Leases[i].Pid == p.pid {
			p.lease = &st.Leases[i]
		}
	}
	for _, x := range st.Refused {
		v := Bad
		if strings.Contains(x.Why, "loopback") { // as it should be
			v = Note
		}
		if x.Pid == p.pid && p.lease == nil { // else its engine tells
			r.add(v, p.about, remedy(x.Why), "the broker refused %s: %s", asked[x.What], x.Why)
		}
	}
	if p.lease == nil {
		r.add(Note, p.about, "as long as it only listens this is as it should be: the engine is loaded by the process that first waits on a selected listener, or connects",
			"has no queues")
		return
	}
	r.add(Good, p.about, "", "is accelerated: listeners %v, %d queues, %d outgoing flows", p.lease.Listeners, len(p.lease.Queues), p.lease.Flows)
	if len(p.lease.Queues) == 0 {
		r.add(Bad, p.about, "sluice doctor shows who holds the queues of each device; fewer processes, or more queues (ethtool -L), help", "has no queue now")
	}
	in, err := b.Counters(p.pid)
	switch {
	case err != nil:
		r.add(Bad, p.about, "", "%v", err)
	case in.Stale:
		r.add(Bad, p.about, "is it stopped (SIGSTOP, a debugger)? its connections stand still", "does not answer")
	default:
		for _, why := range in.Notes {
			r.add(Note, p.about, "", "its engine says: %s", why)
		}
		for _, g := range in.Engine.Rings {
			if lost := g.RXFull + g.FillEmpty + g.Dropped; lost > 0 {
				r.add(Note, p.about, "the program does not keep up: more workers and queues, or SLUICE_SPIN_USEC", "queue %d of %s lost %d packets before the engine saw them", g.Queue, g.Device, lost)
			}
		}
		if in.Engine.Frames > 0 && in.Engine.Free < in.Engine.Frames/8 {
			r.add(Note, p.about, "connections whose data the program does not read hold them (Recv-Q in sluice ss)", "only %d of %d frames are free", in.Engine.Free, in.Engine.Frames)
		}
	}
}
