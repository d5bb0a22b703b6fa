package observe

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// A connection's history tells what went wrong, also when it is over, and outlives a program that is killed. Nobody else may read it.
func TestHistory(t *testing.T) {
	r := newRig(t)
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept l x")
	name := fmt.Sprintf("%s:80-%s:%s", r.Server.IPv4, r.Client.IPv4, c.do("port x"))
	trace := func() string { return r.sluice(r.Server, "trace", name) }
	r.whileCut(func() {
		s.do("send x 20000")
		testrig.Until(t, "a timeout", func() bool { return strings.Contains(trace(), "retransmission timeout, 2 in a row") })
	})
	c.do("recv x 20000")
	fmt.Fprintln(c.in, "send x 30000000") // more than fits, and the program does not read
	testrig.Until(t, "a closed window", func() bool { return strings.Contains(trace(), "our window closed") })
	s.do("recv x 30000000")
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ok\n", line)
	c.do("shut x")
	want := regexp.MustCompile(`(?s)^python3\[\d+\] 10\.77\.0\.1:80-10\.77\.0\.2:\d+ CLOSE-WAIT\n.*` +
		`our window closed: the program does not read\n.*our window opened\n.*  ESTAB -> CLOSE-WAIT\n$`)
	testrig.Until(t, "the history", func() bool { return want.MatchString(trace()) })
	require.Regexp(t, `^python3\[\d+\] 10\.77\.0\.1:80-`, r.sluice(r.Server, "trace", fmt.Sprint(s.Pid())))
	_, errs, err := testrig.Try(r.Server, r.Env(), testrig.Built(t, "sluice"), "trace", "10.77.0.1:80-10.77.0.2:1")
	require.Error(t, err)
	require.Contains(t, errs, "10.77.0.1:80-10.77.0.2:1")

	s.Signal(syscall.SIGKILL)
	var left string
	testrig.Until(t, "the postmortem", func() bool {
		out, _, err := testrig.Try(r.Server, r.Env(), testrig.Built(t, "sluice"), "postmortem", fmt.Sprint(s.Pid()))
		left = out
		return err == nil
	})
	require.Regexp(t, `^python3\[\d+\] ended at .* with 1 connections open \(`, left)
	require.Contains(t, left, "ESTAB -> CLOSE-WAIT")
	require.Regexp(t, `TcpExtTCPTimeouts +[2-9]`, left)
	require.Equal(t, left, r.sluice(r.Server, "postmortem"), "it is the last one")
	for _, args := range [][]string{{"postmortem"}, {"trace", name}} {
		_, errs, err := r.asNobody(args...)
		require.Error(t, err)
		require.Contains(t, errs, "of yours")
	}
}

// What was moved tells of it: the history of a connection that went to the kernel is still there, and one that came back begins with that.
func TestHistoryOfMoves(t *testing.T) {
	r := newRig(t)
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept l x")
	name := fmt.Sprintf("%s:80-%s:%s", r.Server.IPv4, r.Client.IPv4, c.do("port x"))
	r.sluice(r.Server, "detach", name)
	require.Regexp(t, `(?s) \(over\)\n.*begins: ESTAB\n.*  handed to the kernel, or to another process\n$`, r.sluice(r.Server, "trace", name))
	s.do("send x 5000") // the program finds the kernel's socket
	c.do("recv x 5000")
	r.sluice(r.Server, "attach", name)
	require.Regexp(t, `(?s) ESTAB\n.*taken from the kernel\n`, r.sluice(r.Server, "trace", name))
	c.do("send x 5000")
	s.do("recv x 5000")
}
