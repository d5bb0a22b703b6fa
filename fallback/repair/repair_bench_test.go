package repair

import (
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkMove: the kernel's part of a move with empty queues, both ways, over loopback.
func BenchmarkMove(b *testing.B) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			b.Error(err)
			return
		}
		if lo, err := netlink.LinkByName("lo"); err != nil || netlink.LinkSetUp(lo) != nil {
			b.Errorf("loopback: %v", err)
			return
		}
		near, far := pairOf(b, "127.0.0.1")
		defer unix.Close(far)
		for range 3 { // the round-trip time becomes known
			_, _ = unix.Write(far, []byte("x"))
			_, _ = unix.Write(near, []byte("x"))
			_, _ = unix.Read(near, make([]byte, 1))
			_, _ = unix.Read(far, make([]byte, 1))
		}
		via := injector(b)
		for b.Loop() {
			s, err := FromKernel(near)
			if err != nil {
				b.Error(err)
				return
			}
			_ = Discard(near)
			unix.Close(near)
			if near, err = ToKernel(s, via); err != nil {
				b.Error(err)
				return
			}
		}
		unix.Close(near)
	}()
	<-done
}
