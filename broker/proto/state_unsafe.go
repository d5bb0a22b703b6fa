package proto

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The picture in state.go, held by the compiler.
var (
	_ [stateSlot]byte     = [unsafe.Sizeof(slot{})]byte{}
	_ [stateCounters]byte = [unsafe.Sizeof(header{})]byte{}
	_ [stateHistory]byte  = [unsafe.Sizeof(history{})]byte{}
)

// NewState makes the memfd; the broker does.
func NewState() (fd int, err error) {
	fd, err = unix.MemfdCreate("sluice-state", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("state memfd: %w", err)
	}
	if err := initState(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func initState(fd int) error {
	if err := unix.Ftruncate(fd, StateSize); err != nil {
		return fmt.Errorf("state memfd size: %w", err)
	}
	// A program that shrinks it would make the broker's reads fault.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("state memfd seal: %w", err)
	}
	// Nobody finds it by a name; who has a descriptor to read cannot make one to write of it.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return fmt.Errorf("state memfd mode: %w", err)
	}
	m, err := mapState(fd, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	defer m.Close()
	m.head.magic, m.head.version, m.head.slots = stateMagic, stateVersion, StateSlots
	return nil
}

// MapState maps a state memfd, after checking that it is one and cannot shrink.
func MapState(fd int) (*StateMap, error) { return openState(fd, unix.PROT_READ|unix.PROT_WRITE) }

// ReadState is MapState for who may only read: of the methods those that change nothing.
func ReadState(fd int) (*StateMap, error) { return openState(fd, unix.PROT_READ) }

func openState(fd, prot int) (*StateMap, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, fmt.Errorf("state memory is no sealed memfd")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size != StateSize {
		return nil, fmt.Errorf("state memory has %d bytes, not %d", st.Size, StateSize)
	}
	m, err := mapState(fd, prot)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func mapState(fd, prot int) (*StateMap, error) {
	mem, err := unix.Mmap(fd, 0, StateSize, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map state memory: %w", err)
	}
	return &StateMap{
		mem:      mem,
		head:     (*header)(unsafe.Pointer(&mem[0])),
		counters: (*[NumCounters]atomic.Uint64)(unsafe.Pointer(&mem[stateCounters])),
		slots:    unsafe.Slice((*slot)(unsafe.Pointer(&mem[stateTable])), StateSlots),

		histories: unsafe.Slice((*history)(unsafe.Pointer(&mem[stateTable+StateSlots*stateSlot])), StateSlots),
	}, nil
}

// Close unmaps; the map must not be used after it.
func (m *StateMap) Close() error {
	mem := m.mem
	m.mem = nil
	if mem == nil {
		return nil
	}
	return unix.Munmap(mem)
}
