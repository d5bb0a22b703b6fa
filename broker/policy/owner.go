package policy

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ownedByRoot: by root, or by whoever runs this.
func ownedByRoot(st fs.FileInfo) error {
	s, ok := st.Sys().(*syscall.Stat_t)
	if ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to uid %d", s.Uid)
	}
	return nil
}
