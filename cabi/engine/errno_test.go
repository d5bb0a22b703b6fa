package engine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want unix.Errno
	}{
		{nil, 0},
		{tcp.ErrAgain, unix.EAGAIN},
		{tcp.ErrReset, unix.ECONNRESET},
		{fmt.Errorf("step: %w", tcp.ErrPipe), unix.EPIPE},
		{fmt.Errorf("step: %w", unix.ENFILE), unix.ENFILE},
		{errors.New("nobody knows"), unix.EIO},
	} {
		require.Equal(t, c.want, errno(c.err), "%v", c.err)
	}
	require.Equal(t, 7, result(7, nil))
	require.Equal(t, -int(unix.EAGAIN), result(0, tcp.ErrAgain))
}
