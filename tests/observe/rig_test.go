// Package observe runs the tools that look at accelerated programs (sluice ss, netstat, tcpdump, ...) against real ones, and compares what they
// tell with the truth: the program's own view, the kernel's tools, a capture at the far end.
package observe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

type rig struct{ *testrig.Rig }

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{testrig.New(t, testbed.Config{})}
}

// sluice runs the tool in a namespace and returns what it printed.
func (r *rig) sluice(node *testbed.Node, args ...string) string {
	r.T.Helper()
	out, errs, err := testrig.Try(node, r.Env(), testrig.Built(r.T, "sluice"), args...)
	require.NoError(r.T, err, "sluice %v: %s", args, errs)
	return out
}

// jsonOf runs the tool and reads its JSON.
func jsonOf[T any](r *rig, node *testbed.Node, args ...string) (v T) {
	r.T.Helper()
	out := r.sluice(node, args...)
	require.NoError(r.T, json.Unmarshal([]byte(out), &v), "%s", out)
	return v
}

// puppet is a Python program that does with its sockets what it is told, one line at a time, and answers each with a line.
type puppet struct {
	*testrig.Proc
	in  io.Writer
	out *bufio.Reader
	t   *testing.T
	rig *rig // of an accelerated one
}

const puppetSource = `
import socket, sys, struct
socks = {}
while True:
    line = sys.stdin.readline()
    if not line: break
    w = line.split()
    try:
        r = 'ok'
        if w[0] == 'listen':
            s = socks[w[1]] = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((w[2], int(w[3]))); s.listen(16)
            s.setblocking(False)
            try: s.accept()
            except BlockingIOError: pass
            s.setblocking(True)
        elif w[0] == 'accept': socks[w[2]] = socks[w[1]].accept()[0]
        elif w[0] == 'connect': s = socks[w[1]] = socket.create_connection((w[2], int(w[3])), 15)
        elif w[0] == 'begin':
            s = socks[w[1]] = socket.socket(); s.setblocking(False); s.connect_ex((w[2], int(w[3])))
        elif w[0] == 'send': socks[w[1]].sendall(b'x' * int(w[2]))
        elif w[0] == 'recv':
            n = int(w[2])
            while n > 0:
                d = socks[w[1]].recv(min(n, 1 << 16))
                if not d: r = 'end'; break
                n -= len(d)
        elif w[0] == 'shut': socks[w[1]].shutdown(socket.SHUT_WR)
        elif w[0] == 'close': socks.pop(w[1]).close()
        elif w[0] == 'abort':
            s = socks.pop(w[1]); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()
        elif w[0] == 'info': r = socks[w[1]].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280).hex()
        elif w[0] == 'fd': r = str(socks[w[1]].fileno())
        elif w[0] == 'port': r = str(socks[w[1]].getsockname()[1])
    except Exception as e: r = 'error ' + repr(e)
    print(r, flush=True)
`

// puppet starts one: accelerated if env is not nil.
func (r *rig) puppet(node *testbed.Node, env []string) *puppet {
	r.T.Helper()
	name, args := "python3", []string{"-c", puppetSource}
	if env != nil {
		name, args = testrig.Built(r.T, "sluice"), append([]string{"run", "--", "python3"}, args...)
	}
	in, w, err := os.Pipe()
	require.NoError(r.T, err)
	path := filepath.Join(r.T.TempDir(), "said")
	require.NoError(r.T, exec.Command("mkfifo", path).Run())
	p := &puppet{in: w, t: r.T}
	if env != nil {
		p.rig = r
	}
	quoted := append([]string{"-c", `p=$1; shift; exec "$@" >$p`, "sh", path, name}, args...)
	p.Proc = testrig.StartWithInput(r.T, node, in, env, "sh", quoted...)
	in.Close()
	out, err := os.Open(path)
	require.NoError(r.T, err)
	p.out = bufio.NewReader(out)
	r.T.Cleanup(func() { w.Close(); out.Close() })
	return p
}

// do gives an order and waits for its answer.
func (p *puppet) do(format string, args ...any) string {
	p.t.Helper()
	fmt.Fprintf(p.in, format+"\n", args...)
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err, "%s", p.Output())
	line = strings.TrimSpace(line)
	require.NotContains(p.t, line, "error", format, args)
	if p.rig != nil && strings.HasPrefix(format, "listen") {
		p.rig.waitOwner(p.Pid())
	}
	return line
}

// waitOwner waits until all queues are a process's: from then on no connection of its listeners is the kernel's.
func (r *rig) waitOwner(pid int) {
	r.T.Helper()
	testrig.Until(r.T, "all queues to be the program's", func() bool {
		devices := r.Status().Devices
		for _, d := range devices {
			for _, o := range d.Owners {
				if o != pid {
					return false
				}
			}
		}
		return len(devices) > 0
	})
}

// asNobody runs the tool as a user who owns nothing here.
func (r *rig) asNobody(args ...string) (out, errs string, err error) {
	r.T.Helper()
	tool := filepath.Join(r.Dir, "sluice") // where everybody may run it
	if _, err := os.Stat(tool); err != nil {
		bin, err := os.ReadFile(testrig.Built(r.T, "sluice"))
		require.NoError(r.T, err)
		require.NoError(r.T, os.WriteFile(tool, bin, 0o755))
	}
	args = append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", tool}, args...)
	return testrig.Try(r.Server, r.Env(), "setpriv", args...)
}
