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

// MakePages has the kernel make all pages now instead of at the first touch. They are written: a fault for each takes twice as long, and who maps
// something meanwhile waits for the end of all of them.
func MakePages(mem *os.File) error {
	st, err := mem.Stat()
	if err != nil {
		return fmt.Errorf("stat umem: %w", err)
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < st.Size(); at += int64(len(zeros)) {
		if _, err := mem.WriteAt(zeros[:min(int64(len(zeros)), st.Size()-at)], at); err != nil {
			return makeHugePages(mem)
		}
	}
	return nil
}

// makeHugePages is MakePages where nothing can be written.
func makeHugePages(mem *os.File) error {
	m, err := MapMemory(mem)
	if err != nil {
		return err
	}
	_ = unix.Madvise(m.Bytes, unix.MADV_POPULATE_WRITE) // a kernel before 5.14 makes them when they are registered
	return UnmapMemory(m)
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

// MapPages is MapMemory, and all its pages are in the page table: whoever registers them does not fault on each. In pieces, since who maps something
// else waits for the end of one.
func MapPages(mem *os.File) (efvi.Memory, error) {
	m, err := MapMemory(mem)
	const piece = 2 << 20
	for b := m.Bytes; len(b) > 0; b = b[min(piece, len(b)):] {
		_ = unix.Madvise(b[:min(piece, len(b))], unix.MADV_POPULATE_READ) // Linux 5.14; for reading several pages take one fault
	}
	return m, err
}

// UnmapMemory undoes MapMemory.
func UnmapMemory(m efvi.Memory) error {
	if err := unix.Munmap(m.Bytes); err != nil {
		return fmt.Errorf("unmap umem: %w", err)
	}
	return nil
}
