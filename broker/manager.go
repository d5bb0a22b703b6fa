package broker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Manager is a service manager that keeps descriptors of a service that it starts again, as systemd does (sd_notify(3), FDSTORE=1).
type Manager struct {
	Socket string           // where it is told; empty: nowhere
	Kept   map[string][]int // descriptors that an earlier broker gave it, by name
}

// firstKept is the first descriptor that a process is given: sd_listen_fds(3), SD_LISTEN_FDS_START.
const firstKept = 3

// ManagerOf is the one whose environment this is, and takes the variables out of it.
func ManagerOf() Manager {
	m := Manager{Socket: os.Getenv("NOTIFY_SOCKET"), Kept: map[string][]int{}}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		n = 0
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		unix.CloseOnExec(firstKept + i)
		m.Kept[name] = append(m.Kept[name], firstKept+i)
	}
	for _, v := range []string{"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(v)
	}
	return m
}

// managerPatience is how long it may take to make room for a message: programs wait meanwhile.
const managerPatience = 100 * time.Millisecond

// keep gives it copies of descriptors. It must not look at them: one of a process that ended would be closed (FDPOLL=0).
func (m *Manager) keep(name string, fds ...int) error {
	return m.tell(fmt.Sprintf("FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name), fds)
}

// forget has it close those of a name.
func (m *Manager) forget(name string) error {
	return m.tell("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

func (m *Manager) tell(text string, fds []int) error {
	if m.Socket == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: managerPatience.Microseconds()})
		err = unix.Sendmsg(fd, []byte(text), unix.UnixRights(fds...), &unix.SockaddrUnix{Name: m.Socket}, 0)
	}
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
