package bench

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/bench/flood"
	"github.com/sluice-net/sluice/bench/procfs"
)

// Who drops the flood.
const (
	byIPTables = "iptables, raw table"
	bySink     = "sink, from its queue"
	byEarly    = "sink -early, in the driver"
)

// floods is a flood of small datagrams, and what it costs to drop it. The device receives in a thread of its own (threaded NAPI), so that the
// kernel says how much time that took; the sink's is added.
func floods() Work {
	w := Work{Name: "flood", Title: "a flood of datagrams, dropped", Unit: perCPU, Bed: oneQueue, TestbedOnly: true,
		Needs: []string{"iptables", "ip", "ethtool", "sink"}, Package: "iptables, iproute2, ethtool",
		Note: "for each second of processor time of who receives; the driver's part is in it, that of who sends is not"}
	for name, path := range map[string]Path{byIPTables: Kernel, bySink: Raw, byEarly: Raw} {
		w.Variants = append(w.Variants, Variant{Name: name, Path: path, run: func(s *Session) (*Sample, error) { return s.flooded(name) }})
	}
	slices.SortFunc(w.Variants, func(a, b Variant) int { return strings.Compare(a.Name, b.Name) })
	return w
}

func floodTargets() []Comparison {
	return []Comparison{
		{Name: "sink in the driver against iptables", Of: byEarly, To: byIPTables, Figure: Rate, Min: 5},
		{Name: "sink from its queue against iptables", Of: bySink, To: byIPTables, Figure: Rate},
	}
}

const perCPU = "packets a second of CPU"

// drop is something that drops the flood.
type drop struct {
	pid   int // its process, 0: it has none
	count func() (uint64, error)
	end   func()
}

// flooded is one sample.
func (s *Session) flooded(by string) (*Sample, error) {
	if err := s.kernelAlone(); err != nil {
		return nil, err
	}
	if err := s.offload(true); err != nil { // without GRO a veth has no NAPI unless it has an XDP program
		return nil, err
	}
	port := s.port()
	d, err := s.dropper(by, port)
	if err != nil {
		return nil, err
	}
	defer d.end()
	threads, err := s.threadedNAPI(true)
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = s.threadedNAPI(false) }()
	if d.pid != 0 {
		threads = append(threads, d.pid)
	}
	return s.flood(d, port, threads)
}

// flood sends it, and says how much of it was dropped in how much of their time.
func (s *Session) flood(d *drop, port int, receivers []int) (*Sample, error) {
	w, err := s.open(nil)
	if err != nil {
		return nil, err
	}
	before, err := procfs.RunTime(receivers...)
	if err != nil {
		return nil, err
	}
	to := net.JoinHostPort(s.server.ip.String(), strconv.Itoa(port))
	out, err := s.client.run(s.ctx, command{Program: "raw", Args: []string{"bench", "raw", "flood", s.client.address().String(), to, net.HardwareAddr(macOf(s.server)).String(), s.duration()}})
	if err != nil {
		return nil, err
	}
	after, err := procfs.RunTime(receivers...)
	if err != nil {
		return nil, err
	}
	sample, err := w.close(out)
	if err != nil {
		return nil, err
	}
	n, err := d.count()
	if err != nil {
		return nil, err
	}
	took := (after - before).Seconds()
	sample.CPU.Server, sample.CPU.Others = took, max(0, sample.CPU.Others-took)
	sample.Rate = float64(n) / took
	sample.Figures = map[string]float64{"dropped, packets/s": float64(n) / sample.Seconds}
	return sample, nil
}

// dropper sets up who drops what comes to a port.
func (s *Session) dropper(by string, port int) (*drop, error) {
	if by == byIPTables {
		return s.rule(port)
	}
	args := []string{"-device", "veth0", "-to", net.JoinHostPort(s.server.ip.String(), strconv.Itoa(port))}
	if by == byEarly {
		args = append(args, "-early")
	}
	p, err := s.launch(s.server, s.server.build(s.ctx, command{Program: "sink", Args: args}, s.cores[0]))
	if err != nil {
		return nil, err
	}
	if err := p.until("it drops", func() bool { return strings.Contains(p.output(), "ready") }); err != nil {
		p.Stop()
		return nil, err
	}
	return &drop{pid: p.pid(), end: p.Stop, count: func() (uint64, error) {
		p.Stop()
		return readTotal(p.output())
	}}, nil
}

// rule is iptables' rule.
func (s *Session) rule(port int) (*drop, error) {
	iptables := func(args ...string) ([]byte, error) {
		out, err := s.server.run(s.ctx, command{Program: "iptables", Args: append([]string{"-w", "-t", "raw"}, args...)})
		if err != nil {
			return nil, err
		}
		return out.Stdout, nil
	}
	which := []string{"PREROUTING", "-p", "udp", "--dport", strconv.Itoa(port), "-j", "DROP"}
	if _, err := iptables(append([]string{"-A"}, which...)...); err != nil {
		return nil, err
	}
	return &drop{end: func() { _, _ = iptables(append([]string{"-D"}, which...)...) }, count: func() (uint64, error) {
		text, err := iptables("-L", "PREROUTING", "-n", "-v", "-x")
		if err != nil {
			return 0, err
		}
		return readRule(string(text), port)
	}}, nil
}

// readTotal reads what the sink counted.
func readTotal(text string) (n uint64, err error) {
	_, line, _ := strings.Cut(text, "total ")
	if _, err := fmt.Sscanf(line, "%d packets", &n); err != nil {
		return 0, fmt.Errorf("not the output of the sink: %q", text)
	}
	return n, nil
}

// readRule reads the packets that the rule for a port took.
func readRule(text string, port int) (uint64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == "DROP" && f[len(f)-1] == fmt.Sprintf("dpt:%d", port) {
			return strconv.ParseUint(f[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no rule for port %d in %q", port, text)
}

// threadedNAPI gives the server's device a thread that receives, on the server's processor, or takes it away. It returns the new thread.
func (s *Session) threadedNAPI(on bool) ([]int, error) {
	const name = "napi/veth0-" // the kernel's name of it
	before := procfs.Named(name)
	// The namespace's own /sys is needed: ip netns exec mounts it.
	shell := fmt.Sprintf("echo %d > /sys/class/net/veth0/threaded", map[bool]int{true: 1}[on])
	if text, err := exec.Command("ip", "netns", "exec", s.bed.Server.Name, "sh", "-c", shell).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("threaded NAPI: %w: %s", err, text)
	}
	if !on {
		return nil, nil
	}
	var set unix.CPUSet
	core, err := strconv.Atoi(s.cores[0])
	if err != nil {
		return nil, err
	}
	set.Set(core)
	var mine []int
	for _, pid := range procfs.Named(name) {
		if !slices.Contains(before, pid) {
			if err := unix.SchedSetaffinity(pid, &set); err != nil {
				return nil, fmt.Errorf("pin thread %d: %w", pid, err)
			}
			mine = append(mine, pid)
		}
	}
	if len(mine) == 0 {
		return nil, fmt.Errorf("the kernel made no thread for veth0")
	}
	return mine, nil
}

// RawFlood sends datagrams from an address of ours for that long, and prints how many.
func RawFlood(from, to, mac string, d time.Duration) error {
	src, err := netip.ParseAddr(from)
	if err != nil {
		return err
	}
	dst, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return fmt.Errorf("%q is no Ethernet address", mac)
	}
	n, err := flood.Send(netip.AddrPortFrom(src, dst.Port()), dst, [6]byte(hw), d)
	fmt.Println(n, "sent")
	return err
}
