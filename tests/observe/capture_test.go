package observe

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// pcapng is one packet of a file: what sluice tells beside the bytes.
type pcapng struct {
	comment string
	flags   uint32
	at      time.Time
	device  string
	size    int
}

// readPcapng goes through the blocks (draft-ietf-opsawg-pcapng §4); only what sluice writes is understood: little endian, nanoseconds. The last one may be
// just being written.
func readPcapng(t *testing.T, b []byte) (all []pcapng) {
	t.Helper()
	le := binary.LittleEndian
	options := func(b []byte) map[uint16][]byte {
		m := map[uint16][]byte{}
		for len(b) >= 4 && le.Uint16(b) != 0 {
			n := int(le.Uint16(b[2:]))
			m[le.Uint16(b)] = b[4 : 4+n]
			b = b[4+(n+3)&^3:]
		}
		return m
	}
	var devices []string
	for len(b) >= 8 {
		kind, n := le.Uint32(b), int(le.Uint32(b[4:]))
		if n > len(b) {
			break
		}
		require.Equal(t, uint32(n), le.Uint32(b[n-4:]), "a block has its length at both ends")
		body := b[8 : n-4]
		switch kind {
		case 1: // interface
			o := options(body[8:])
			require.Equal(t, []byte{9}, o[9], "times are nanoseconds")
			devices = append(devices, string(o[2]))
		case 6: // enhanced packet
			size := int(le.Uint32(body[12:]))
			o := options(body[20+(size+3)&^3:])
			all = append(all, pcapng{string(o[1]), le.Uint32(o[2]), time.Unix(0, int64(le.Uint32(body[4:]))<<32|int64(le.Uint32(body[8:]))), devices[le.Uint32(body)], size})
		}
		b = b[n:]
	}
	return all
}

// Each packet of a pcapng file tells its program and process, its direction, device and queue, and when it was: in order, and between
// the beginning and the end of what was asked for.
func TestPcapngTellsWhoAndWhen(t *testing.T) {
	r := newRig(t)
	x := r.nginx()
	file := filepath.Join(r.Dir, "x.pcapng")
	p := testrig.Start(t, r.Server, r.Env(), "sh", "-c", `exec "$0" tcpdump --pcapng >"$1"`, testrig.Built(t, "sluice"), file)
	testrig.Until(t, "the capture's beginning", func() bool { st, err := os.Stat(file); return err == nil && st.Size() > 0 })
	began := time.Now()
	testrig.Run(t, r.Client, "curl", "-sS", "-o", "/dev/null", r.url("index.html"))
	ended := time.Now()
	var all []pcapng
	testrig.Until(t, "the connection's packets", func() bool {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		all = readPcapng(t, b)
		return len(all) >= 9
	})
	p.Stop(syscall.SIGINT)
	directions := map[uint32]int{}
	last := began
	for _, x1 := range all {
		require.Equal(t, fmt.Sprintf("nginx[%d]", x.WorkerPids()[0]), x1.comment)
		require.Regexp(t, `^veth0/\d$`, x1.device)
		require.False(t, x1.at.Before(last), "%v after %v", x1.at, last)
		require.True(t, x1.at.Before(ended.Add(time.Second)))
		last = x1.at
		directions[x1.flags&3]++
	}
	require.GreaterOrEqual(t, directions[1], 4, "inbound: SYN, ACK, request, FIN")
	require.GreaterOrEqual(t, directions[2], 3, "outbound: SYN-ACK, answer, FIN")
}

// What leaves in runs, by segmentation offload, is captured too: the capture here has the bytes that the one at the far end has.
func TestCaptureSeesRuns(t *testing.T) {
	r := &rig{testrig.New(t, testbed.Config{Queues: 1})}
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	near := filepath.Join(r.Dir, "near.pcap")
	dump := r.dumping("-Z", "root", "-U", "-w", near)
	done := r.capturing(80)
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept l x")
	fmt.Fprintln(c.in, "recv x 3000000")
	s.do("send x 3000000")
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ok\n", line)
	r.settled()
	far := done()
	testrig.Until(t, "all bytes in both captures", func() bool {
		here, err := tryCapture(t, near, 80) // its last packet may be just being written
		return err == nil && here.bytesOut == far.bytesOut
	})
	dump.Stop(syscall.SIGINT)
	require.Contains(t, dump.Output(), " 0 dropped by sluice")
	here := readCapture(t, near, 80)
	require.GreaterOrEqual(t, here.bytesOut-here.bytesAgain, uint64(3_000_000))
	require.Equal(t, far.out, here.out)
	t.Logf("%d packets of %d bytes on average", here.out, here.bytesOut/here.out)
}

// Memory that tools read is its owner's and root's: no other user can open it by /proc, and the broker shows him nothing.
func TestNobodyElseReadsTheMemory(t *testing.T) {
	r := newRig(t)
	s := r.puppet(r.Server, r.Env())
	s.do("listen l 0.0.0.0 80")
	dump := r.dumping("-w", "/dev/null")
	var memory map[string][]string
	testrig.Until(t, "the ring", func() bool { memory = mapped(t, s.Pid()); return memory["sluice-mirror"] != nil })
	for _, name := range []string{"sluice-state", "sluice-mirror", "sluice-umem"} {
		require.NotEmpty(t, memory[name], "%v", memory)
		for _, path := range memory[name] {
			st, err := os.Stat(path)
			require.NoError(t, err)
			require.Zero(t, st.Mode().Perm()&0o077, "%s has mode %v", name, st.Mode())
			out, err := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path).CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), "Permission denied", path)
		}
	}
	for _, args := range [][]string{{"trace", fmt.Sprint(s.Pid())}, {"postmortem"}, {"mirror", "on"}} {
		_, errs, err := r.asNobody(args...)
		require.Error(t, err, args)
		require.NotEmpty(t, errs)
	}
	out, _, err := r.asNobody("netstat", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"processes": []`)
	dump.Stop(syscall.SIGINT)
}

// mapped is a process's shared memory, by name, as descriptors and as mappings.
func mapped(t *testing.T, pid int) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	maps, err := filepath.Glob(fmt.Sprintf("/proc/%d/map_files/*", pid))
	require.NoError(t, err)
	for _, l := range append(links, maps...) {
		to, _ := os.Readlink(l)
		if name, ok := strings.CutPrefix(to, "/memfd:"); ok {
			name = strings.TrimSuffix(name, " (deleted)")
			out[name] = append(out[name], l)
		}
	}
	return out
}

// The probes are listed by bpftrace as by readelf, and one that is attached to a program at work tells what the program does.
func TestBpftraceSeesTheProbes(t *testing.T) {
	if _, err := exec.LookPath("bpftrace"); err != nil {
		t.Skip("bpftrace is not installed: make probes installs it")
	}
	lib := testrig.Built(t, "libsluice.so")
	notes := testrig.Run(t, nil, "readelf", "-n", "-W", lib)
	listed := testrig.Run(t, nil, "bpftrace", "-l", "usdt:"+lib+":*")
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`Provider: sluice\s+Name: (\w+)`).FindAllStringSubmatch(notes, -1) {
		names[m[1]] = true
	}
	require.Len(t, names, 10)
	for name := range names {
		require.Contains(t, listed, "usdt:"+lib+":sluice:"+name+"\n")
	}
	r := newRig(t)
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept l x")
	probe := testrig.Start(t, nil, nil, "bpftrace", "-p", fmt.Sprint(s.Pid()), "-e",
		`usdt:`+lib+`:sluice:recv /arg1 == 777/ { printf("received %d\n", arg1); exit(); }`)
	// A probe has as many places as there are ways through the call.
	testrig.Until(t, "bpftrace to attach", func() bool { return strings.Contains(probe.Output(), "Attaching ") })
	testrig.Until(t, "the probe", func() bool {
		c.do("send x 777")
		s.do("recv x 777")
		return strings.Contains(probe.Output(), "received 777\n")
	})
	require.NoError(t, probe.Wait(testrig.Patience))
}
