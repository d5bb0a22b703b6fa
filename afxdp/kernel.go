package afxdp

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// release is the running kernel's version, 0.0 if it does not say.
var release = sync.OnceValue(func() (v [2]int) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &v[0], &v[1])
	}
	return v
})

// KernelAtLeast tells whether the running kernel is of that version or newer, for what cannot be found out by trying.
func KernelAtLeast(major, minor int) bool {
	v := release()
	return v[0] > major || v[0] == major && v[1] >= minor
}
