package observe

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/tests/testrig"
)

// nginx starts one accelerated worker in the server's namespace.
func (r *rig) nginx() *nginx.Site {
	r.T.Helper()
	x := &nginx.Site{Port: 80, Backend: 8081, Workers: 1, Dir: filepath.Join(r.Dir, "nginx")}
	path, err := x.Write()
	require.NoError(r.T, err)
	p := testrig.Start(r.T, r.Server, r.Env(), testrig.Built(r.T, "sluice"), "run", "--", nginx.Path, "-c", path)
	r.T.Cleanup(func() {
		if master := x.Master(); master != 0 {
			syscall.Kill(master, syscall.SIGTERM)
		}
		p.Wait(testrig.Patience)
	})
	testrig.Until(r.T, "nginx to be accelerated", func() bool {
		pids := x.WorkerPids()
		return len(pids) == 1 && r.Status().QueuesByPID()[pids[0]] > 0
	})
	r.waitOwner(x.WorkerPids()[0])
	return x
}

func (r *rig) url(page string) string { return fmt.Sprintf("http://%s/%s", r.Server.IPv4, page) }

// dumping starts sluice tcpdump and waits until the packets come to it.
func (r *rig) dumping(args ...string) *testrig.Proc {
	r.T.Helper()
	p := testrig.Start(r.T, r.Server, r.Env(), testrig.Built(r.T, "sluice"), append([]string{"tcpdump"}, args...)...)
	testrig.Until(r.T, "tcpdump to read", func() bool { return strings.Contains(p.Output(), "reading from file -") })
	return p
}

// It ends as tcpdump does, and says what tcpdump says.
func TestTcpdumpEndsAsTcpdumpDoes(t *testing.T) {
	r := newRig(t)
	r.nginx()
	p := r.dumping("-nn", "-c", "5", "port", "80")
	testrig.Run(t, r.Client, "curl", "-sS", "-o", "/dev/null", r.url("index.html"))
	require.NoError(t, p.Wait(testrig.Patience))
	out := p.Output()
	require.Equal(t, 5, strings.Count(out, "Flags ["), out)
	require.Regexp(t, `10\.77\.0\.2\.\d+ > 10\.77\.0\.1\.80: Flags \[S\], seq \d+, win .*`, out)
	require.Regexp(t, `10\.77\.0\.1\.80 > 10\.77\.0\.2\.\d+: Flags \[S\.\], seq \d+, ack \d+`, out)
	require.Regexp(t, `HTTP: GET /index.html`, out)
	require.Regexp(t, `\d+ packets of accelerated programs, 0 dropped by sluice`, out)
	for _, args := range [][]string{{"nonsense", "filter", "("}, {"--no-such-option"}} {
		_, _, want := testrig.Try(r.Client, nil, "tcpdump", append([]string{"-i", r.Client.Device}, args...)...)
		_, _, got := testrig.Try(r.Server, r.Env(), testrig.Built(t, "sluice"), append([]string{"tcpdump"}, args...)...)
		require.Equal(t, want.(*exec.ExitError).ExitCode(), got.(*exec.ExitError).ExitCode())
	}
	p = testrig.Start(t, r.Server, r.Env(), testrig.Built(t, "sluice"), "tcpdump", "-nn")
	testrig.Until(t, "tcpdump to read", func() bool { return strings.Contains(p.Output(), "reading from file -") })
	p.Signal(syscall.SIGINT)
	require.NoError(t, p.Wait(testrig.Patience), "interrupted, it ends well")
}

var packetLine = regexp.MustCompile(`IP (\S+) > (\S+): Flags.*`)

// packets are the lines of a capture without their times, and how often each is there; an error if it ends within a packet, as one that is written may.
func packets(file string) (map[string]int, error) {
	lines, _, err := testrig.Try(nil, nil, "tcpdump", "-nn", "-S", "-r", file)
	out := map[string]int{}
	for _, l := range packetLine.FindAllString(lines, -1) {
		out[l]++
	}
	return out, err
}

// Both directions are seen as a capture at the far end sees them, packet by packet; a program that starts meanwhile is seen from its first
// packet on.
func TestTheCaptureIsThatOfTheFarEnd(t *testing.T) {
	r := newRig(t)
	near, far := filepath.Join(r.Dir, "near.pcap"), filepath.Join(r.Dir, "far.pcap")
	dump := r.dumping("-Z", "root", "-U", "-w", near)
	other := testrig.Start(t, r.Client, nil, "tcpdump", "-i", r.Client.Device, "-B", "65536", "--immediate-mode", "-U", "-Z", "root", "-w", far, "tcp", "port", "80")
	testrig.Until(t, "tcpdump to listen", func() bool { return strings.Contains(other.Output(), "listening on") })
	x := r.nginx()
	require.NoError(t, x.File("big", 300000))
	for range 3 {
		testrig.Run(t, r.Client, "curl", "-sS", "-o", "/dev/null", r.url("big"))
	}
	testrig.Until(t, "the connections' end", func() bool {
		return len(r.ss(r.Client, "state", "big", "dport", "=", ":80")) == 0
	})
	both := func() (n, f map[string]int, err error) {
		n, err = packets(near)
		f, err2 := packets(far)
		return n, f, errors.Join(err, err2)
	}
	testrig.Until(t, "all packets in both files", func() bool { n, f, err := both(); return err == nil && reflect.DeepEqual(n, f) })
	dump.Stop(syscall.SIGINT)
	other.Stop(syscall.SIGINT)
	require.Contains(t, other.Output(), "\n0 packets dropped by kernel")
	require.Contains(t, dump.Output(), " 0 dropped by sluice")
	n, f, err := both()
	require.NoError(t, err)
	require.Equal(t, f, n)
}

// A large transfer is captured and arrives whole. One who looks and is stopped, or killed, holds nobody up: what he missed is counted.
func TestCaptureOfALargeTransfer(t *testing.T) {
	r := newRig(t)
	x := r.nginx()
	size := 64 << 20
	if n, err := strconv.Atoi(os.Getenv("SLT_CAPTURE_MB")); err == nil {
		size = n << 20
	}
	data := make([]byte, 1<<20)
	rand.Read(data)
	f, err := os.Create(filepath.Join(x.Root(), "large"))
	require.NoError(t, err)
	h := sha256.New()
	for at := 0; at < size; at += len(data) {
		data[0]++
		f.Write(data)
		h.Write(data)
	}
	require.NoError(t, f.Close())
	require.NoError(t, os.Chmod(f.Name(), 0o644))
	want := hex.EncodeToString(h.Sum(nil))
	fetch := func() {
		t.Helper()
		out := testrig.Run(t, r.Client, "sh", "-c", "curl -sS "+r.url("large")+" | sha256sum")
		require.Equal(t, want, strings.Fields(out)[0])
	}
	dump := r.dumping("-nn", "-w", "/dev/null")
	fetch()
	dump.Signal(syscall.SIGSTOP)
	fetch()
	require.NoError(t, dump.Cmd.Process.Signal(syscall.SIGCONT))
	dump.Stop(syscall.SIGINT)
	m := regexp.MustCompile(`(\d+) packets of accelerated programs, (\d+) dropped by sluice`).FindStringSubmatch(dump.Output())
	require.NotNil(t, m, dump.Output())
	dropped, _ := strconv.Atoi(m[2])
	require.NotZero(t, dropped, "the ring was full while it was stopped")
	t.Logf("twice %d MB: %s", size>>20, m[0])
	dump = testrig.Start(t, r.Server, r.Env(), testrig.Built(t, "sluice"), "tcpdump", "-nn", "-w", "/dev/null")
	testrig.Until(t, "the second mirror", func() bool { return strings.Count(r.Broker.Output(), "mirrors the packets of") == 2 })
	dump.Signal(syscall.SIGKILL)
	dump.Wait(testrig.Patience)
	fetch()
	n := jsonOf[report](r, r.Server, "netstat", "--json")
	require.Zero(t, n.Total["SluiceFaults"])
}

// Any tool sees the traffic on the mirror's interface; it takes no part in it, and is gone when it is switched off.
func TestMirror(t *testing.T) {
	r := newRig(t)
	r.nginx()
	r.sluice(r.Server, "mirror", "on")
	dump := testrig.Start(t, r.Server, nil, "tcpdump", "-i", "sluice-mirror", "-nn", "-c", "5", "port", "80")
	testrig.Until(t, "tcpdump to listen", func() bool { return strings.Contains(dump.Output(), "listening on") })
	testrig.Run(t, r.Client, "curl", "-sS", "-o", "/dev/null", r.url("index.html"))
	require.NoError(t, dump.Wait(testrig.Patience))
	require.Contains(t, dump.Output(), "HTTP: GET /index.html")
	var st struct{ Mirror broker.MirrorStatus }
	testrig.Until(t, "the count", func() bool {
		st = jsonOf[struct{ Mirror broker.MirrorStatus }](r, r.Server, "status")
		return st.Mirror.Packets >= 5
	})
	require.Zero(t, st.Mirror.Dropped)
	_, errs, err := testrig.Try(r.Server, r.Env(), testrig.Built(t, "sluice"), "mirror", "on")
	require.Error(t, err)
	require.Contains(t, errs, "is it there already?")
	r.sluice(r.Server, "mirror", "off")
	testrig.Until(t, "the interface's end", func() bool {
		gone := false
		r.Server.Do(func() error { _, err := net.InterfaceByName("sluice-mirror"); gone = err != nil; return nil })
		return gone
	})
}
