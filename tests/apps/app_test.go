package apps

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// app is a server program and what its clients do with it.
type app struct {
	needs  []string // programs that must be there
	serve  func(s *end)
	client func(c *end) // writes what must be the same on each path to c.said
}

// paths are the four ways to join two programs.
var paths = []struct {
	name           string
	server, client bool // accelerated
}{
	{"kernel", false, false},
	{"server", true, false},
	{"client", false, true},
	{"both", true, true},
}

// run runs the app on each path, each in a rig of its own, and compares.
func (a app) run(t *testing.T) {
	if os.Getenv("SLT_APPS") == "" {
		t.Skip("real programs at length: make apps")
	}
	for _, p := range a.needs {
		require.FileExists(t, p, "make apps installs it")
	}
	var kernel string
	for _, p := range paths {
		ok := t.Run(p.name, func(t *testing.T) {
			said := a.on(t, p.server, p.client)
			if p.name == "kernel" {
				require.NotEmpty(t, said)
				kernel = said
				t.Logf("the kernel's:\n%s", said)
			}
			require.Equal(t, kernel, said)
		})
		if !ok && p.name == "kernel" {
			t.Fatal("not even by the kernel")
		}
	}
}

func (a app) on(t *testing.T, server, client bool) string {
	r := testrig.New(t, testbed.Config{Queues: 2})
	s := &end{Rig: r, node: r.Server, accelerated: server, listen: "*", connect: "none"}
	c := &end{Rig: r, node: r.Client, accelerated: client, listen: "none", connect: "10.77.0.1/32:*"}
	a.serve(s)
	a.client(c)
	for _, p := range slices.Backward(append(s.servers, c.servers...)) {
		p.Stop(syscall.SIGTERM)
	}
	if server || client {
		rx, tx := r.Status().Packets()
		require.Greater(t, rx+tx, uint64(5), "packets through hidden queues\n%s", s.output())
	}
	require.NotContains(t, s.output()+c.output(), "panic:")
	return c.said.String()
}

// end is one end of a rig: its programs run accelerated or not.
type end struct {
	*testrig.Rig
	node        *testbed.Node
	accelerated bool
	listen      string // SLUICE_LISTEN
	connect     string // SLUICE_CONNECT
	servers     []*testrig.Proc
	said        strings.Builder
}

// command puts what accelerates in front of a program.
func (e *end) command(args []string) []string {
	if !e.accelerated {
		return args
	}
	run := []string{testrig.Built(e.T, "sluice"), "run", "--listen", e.listen, "--connect", e.connect, "--"}
	return append(run, args...)
}

// start starts a program that goes on until the end.
func (e *end) start(args ...string) *testrig.Proc {
	e.T.Helper()
	cmd := e.command(args)
	p := testrig.Start(e.T, e.node, e.Env(), cmd[0], cmd[1:]...)
	e.servers = append(e.servers, p)
	e.T.Cleanup(func() {
		if e.T.Failed() {
			e.T.Logf("%s wrote:\n%s", args[0], p.Output())
		}
	})
	return p
}

// run runs a program to its end, which must be good, and returns its standard output.
func (e *end) run(args ...string) string {
	e.T.Helper()
	cmd := e.command(args)
	out, errs, err := testrig.Try(e.node, e.Env(), cmd[0], cmd[1:]...)
	require.NoError(e.T, err, "%s\n%s\n%s", strings.Join(args, " "), out, errs)
	require.NotContains(e.T, queuesTaken.ReplaceAllString(errs, ""), "sluice:", strings.Join(args, " "))
	return out
}

// queuesTaken is what the second program at the client's end is told: one program's outgoing connections need every queue.
var queuesTaken = regexp.MustCompile(`sluice: .*stays with the kernel: (ports|connect): connect: (queues of veth0 belong to .* too|veth0: no queue can be had now)\n`)

// say runs a program and takes what it prints for what must be the same.
func (e *end) say(args ...string) {
	e.T.Helper()
	e.said.WriteString(e.run(args...))
}

// sh has a shell run a script, which must end well, and takes what it prints for what must be the same.
func (e *end) sh(script string) {
	e.T.Helper()
	e.say("/bin/bash", "-o", "pipefail", "-c", script)
}

// listens waits until ports of this end are listened to, by the engine if it should be: what comes before that is the kernel's.
func (e *end) listens(ports ...string) {
	e.T.Helper()
	testrig.Until(e.T, "port "+strings.Join(ports, ", "), func() bool {
		out, _, _ := testrig.Try(e.node, nil, "ss", "-Hltn")
		for _, p := range ports {
			inside := strings.Contains(out, " 127.0.0.1:"+p+" ")
			if !strings.Contains(out, ":"+p+" ") || e.accelerated && e.listen != "none" && !inside && !e.steered(p) {
				return false
			}
		}
		return true
	})
}

// steered tells whether the port's packets are led to queues that a process has.
func (e *end) steered(port string) bool {
	for _, l := range e.Status().Leases {
		if len(l.Queues) > 0 && slices.ContainsFunc(l.Listeners, func(at string) bool { return strings.HasSuffix(at, ":"+port) }) {
			return true
		}
	}
	return false
}

func (e *end) output() string {
	var all strings.Builder
	for _, p := range e.servers {
		all.WriteString(p.Output())
	}
	return all.String()
}

// addr is the server's.
func (e *end) addr() string { return e.Server.IPv4.String() }

// dir makes a folder that a user may write to.
func (e *end) dir(name string) string {
	dir := e.Dir + "/" + name
	require.NoError(e.T, os.MkdirAll(dir, 0o777))
	require.NoError(e.T, os.Chmod(dir, 0o777))
	return dir
}

// file writes a file for the programs.
func (e *end) file(name, text string) string {
	path := e.Dir + "/" + name
	require.NoError(e.T, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// script is the path of a file in testdata.
func script(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	return dir + "/testdata/" + name
}

// tryHere runs a command outside of the namespaces.
func tryHere(args ...string) (string, string, error) {
	return testrig.Try(nil, nil, args[0], args[1:]...)
}
