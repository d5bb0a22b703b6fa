package floods

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/tests/testrig"
)

// attack is begun against an address, and ends with what it returns.
type attack struct {
	name  string
	held  int // slow clients, who stay
	begin func(h *host, addr string, port int) (end func())
}

// forged sends packets of a kind.
func forged(kind string) attack {
	return attack{kind, 0, func(h *host, _ string, port int) func() {
		mac := net.HardwareAddr(h.rig.Server.MAC[:]).String()
		p := testrig.Start(h.t, h.rig.Client, nil, h.flood, h.rig.Client.Device, mac, h.rig.Server.IPv4.String(), strconv.Itoa(port), kind, strconv.Itoa(h.rate))
		return func() { p.Stop(syscall.SIGKILL) }
	}}
}

// sack tears what was sent to connections of its own.
var sack = attack{"SACK", 0, func(h *host, _ string, port int) func() {
	mac := net.HardwareAddr(h.rig.Server.MAC[:]).String()
	p := testrig.Start(h.t, h.rig.Client, nil, h.sack, h.rig.Client.Device, mac, h.rig.Server.IPv4.String(), strconv.Itoa(port), strconv.Itoa(min(h.rate, 20000)))
	return func() { p.Stop(syscall.SIGKILL) }
}}

// nmap scans all ports, which takes it longer than an attack lasts.
var nmap = attack{"nmap", 0, func(h *host, _ string, _ int) func() {
	p := testrig.Start(h.t, h.rig.Client, nil, "nmap", "-n", "-Pn", "-sS", "-p-", "--min-rate", "5000", h.rig.Server.IPv4.String())
	return func() { p.Stop(syscall.SIGKILL) }
}}

// crowd keeps n connections and does something to each of them again and again, 2,000 a second in all. It begins when all have been tried.
func crowd(name string, n int, first string, more string, prepare func(net.Conn)) attack {
	return attack{name, n, func(h *host, addr string, _ int) func() {
		stop, round, done := make(chan struct{}), make(chan struct{}, 1), sync.WaitGroup{}
		done.Go(func() {
			conns := make([]net.Conn, n)
			defer func() {
				for _, c := range conns {
					if c != nil {
						_ = c.(*net.TCPConn).SetLinger(0)
						c.Close()
					}
				}
			}()
			for i := 0; ; i = (i + 1) % n {
				if i == n-1 {
					select {
					case round <- struct{}{}:
					default:
					}
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Second / 2000):
				}
				var err error
				if conns[i] == nil {
					if conns[i], err = dial(h.rig.Client, addr); err != nil {
						conns[i] = nil
						continue
					}
					prepare(conns[i])
					_, err = conns[i].Write([]byte(first))
				} else {
					_ = conns[i].SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
					_, err = conns[i].Write([]byte(more))
				}
				if err != nil && !os.IsTimeout(err) {
					conns[i].Close()
					conns[i] = nil
				}
			}
		})
		select {
		case <-round:
		case <-time.After(time.Minute):
		}
		return func() { close(stop); done.Wait() }
	}}
}

// slowly is how many connections one process of slowloris holds: descriptors are few.
const slowly = 10000

// slowloris is begun when each connection was tried once.
func slowloris(n int) attack {
	return attack{fmt.Sprintf("slowloris, %d", n), n, func(h *host, _ string, port int) func() {
		var all []*testrig.Proc
		for left := n; left > 0; left -= slowly {
			all = append(all, testrig.Start(h.t, h.rig.Client, nil, h.slow, h.rig.Server.IPv4.String(), strconv.Itoa(port), strconv.Itoa(min(left, slowly)), "2000"))
		}
		for _, p := range all {
			testrig.Until(h.t, "all connections", func() bool { return strings.HasPrefix(p.Output(), "all") })
			h.t.Logf("slowloris: %s", strings.TrimSpace(p.Output()))
		}
		return func() {
			for _, p := range all {
				p.Stop(syscall.SIGKILL)
			}
		}
	}}
}

// small lets a connection take in next to nothing.
func small(c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	}
}

func attacks(slow int) []attack {
	all := []attack{
		{"none", 0, func(*host, string, int) func() { return func() {} }},
		forged("syn"), forged("ack"), forged("rst"), forged("fin"), forged("fragment"), forged("scan"), sack,
		crowd("tiny segments", 50, "GET / HTTP/1.1\r\nX: ", "a", func(net.Conn) {}),
		slowloris(slow),
		crowd("closed windows", 300, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", small),
	}
	if _, err := exec.LookPath("nmap"); err == nil {
		all = append(all, nmap)
	}
	return all
}

// memory is what processes have in memory, in KiB: of their own, and shared, which is packet memory.
type memory struct{ anon, shared int }

func (m memory) max(o memory) memory { return memory{max(m.anon, o.anon), max(m.shared, o.shared)} }

func resident(t *testing.T, pids []int) (m memory) {
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			var n int
			if _, err := fmt.Sscanf(line, "RssAnon: %d", &n); err == nil {
				m.anon += n
			} else if _, err := fmt.Sscanf(line, "RssShmem: %d", &n); err == nil {
				m.shared += n
			}
		}
	}
	return m
}
