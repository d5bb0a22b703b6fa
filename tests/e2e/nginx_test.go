package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/tests/testrig"
)

// server is a running nginx with its files.
type server struct {
	*testrig.Proc
	nginx.Site
}

// nginxOption changes how nginx is started.
type nginxOption func(*nginx.Site)

func workers(n int) nginxOption { return func(x *nginx.Site) { x.Workers = n } }
func port(n int) nginxOption    { return func(x *nginx.Site) { x.Port = n } }
func daemon() nginxOption       { return func(x *nginx.Site) { x.Daemon = true } }

// accelerated starts nginx by `sluice run`.
func (r *rig) accelerated(opts ...nginxOption) *server {
	r.T.Helper()
	return r.nginx(r.Env(), []string{testrig.Built(r.T, "sluice"), "run", "--"}, opts...)
}

// nginx starts nginx in the server's namespace, behind a prefix command, and
// waits until it listens.
func (r *rig) nginx(env, prefix []string, opts ...nginxOption) *server {
	r.T.Helper()
	x := &server{Site: nginx.Site{Port: 80, Backend: 8081, Workers: 1}}
	for _, o := range opts {
		o(&x.Site)
	}
	x.Dir = filepath.Join(r.Dir, fmt.Sprintf("nginx-%d", x.Port))
	path, err := x.Write()
	require.NoError(r.T, err)
	args := append(append([]string{}, prefix...), nginx.Path, "-c", path)
	x.Proc = testrig.Start(r.T, r.Server, env, args[0], args[1:]...)
	r.T.Cleanup(func() {
		x.quit()
		if r.T.Failed() {
			r.T.Logf("nginx said:\n%s", x.errorLog())
		}
	})
	testrig.Until(r.T, "nginx to listen", func() bool {
		return x.Master() != 0 && strings.Contains(r.listeners(), fmt.Sprintf(":%d ", x.Port))
	})
	return x
}

// file makes a page of n bytes and returns its path.
func (x *server) file(name string, n int) string {
	x.T.Helper()
	require.NoError(x.T, x.File(name, n))
	return filepath.Join(x.Root(), name)
}

// quit ends nginx at once and waits until master and workers are gone.
func (x *server) quit() {
	x.T.Helper()
	master := x.Master()
	if master == 0 {
		x.Stop(syscall.SIGKILL)
		return
	}
	all := append(x.WorkerPids(), master)
	syscall.Kill(master, syscall.SIGTERM)
	testrig.Until(x.T, "nginx to end", func() bool {
		for _, pid := range all {
			if testrig.Alive(pid) {
				return false
			}
		}
		return true
	})
	x.Wait(testrig.Patience)
}

// errorLog is what nginx and the preload object in it had to say.
func (x *server) errorLog() string {
	text, _ := os.ReadFile(filepath.Join(x.Dir, "error.log"))
	return x.Output() + string(text)
}

// listeners is `ss -ltn` in the server's namespace.
func (r *rig) listeners() string {
	out, _, _ := testrig.Try(r.Server, nil, "ss", "-Hltn")
	return out
}

// kernelConnections lists the kernel's established connections on a port of
// the server.
func (r *rig) kernelConnections(port int) []string {
	out, _, _ := testrig.Try(r.Server, nil, "ss", "-Htn", "state", "established", fmt.Sprintf("sport = :%d", port))
	return strings.Split(strings.TrimSpace(out), "\n")[:countLines(out)]
}

func countLines(s string) int {
	if s = strings.TrimSpace(s); s == "" {
		return 0
	}
	return strings.Count(s, "\n") + 1
}
