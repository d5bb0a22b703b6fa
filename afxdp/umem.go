package afxdp

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// NewMemory makes a memfd of that many frames. It can be handed to another process and is sealed
// against shrinking, so that no holder can take the memory away under the others.
func NewMemory(name string, frames int) (*os.File, error) { return newMemory(name, frames, 0) }

func newMemory(name string, frames, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|flags)
	if err != nil {
		return nil, fmt.Errorf("create umem memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_ = unix.Fchmod(fd, 0o600) // it has no name in any directory; this is for who finds it in /proc
	if err := f.Truncate(int64(frames) * efvi.FrameSize); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("size umem memfd: %w", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("seal umem memfd: %w", err)
	}
	return f, nil
}

// MapMemory maps the whole of a memfd made by NewMemory. UnmapMemory undoes it.
func MapMemory(mem *os.File) (efvi.Memory, error) {
	st, err := mem.Stat()
	if err != nil {
		return efvi.Memory{}, fmt.Errorf("stat umem: %w", err)
	}
	if st.Size() == 0 || st.Size()%efvi.FrameSize != 0 {
		return efvi.Memory{}, fmt.Errorf("umem of %d bytes is no multiple of %d", st.Size(), efvi.FrameSize)
	}
	b, err := unix.Mmap(int(mem.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return efvi.Memory{}, fmt.Errorf("map umem: %w", err)
	}
	return efvi.Memory{Bytes: b}, nil
}

// UnmapMemory undoes MapMemory.
func UnmapMemory(m efvi.Memory) error {
	if err := unix.Munmap(m.Bytes); err != nil {
		return fmt.Errorf("unmap umem: %w", err)
	}
	return nil
}
