package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/bench/procfs"
	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/nginx"
)

// patience bounds every wait for something that should happen.
const patience = 15 * time.Second

// host is one end: where programs run, and whose counters they move.
type host interface {
	address() netip.Addr
	hardware() [6]byte
	// run runs a program to its end, on the client's core.
	run(ctx context.Context, c command) (*output, error)
	// opens are the connections opened since boot, and packets through hidden queues.
	opens() (*opened, error)
	has(program string) bool
}

// command is a program by its short name, with what it is run under.
type command struct {
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Fast    bool     `json:"fast"`  // by sluice run
	Knobs   []string `json:"knobs"` // NAME=value, for sluice run
}

// output is what a program wrote and used.
type output struct {
	Stdout []byte        `json:"stdout"`
	Stderr string        `json:"stderr"`
	Usage  procfs.Usage  `json:"usage"`
	Took   time.Duration `json:"took"`
}

// opened are a host's counters.
type opened struct {
	Kernel              procfs.Opens `json:"kernel"`
	Accepted, Connected uint64       // by engines
	Packets             uint64       // in and out
}

// programs are those that the benchmark may run, and nothing else on a peer. The paths of ours begin with "+".
var programs = map[string]string{
	"pingpong": "+pingpong", "bulk": "+bulk", "crowd": "+crowd", "threads": "+threads", "calls": "+calls", "raw": "+sluice",
	"nginx": nginx.Path, "wrk": "wrk", "redis-server": "redis-server", "redis-benchmark": "redis-benchmark",
	"memcached": "memcached", "memcaslap": "memcaslap", "ethtool": "ethtool",
	"sink": "+efvi-sink", "iptables": "iptables", "ip": "ip",
}

// local is an end on this machine, in a namespace of the testbed or not.
type local struct {
	node   *testbed.Node // nil: this process's own namespace
	ip     netip.Addr
	mac    [6]byte
	cores  string // for taskset
	bin    string // directory of ours
	dir    string // for files
	socket string // of the broker

	realtime bool
}

// priority is the command that gives a program the lowest real-time priority: above everybody who has none.
func priority(realtime bool) []string {
	if realtime {
		return []string{"chrt", "--rr", "1"}
	}
	return nil
}

func (h *local) address() netip.Addr { return h.ip }
func (h *local) hardware() [6]byte   { return h.mac }

// do runs fn in the end's namespace.
func (h *local) do(fn func() error) error {
	if h.node == nil {
		return fn()
	}
	return h.node.Do(fn)
}

func (h *local) path(program string) string {
	p := programs[program]
	if ours, ok := strings.CutPrefix(p, "+"); ok {
		return filepath.Join(h.bin, ours)
	}
	return p
}

func (h *local) has(program string) bool {
	p := h.path(program)
	_, err := exec.LookPath(p)
	return p != "" && err == nil
}

// build makes the process: pinned, and by sluice run if it is to be fast.
func (h *local) build(ctx context.Context, c command, cores string) *exec.Cmd {
	args := append([]string{"-c", cores}, priority(h.realtime)...)
	env := os.Environ()
	if c.Fast {
		args = append(args, filepath.Join(h.bin, "sluice"), "run", "--broker", h.socket, "--")
		env = append(env, c.Knobs...)
	}
	args = append(append(args, h.path(c.Program)), c.Args...)
	cmd := exec.CommandContext(ctx, "taskset", args...)
	cmd.Dir, cmd.Env = h.dir, env
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = patience
	return cmd
}

func (h *local) run(ctx context.Context, c command) (*output, error) {
	if h.path(c.Program) == "" {
		return nil, fmt.Errorf("%q is no program of the benchmark", c.Program)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := h.build(ctx, c, h.cores)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := h.do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	out := &output{Stdout: stdout.Bytes(), Stderr: stderr.String(), Took: time.Since(began)}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s%s", c.Program, strings.Join(c.Args, " "), err, tail(out.Stderr), tail(printable(out.Stdout)))
	}
	out.Usage.User, out.Usage.System = cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
	return out, nil
}

func (h *local) opens() (o *opened, err error) {
	o = &opened{}
	err = h.do(func() (err error) {
		o.Kernel, err = procfs.KernelOpens()
		return err
	})
	if err != nil {
		return nil, err
	}
	st, err := broker.Query(h.socket, patience)
	if err != nil {
		return nil, err
	}
	o.Accepted, o.Connected = st.Sum("accepted"), st.Sum("connected")
	rx, tx := st.Packets()
	o.Packets = rx + tx
	return o, nil
}

// listening tells whether the kernel has a listener on the port there.
func (h *local) listening(port int) bool {
	found := false
	_ = h.do(func() error {
		for _, name := range []string{"tcp", "tcp6"} {
			text, _ := os.ReadFile("/proc/thread-self/net/" + name)
			for line := range strings.Lines(string(text)) {
				f := strings.Fields(line) // sl local_address rem_address st …, in hexadecimal
				const listen = "0A"
				if len(f) > 3 && f[3] == listen && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
					found = true
				}
			}
		}
		return nil
	})
	return found
}

func tail(text string) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-2000):]
}

func printable(b []byte) string {
	if bytes.IndexByte(b, 0) >= 0 {
		return "(" + strconv.Itoa(len(b)) + " bytes)"
	}
	return string(b)
}

// onDevice is this machine's end of a real link.
func onDevice(name string) (netip.Addr, [6]byte, error) {
	var mac [6]byte
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, mac, fmt.Errorf("device %s: %w", name, err)
	}
	copy(mac[:], dev.HardwareAddr)
	addrs, err := dev.Addrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return netip.AddrFrom4([4]byte(n.IP.To4())), mac, nil
		}
	}
	return netip.Addr{}, mac, fmt.Errorf("device %s has no IPv4 address (%v)", name, err)
}
