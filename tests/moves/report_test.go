package moves

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/sluice-net/sluice/testbed"
)

// kernelCounters are /proc/net/snmp and netstat of a namespace: those of TCP.
func kernelCounters(n *testbed.Node) map[string]int64 {
	out := map[string]int64{}
	_ = n.Do(func() error {
		for _, file := range []string{"snmp", "netstat"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			var names []string
			for in := bufio.NewScanner(strings.NewReader(string(b))); in.Scan(); {
				f := strings.Fields(in.Text())
				if !strings.HasPrefix(f[0], "Tcp") {
					continue
				}
				if len(names) != len(f) || names[0] != f[0] {
					names = f
					continue
				}
				for i := range f[1:] {
					var v int64
					_, _ = fmt.Sscan(f[i+1], &v)
					out[strings.TrimSuffix(f[0], ":")+names[i+1]] = v
				}
				names = nil
			}
		}
		return nil
	})
	return out
}

// report is what a failure tells: what both kernels and the wire saw.
type report struct {
	r           *rig
	before      [2]map[string]int64
	all, resets *proc
	once        sync.Once
	sockets     string // when the first stream failed, before its end was closed
}

func (r *rig) nodes() [2]*testbed.Node { return [2]*testbed.Node{r.bed.Client, r.bed.Server} }

func (r *rig) reports() *report {
	r.t.Helper()
	p := &report{r: r}
	for i, n := range r.nodes() {
		p.before[i] = kernelCounters(n)
	}
	if long() {
		p.all = r.record("all.pcap", "-C", "2", "-W", "2")
		p.resets = r.record("resets.pcap", "-U", "tcp[tcpflags] & tcp-rst != 0")
	}
	r.t.Cleanup(func() {
		if r.t.Failed() {
			p.tell()
		}
	})
	return p
}

// failed is told of the first failure while the sockets are still there.
func (p *report) failed() {
	p.once.Do(func() {
		p.all.end(syscall.SIGTERM)
		p.sockets = "client:\n" + sockets(p.r.bed.Client) + "server:\n" + sockets(p.r.bed.Server)
	})
}

func (p *report) tell() {
	for i, n := range p.r.nodes() {
		after := kernelCounters(n)
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if d := after[name] - p.before[i][name]; d != 0 {
				fmt.Fprintf(&b, " %s=%d", name, d)
			}
		}
		p.r.t.Logf("the kernel of the %s counted:%s", n.Name, b.String())
	}
	p.r.t.Logf("sockets at the failure:\n%s", p.sockets)
	p.all.end(syscall.SIGTERM)
	p.resets.end(syscall.SIGTERM)
	p.r.t.Logf("resets:\n%s", p.r.recorded("resets.pcap", 50))
	p.r.t.Logf("the last packets:\n%s", p.r.recorded("all.pcap*", 200))
}

// record captures headers at the client's device into files of the rig's.
func (r *rig) record(file string, args ...string) *proc {
	r.t.Helper()
	c := exec.Command("tcpdump", append([]string{"-i", r.bed.Client.Device, "-s", "100", "-n", "-Z", "root", "-w", filepath.Join(r.dir, file)}, args...)...)
	p := &proc{t: r.t, cmd: c, over: make(chan struct{})}
	c.Stdout, c.Stderr = p, p
	if err := r.bed.Client.Start(c); err != nil {
		r.t.Logf("no capture: %v", err)
		return nil
	}
	go func() {
		_ = c.Wait()
		close(p.over)
	}()
	r.t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

// recorded are the last lines of what was captured.
func (r *rig) recorded(pattern string, n int) string {
	files, _ := filepath.Glob(filepath.Join(r.dir, pattern))
	var lines []string
	for _, f := range files {
		out, _ := exec.Command("tcpdump", "-n", "-tt", "-r", f).Output()
		lines = append(lines, strings.Split(strings.TrimSpace(string(out)), "\n")...)
	}
	slices.Sort(lines) // by time
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// sockets are what ss says of a namespace's, with timers, memory and windows.
func sockets(n *testbed.Node) string {
	c := exec.Command("ss", "-tinmoe")
	var b strings.Builder
	c.Stdout = &b
	if err := n.Start(c); err == nil {
		_ = c.Wait()
	}
	return b.String()
}
