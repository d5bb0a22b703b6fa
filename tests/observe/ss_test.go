package observe

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/observe/sockets"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// sock is what these tests need of `sluice ss --json`.
type sock struct {
	State       string
	Recv_q      int
	Send_q      int
	Local, Peer string
	Timer       *struct{ Name string }
	Users       []sockets.User
	Tcp_info    *sockets.Info
	Sluice      *sockets.Accel
}

func (r *rig) ss(node *testbed.Node, args ...string) []sock {
	return jsonOf[[]sock](r, node, append([]string{"ss", "-a", "--json"}, args...)...)
}

// What ss(8) tells of the kernel's sockets we tell in the same words.
func TestKernelSocketsAsSSDoes(t *testing.T) {
	r := newRig(t)
	server, client := r.puppet(r.Server, nil), r.puppet(r.Client, nil)
	server.do("listen l 0.0.0.0 80")
	server.do("listen k %s 8080", r.Server.IPv4)
	for i := range 3 {
		client.do("connect c%d %s 80", i, r.Server.IPv4)
		server.do("accept l s%d", i)
	}
	client.do("send c0 100000")
	server.do("recv s0 50000")
	client.do("shut c1")
	server.do("close s2")
	client.do("recv c2 1")
	client.do("close c2")
	time.Sleep(300 * time.Millisecond) // delayed ACKs
	for _, args := range []string{"-tan", "-tanp", "-tano", "-tanm", "-tani", "-tane", "-tanpiome", "-tln", "-tn", "-tanO", "-tanH", "-ta"} {
		for _, filter := range []string{"", "state established", "sport = :80", "dst 10.77.0.2 or sport = :8080", "not ( sport :80 )", "exclude listening", "state time-wait"} {
			words := append([]string{args}, strings.Fields(filter)...)
			testrig.Until(t, "sockets that stay as they are meanwhile", func() bool {
				before := lines(testrig.Run(t, r.Server, "ss", words...))
				ours := lines(r.sluice(r.Server, append([]string{"ss"}, words...)...))
				same := reflect.DeepEqual(before, lines(testrig.Run(t, r.Server, "ss", words...)))
				require.True(t, !same || reflect.DeepEqual(before, ours), "ss %v: %v, by sluice %v", words, before, ours)
				return same
			})
		}
	}
}

var varies = regexp.MustCompile(` (lastsnd|lastrcv|lastack|busy|timer|send|pacing_rate|delivery_rate|rcv_wnd|rehash|bbr):?\S*( \S+bps(/\S+bps)?)?`)

// lines are what a table says, without its layout, what changes by itself, and the order of the lines and of the users.
func lines(text string) map[string]int {
	out := map[string]int{}
	text = strings.NewReplacer("\n\t", " ", "PortProcess", "Port Process").Replace(text)
	for _, l := range strings.Split(text, "\n") {
		l = varies.ReplaceAllString(" "+strings.Join(strings.Fields(l), " "), "")
		out[strings.ReplaceAll(l, " ", "  ")]++
	}
	return out
}

// Every state there is, from LISTEN to TIME-WAIT, of an accelerated program, as the peer's kernel sees it from the other side.
func TestEveryState(t *testing.T) {
	r := newRig(t)
	s, c := r.puppet(r.Server, append(r.Env(), "SLUICE_CONNECT=10.77.0.0/24:*")), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	pair := func(name string) {
		c.do("connect %s %s 80", name, r.Server.IPv4)
		s.do("accept l %s", name)
	}
	state := func(want, name string) sock {
		t.Helper()
		var got []sock
		port := ":" + c.do("port %s", name)
		testrig.Until(t, want, func() bool {
			got = nil
			for _, x := range r.ss(r.Server) {
				if strings.HasSuffix(x.Peer, port) && x.State != "LISTEN" {
					got = append(got, x)
				}
			}
			return len(got) == 1 && got[0].State == want
		})
		require.NotNil(t, got[0].Sluice, "it is not the kernel's")
		return got[0]
	}
	list := r.ss(r.Server, "state", "listening")
	require.Len(t, list, 1, "the kernel's listener and the engine's are one line")
	require.NotNil(t, list[0].Sluice)

	pair("estab")
	x := state("ESTAB", "estab")
	require.Equal(t, []sockets.User{{Program: "python3", Pid: s.Pid(), FD: number(t, s.do("fd estab"))}}, x.Users)
	pair("closewait")
	c.do("shut closewait")
	state("CLOSE-WAIT", "closewait")
	pair("finwait2")
	s.do("shut finwait2")
	state("FIN-WAIT-2", "finwait2")
	pair("timewait")
	s.do("close timewait")
	c.do("recv timewait 1")
	port := c.do("port timewait")
	c.do("close timewait")
	testrig.Until(t, "TIME-WAIT", func() bool {
		return strings.Contains(r.sluice(r.Server, "ss", "-Hano", "state", "time-wait", "dport", "=", ":"+port), "timer:(timewait")
	})
	for _, name := range []string{"finwait1", "lastack", "closing"} {
		pair(name)
	}
	c.do("shut lastack")
	state("CLOSE-WAIT", "lastack")
	// From here on nothing reaches the peer.
	r.cut()
	s.do("shut finwait1")
	require.Equal(t, "on", state("FIN-WAIT-1", "finwait1").Timer.Name)
	s.do("close lastack")
	state("LAST-ACK", "lastack")
	s.do("shut closing")
	state("FIN-WAIT-1", "closing")
	c.do("shut closing")
	state("CLOSING", "closing")
	c.do("begin synrecv %s 80", r.Server.IPv4)
	state("SYN-RECV", "synrecv")
	s.do("begin synsent %s 7777", r.Client.IPv4)
	testrig.Until(t, "SYN-SENT", func() bool {
		got := r.ss(r.Server, "state", "syn-sent", "dport", "=", ":7777")
		return len(got) == 1 && got[0].Sluice != nil
	})
}

// cut makes that nothing the server sends is taken by the client, which has another MAC now. It returns what undoes that.
func (r *rig) cut() (mend func()) {
	r.T.Helper()
	old := mac(r.T, r.Client)
	for n, peer := range map[*testbed.Node]*testbed.Node{r.Server: r.Client, r.Client: r.Server} {
		testrig.Run(r.T, n, "ip", "neigh", "replace", peer.IPv4.String(), "lladdr", mac(r.T, peer), "nud", "permanent", "dev", n.Device)
	}
	testrig.Run(r.T, r.Client, "ip", "link", "set", "dev", r.Client.Device, "address", "02:00:00:00:00:77")
	return func() { testrig.Run(r.T, r.Client, "ip", "link", "set", "dev", r.Client.Device, "address", old) }
}

func (r *rig) whileCut(do func()) {
	r.T.Helper()
	mend := r.cut()
	do()
	mend()
}

func mac(t *testing.T, n *testbed.Node) string {
	t.Helper()
	f := strings.Fields(testrig.Run(t, n, "ip", "-o", "link", "show", "dev", n.Device))
	for i := range f {
		if f[i] == "link/ether" {
			return f[i+1]
		}
	}
	t.Fatalf("no MAC in %q", f)
	return ""
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// What ss -i tells is what the program gets from getsockopt(TCP_INFO), and agrees with what the peer's kernel counted.
func TestInfoAgreesWithTheEngine(t *testing.T) {
	r := newRig(t)
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept l x")
	c.do("send x 300000")
	s.do("recv x 300000")
	s.do("send x 200000")
	c.do("recv x 200000")
	info := func() sockets.Info {
		raw, err := hex.DecodeString(s.do("info x"))
		require.NoError(t, err)
		return timeless(*sockets.ParseInfo(raw))
	}
	var want, ours, peer sockets.Info
	testrig.Until(t, "a connection that stays as it is meanwhile", func() bool {
		want = info()
		time.Sleep(300 * time.Millisecond) // the last ACK
		ours, peer = timeless(*r.ss(r.Server, "state", "established")[0].Tcp_info), *r.ss(r.Client, "state", "established")[0].Tcp_info
		return reflect.DeepEqual(want, info())
	})
	require.EqualValues(t, 300000, ours.BytesReceived)
	require.EqualValues(t, 200000, ours.BytesAcked)
	require.Equal(t, peer.SegsOut, ours.SegsIn, "nothing was lost on the way")
	require.Equal(t, peer.SegsIn, ours.SegsOut+1, "the kernel does not count the SYN-ACK either")
	require.Equal(t, want, ours)
}

// timeless is without what goes on with the clock.
func timeless(i sockets.Info) sockets.Info {
	i.LastAckRecv, i.LastDataRecv, i.LastDataSent, i.PacingRate = 0, 0, 0, 0
	return i
}

// A user sees his own programs, not those of root; a process that does not answer is told as far as the broker sees it, and the next tool is
// not kept waiting; a reader that is stopped or killed in the middle disturbs nobody.
func TestWhoSeesWhatAndWhoWaits(t *testing.T) {
	r := newRig(t)
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	for i := range 100 {
		c.do("connect c%d %s 80", i, r.Server.IPv4)
		s.do("accept l c%d", i)
	}
	require.Len(t, r.ss(r.Server, "state", "established"), 100)
	tool := r.Dir + "/sluice" // where everybody may run it
	bin, err := os.ReadFile(testrig.Built(t, "sluice"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(tool, bin, 0o755))
	nobody := testrig.Run(t, r.Server, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", tool, "ss", "--socket", r.Socket(), "-Htan", "state", "established")
	require.Empty(t, nobody)

	reader := testrig.Start(t, r.Server, r.Env(), "sh", "-c", "kill -STOP $$; exec "+tool+" ss -tani")
	readers := []*testrig.Proc{reader}
	for range 5 {
		p := testrig.Start(t, r.Server, r.Env(), tool, "ss", "-tani")
		p.Signal(syscall.SIGSTOP)
		readers = append(readers, p)
	}
	c.do("send c5 100000")
	s.do("recv c5 100000")
	require.Len(t, r.ss(r.Server, "state", "established"), 100)
	for _, p := range readers {
		p.Signal(syscall.SIGKILL)
		p.Wait(testrig.Patience)
	}
	c.do("send c6 100000")
	s.do("recv c6 100000")

	require.NoError(t, syscall.Kill(s.Pid(), syscall.SIGSTOP))
	all := r.ss(r.Server, "state", "established")
	require.NoError(t, syscall.Kill(s.Pid(), syscall.SIGCONT))
	require.Len(t, all, 100)
	require.True(t, all[0].Sluice.Stale)
	require.Equal(t, "10.77.0.1:80", all[0].Local)
	testrig.Until(t, "an answer again", func() bool {
		all := r.ss(r.Server, "state", "established", fmt.Sprintf("dport = :%s", c.do("port c6")))
		return len(all) == 1 && !all[0].Sluice.Stale
	})
}

// ss -e tells the cgroup of the kernel's sockets as ss does, of accelerated ones that of their program.
func TestCgroups(t *testing.T) {
	mount := testrig.Run(t, nil, "sh", "-c", "awk '$3 == \"cgroup2\" { print $2; exit }' /proc/self/mounts")
	if mount = strings.TrimSpace(mount); mount == "" {
		t.Skip("no cgroup v2 is mounted")
	}
	dir, err := os.MkdirTemp(mount, "slt-")
	require.NoError(t, err)
	t.Cleanup(func() { testrig.Until(t, "the cgroup to be empty", func() bool { return os.Remove(dir) == nil }) })
	r := newRig(t)
	s, k, c := r.puppet(r.Server, r.Env()), r.puppet(r.Server, nil), r.puppet(r.Client, nil)
	for _, p := range []*puppet{s, k} {
		require.NoError(t, os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(p.Pid())), 0o644))
	}
	s.do("listen l 0.0.0.0 80")
	k.do("listen l 0.0.0.0 81")
	for i, p := range []*puppet{s, k} {
		c.do("connect x%d %s %d", i, r.Server.IPv4, 80+i)
		p.do("accept l x")
	}
	want := " cgroup:/" + filepath.Base(dir) + " "
	for _, port := range []string{":80", ":81"} {
		require.Equal(t, 2, strings.Count(r.sluice(r.Server, "ss", "-Htane", "sport", "=", port), want), port)
	}
	require.Equal(t, lines(testrig.Run(t, r.Server, "ss", "-tane", "sport", "=", ":81")), lines(r.sluice(r.Server, "ss", "-tane", "sport", "=", ":81")))
	s.Stop(syscall.SIGTERM)
	k.Stop(syscall.SIGTERM)
}
