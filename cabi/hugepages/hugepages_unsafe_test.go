package hugepages

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestHeapIsAdvised: the kernel's list of mappings says from the first object to the last that huge pages are wanted ("hg").
func TestHeapIsAdvised(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil {
		t.Skip("a kernel without huge pages: ", err)
	}
	var h Heap
	require.True(t, h.Empty())
	objects := make([]*[1485]byte, 5000)
	for i := range objects {
		objects[i] = new([1485]byte)
		Below(&h, objects[i])
	}
	require.False(t, h.Empty())
	for _, p := range objects {
		at := uintptr(unsafe.Pointer(p))
		require.True(t, h.lo <= at && at < h.hi)
	}
	for at := h.lo; at < h.hi; at += chunk {
		if flags := flagsAt(t, at); flags != nil { // else nothing is mapped there
			require.Contains(t, flags, "hg", "%x", at)
		}
	}
}

// flagsAt are the flags of the mapping that an address lies in, nil if there is none or no access.
func flagsAt(t *testing.T, at uintptr) []string {
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	here := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x rw", &from, &to); n == 2 {
			here = from <= at && at < to && strings.Contains(lines.Text(), " rw")
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && here {
			return strings.Fields(flags)
		}
	}
	return nil
}
