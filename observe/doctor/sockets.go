package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"

	"github.com/sluice-net/sluice/knobs"
	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/sockets"
)

// list goes through the process's TCP sockets. Without a broker all are the kernel's.
func (p *process) list(r *Report, b *ask.Broker) {
	all, err := p.sockets(b)
	if err != nil {
		r.add(Note, p.about, "run as root", "its sockets cannot be listed: %v", err)
		return
	}
	connections := map[string]int{}
	listening := map[uint16]bool{}
	for i := range all {
		if all[i].State == sockets.Listen {
			listening[all[i].Local.Port()] = true
			p.listener(r, &all[i])
		}
	}
	for i := range all {
		if s := &all[i]; s.State != sockets.Listen && s.State != sockets.Closed {
			connections[p.connection(s, listening[s.Local.Port()])]++
		}
	}
	for _, why := range reasons {
		if n := connections[why.text]; n > 0 {
			r.add(why.verdict, p.about, why.do, "%d connections %s", n, why.text)
		}
	}
	if n := others(p.pid); n > 0 {
		r.add(Note, p.about, "", "%d sockets are neither listeners nor connections of TCP (UDP, unix, netlink, epoll's …): sluice leaves those alone", n)
	}
}

// sockets are those of the process, in its network namespace.
func (p *process) sockets(b *ask.Broker) (mine []sockets.Socket, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		return nil, err
	}
	defer here.Close()
	there, err := netns.GetFromPid(p.pid)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if !here.Equal(there) {
		if err := netns.Set(there); err != nil {
			return nil, err
		}
		defer netns.Set(here)
	}
	all, err := sockets.Kernel(sockets.All)
	if err != nil {
		return nil, err
	}
	if b != nil {
		engines, _, err := sockets.Engines(b, netnsInode())
		if err != nil {
			return nil, err
		}
		all = sockets.Merge(all, engines)
	}
	sockets.FindUsers(all)
	for _, s := range all {
		for _, u := range s.Users {
			if u.Pid == p.pid {
				mine = append(mine, s)
				break
			}
		}
		if len(s.Users) == 0 && s.Accel != nil && s.Accel.Pid == p.pid {
			mine = append(mine, s)
		}
	}
	return mine, nil
}

func (p *process) listener(r *Report, s *sockets.Socket) {
	about := fmt.Sprintf("%s listener %v", p.about, s.Local)
	mine := false
	if s.Accel != nil {
		for _, o := range s.Accel.Owners {
			mine = mine || o == p.about
		}
	}
	switch {
	case mine:
		r.add(Good, about, "", "is accelerated; %d wait to be accepted", s.RecvQ)
	case s.Local.Addr().Unmap().IsLoopback():
		r.add(Note, about, "", "stays with the kernel: packets to a loopback address pass no device")
	case !selected(p.listen, s.Local):
		r.add(Note, about, "add it to SLUICE_LISTEN", "stays with the kernel: SLUICE_LISTEN=%s does not select it", p.value("SLUICE_LISTEN"))
	case s.Accel != nil:
		r.add(Note, about, "", "is accelerated by %s, which has it too", strings.Join(s.Accel.Owners, ", "))
	default:
		r.add(Note, about, "it will be when the process first waits for a connection; if it does already, see what its engine says above, or start it with SLUICE_LOG=info",
			"is selected, and not accelerated now")
	}
}

func selected(rules []knobs.Rule, a netip.AddrPort) bool {
	for _, r := range rules {
		if r.Match(a) || a.Addr().IsUnspecified() && a.Port() >= r.Low && a.Port() <= r.Top {
			return true
		}
	}
	return false
}

type reason struct {
	text    string
	verdict Verdict
	do      string
}

var (
	accelerated = reason{"are accelerated", Good, ""}
	loopback    = reason{"are within this host: their packets pass no device", Note, ""}
	unselected  = reason{"that it made are not selected by SLUICE_CONNECT", Note, "SLUICE_CONNECT=peer:port selects them"}
	leftOut     = reason{"that it made are selected and the kernel's", Note, "SLUICE_LOG=info says why: queues that are not all its own, no broker, an option that only the kernel has"}
	unlistened  = reason{"came in at a listener that is not selected, or of another process", Note, "SLUICE_LISTEN selects listeners"}
	kernelOwn   = reason{"of accelerated listeners are the kernel's: accepted before acceleration, handed over (fork, exec, detach), or no queue was free", Note,
		"sluice attach PID takes them"}
	reasons = []reason{accelerated, loopback, unselected, leftOut, unlistened, kernelOwn}
)

// connection says why one is where it is; accepted: a listener of the process has its port.
func (p *process) connection(s *sockets.Socket, accepted bool) string {
	local := s.Local.Addr().Unmap()
	switch {
	case s.Accel != nil:
		return accelerated.text
	case local.IsLoopback() || s.Remote.Addr().Unmap() == local || ours(s.Remote.Addr()):
		return loopback.text
	case accepted && selected(p.listen, s.Local):
		return kernelOwn.text
	case accepted:
		return unlistened.text
	case selected(p.connect, s.Remote):
		return leftOut.text
	}
	return unselected.text
}

// ours tells whether an address is one of this namespace's.
func ours(a netip.Addr) bool {
	all, _ := net.InterfaceAddrs()
	for _, x := range all {
		if n, ok := x.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a.Unmap() {
				return true
			}
		}
	}
	return false
}

// others counts the sockets of a process that are not TCP's, as far as /proc tells them apart.
func others(pid int) int {
	tcp := map[string]bool{}
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		b, _ := os.ReadFile(proc(pid, name))
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 9 {
				tcp["socket:["+f[9]+"]"] = true
			}
		}
	}
	protocols := map[string]bool{}
	for _, name := range []string{"net/udp", "net/udp6", "net/unix", "net/netlink"} {
		b, _ := os.ReadFile(proc(pid, name))
		for _, w := range strings.Fields(string(b)) {
			protocols["socket:["+w+"]"] = true
		}
	}
	n := 0
	links, _ := filepath.Glob(proc(pid, "fd/*"))
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && !tcp[to] && protocols[to] {
			n++
		}
	}
	return n
}
