package shim

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// withParts compiles a program with the C parts in it, whose functions it calls.
func withParts(t *testing.T, program, source string, flags ...string) {
	t.Helper()
	parts, err := filepath.Glob("../../shim/*.c")
	require.NoError(t, err)
	cc(t, program, source, append(append(parts, "-O0", "-ldl"), flags...)...)
}

// TestACallNeedsNoMoreStackForEachMove: a call that finds its connection moved between two looks looks again. It called itself, a frame deeper each time.
func TestACallNeedsNoMoreStackForEachMove(t *testing.T) {
	program := filepath.Join(t.TempDir(), "moment")
	withParts(t, program, "moment/moment.c", "-Wl,--wrap=kconn_enter,--wrap=conn_here")
	var want strings.Builder
	for _, call := range strings.Fields("epoll_ctl:0 fcntl:0 getpeername:0 getsockname:0 getsockopt:0 ioctl:0 sendfile:1 sendmsg:1 setsockopt:0 splice:1 shutdown:0") {
		want.WriteString(strings.Replace(call, ":", ": ", 1) + "\nmoves left: 0\n")
	}
	require.Equal(t, want.String(), output(t, program, "SLUICE_LISTEN=none"))
}
