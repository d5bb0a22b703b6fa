package engine

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAMovedConnectionIsCopiedWhileItMoves: threads of the program put its socket elsewhere while a forked child asks for it. The child gets that socket, and no
// other file that has its number by then; and no message with a bad descriptor goes to the broker, which looks like its end (EBADF).
func TestAMovedConnectionIsCopiedWhileItMoves(t *testing.T) {
	e := &Engine{sh: new(Shared)}
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	file, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer file.Close()
	inode := func(fd int) uint64 {
		var st unix.Stat_t
		require.NoError(t, unix.Fstat(fd, &st))
		return st.Ino
	}
	dup := func(f *os.File) int {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 600)
		require.NoError(t, err)
		return fd
	}
	w := &e.sh.Words[7].Moved
	_, err = e.movedCopy(7)
	require.ErrorIs(t, err, unix.ECONNRESET)
	want := inode(int(file.Fd()))
	for range 20000 { // a word names a second descriptor once, and never the first again: keep in shim/ours.c
		first := dup(file)
		second := dup(file)
		w.Store(uint32(first) + 1)
		begun, others := make(chan struct{}), make(chan int)
		go func() {
			<-begun
			w.Store(uint32(second) + 1)
			unix.Close(first)
			other, _ := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, first) // it has the number now
			others <- other
		}()
		close(begun)
		for range 4 {
			fd, err := e.movedCopy(7)
			require.NoError(t, err)
			require.Equal(t, want, inode(fd))
			require.NoError(t, unix.Close(fd))
		}
		unix.Close(<-others)
		unix.Close(second)
	}
	w.Store(Gone)
	_, err = e.movedCopy(7)
	require.ErrorIs(t, err, unix.ECONNRESET)
}
