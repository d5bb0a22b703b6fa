package broker

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// manager keeps descriptors, as systemd does.
type manager struct {
	t      *testing.T
	socket string
	mu     sync.Mutex
	kept   map[string][]int
}

var toManager = regexp.MustCompile(`^(FDSTORE|FDSTOREREMOVE)=1\nFDNAME=([^\n]+)(\nFDPOLL=0)?$`)

func newManager(t *testing.T) *manager {
	m := &manager{t: t, socket: filepath.Join(t.TempDir(), "notify"), kept: map[string][]int{}}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: m.socket})
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		for _, fds := range m.give() {
			closeAll(fds)
		}
	})
	go func() {
		text, room := make([]byte, 256), make([]byte, 256)
		for {
			n, rn, _, _, err := c.ReadMsgUnix(text, room)
			if err != nil {
				return
			}
			m.take(string(text[:n]), room[:rn])
		}
	}()
	return m
}

func (m *manager) take(text string, room []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := toManager.FindStringSubmatch(text)
	if w == nil {
		m.t.Errorf("not understood: %q", text)
		return
	}
	if w[1] == "FDSTOREREMOVE" {
		closeAll(m.kept[w[2]])
		delete(m.kept, w[2])
		return
	}
	all, err := unix.ParseSocketControlMessage(room)
	if err != nil || len(all) != 1 {
		m.t.Errorf("no descriptors with %q: %v", text, err)
		return
	}
	fds, _ := unix.ParseUnixRights(&all[0])
	m.kept[w[2]] = append(m.kept[w[2]], fds...)
}

// give is what the next broker gets: copies.
func (m *manager) give() map[string][]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.kept)
	for name, fds := range all {
		all[name], _ = dupAll(fds)
	}
	return all
}

func (m *manager) holds(n int) {
	m.t.Helper()
	bedtest.Until(m.t, fmt.Sprintf("what %d programs left", n), func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.kept) == n
	})
}

// The peers of a program that is killed while no broker runs are told by the next one: those of a listener, also of one that was closed meanwhile; at
// once if it is dead by then, else when it ends, whether it came before or not.
func TestPeersOfWhoDiedWithTheBrokerGetResets(t *testing.T) {
	for _, when := range []string{"before the next", "before it comes", "when it has come", "with its listener closed"} {
		t.Run(when, func(t *testing.T) {
			g := newManager(t)
			t.Setenv("NOTIFY_SOCKET", g.socket)
			m := newMortal(t, "none")
			c := m.connect()
			require.Equal(t, "4", m.p.do("lease"))
			m.p.do("takeover")
			g.holds(1)
			m.first.kill()
			if when == "with its listener closed" {
				m.p.do("forsake")
			}
			if strings.HasPrefix(when, "before the") || strings.HasPrefix(when, "with") {
				m.p.kill()
			}
			b := realHost(t, func(cfg *Config) {
				cfg.Socket, cfg.PinDir, cfg.Grace, cfg.Manager = m.socket, m.pin, time.Hour, Manager{Socket: g.socket, Kept: g.give()}
			})
			if when == "when it has come" {
				m.p.do("door", m.socket)
				require.Equal(t, "true 4 ", m.p.do("adopt"))
				b.mu.Lock()
				require.Empty(t, b.estates)
				b.mu.Unlock()
			}
			m.p.kill()
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, unix.ECONNRESET)
			require.EqualValues(t, 1, b.Status().Counters.Resets)
			g.holds(0)
			b.mu.Lock()
			b.endGrace()
			b.mu.Unlock()
			b.Close()
		})
	}
}

// What a broker gives back at its end nobody inherits; nor what is no state memory.
func TestNothingIsLeftToInherit(t *testing.T) {
	g := newManager(t)
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, func(c *Config) { c.Manager.Socket = g.socket })
	serving(t, bed, b, "0.0.0.0")
	g.holds(1)
	b.Close()
	g.holds(0)

	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, (&Manager{Socket: g.socket}).keep("odd", int(r.Fd()), int(w.Fd())))
	r.Close()
	w.Close()
	g.holds(1)
	b = realHost(t, func(c *Config) { c.Manager = Manager{Socket: g.socket, Kept: g.give()} })
	g.holds(0)
	require.Empty(t, b.estates)
}

// Of what a program that only connects wrote nothing is believed but connections of ports that it had on lease.
func TestPortsOnLeaseAreNoted(t *testing.T) {
	g := newManager(t)
	h := newFakeHost(t, 1, func(c *Config) { c.Manager.Socket = g.socket })
	e := h.engine()
	fds, ports := bound(t, 64, 0)
	_, err := e.lease(fds)
	require.NoError(t, err)
	noted := func() (n portNotes) {
		h.b.mu.Lock()
		defer h.b.mu.Unlock()
		for c := range h.b.clients {
			if c.state != nil {
				require.True(t, readNotes(c.state, notesOfPorts, &n))
				require.Equal(t, c.space.inode, n.NetNS)
			}
		}
		return n
	}
	n := noted()
	for _, p := range ports {
		require.True(t, n.has(netip.AddrPortFrom(here, p)), "%d in %v", p, n.Ports)
	}
	require.False(t, n.has(netip.AddrPortFrom(here, slices.Max(ports)+1)))
	require.False(t, n.has(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), ports[0])))
	_, err = e.c.Call(proto.OpUnports, proto.Unports{Local: here, Ports: ports[:63]}, nil, nil, patience)
	require.NoError(t, err)
	require.Equal(t, []span{{here, ports[63], ports[63]}}, noted().Ports)
}

// The descriptors that a process is given have the names of its environment.
func TestWhatAManagerGives(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, exe)
	cmd.Env = append(os.Environ(), roleVar+"=given", "LISTEN_FDS=3", "LISTEN_FDNAMES=a:b:a", "NOTIFY_SOCKET=@x")
	cmd.ExtraFiles = []*os.File{r, w, r}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "@x map[a:[3 5] b:[4]] []\n", string(out))
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"=given", "LISTEN_PID=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=a:b:a")
	out, err = cmd.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, " map[] []\n", string(out), "of another process")
}

// left are the variables that a child would inherit.
func left() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return !strings.HasPrefix(v, "LISTEN_") && !strings.HasPrefix(v, "NOTIFY_") })
}
