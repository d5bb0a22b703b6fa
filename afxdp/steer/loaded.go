package steer

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

// Loaded lists every program of this package that is in the kernel now, attached or not, in
// whatever namespace and held by whatever process or pin, by its number. It needs CAP_SYS_ADMIN.
func Loaded() (map[ebpf.ProgramID]Pin, error) {
	loaded := map[ebpf.ProgramID]Pin{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return loaded, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list BPF programs: %w", err)
		}
		id = next
		// One that went away meanwhile is not there.
		if pin, err := identify(id); err == nil {
			loaded[id] = pin
		}
	}
}

var errForeign = errors.New("not a program of this package")

// identify reads the note that describe left in a program's map.
func identify(id ebpf.ProgramID) (Pin, error) {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return Pin{}, err
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return Pin{}, err
	}
	ids, _ := info.MapIDs()
	if info.Type != ebpf.XDP || info.Name != steerProgSteer {
		return Pin{}, errForeign
	}
	for _, mapID := range ids {
		if d, err := deviceOf(mapID); err == nil {
			return Pin{NetNS: d.Netns, Ifindex: int(d.Ifindex)}, nil
		}
	}
	return Pin{}, errForeign
}

func deviceOf(id ebpf.MapID) (d steerDevice, err error) {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return d, err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return d, err
	}
	if info.Name != steerMapDevices {
		return d, errForeign
	}
	return d, m.Lookup(uint32(0), &d)
}
