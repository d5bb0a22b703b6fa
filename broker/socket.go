package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// maxDoors bounds connections to the socket. Masters keep theirs as long as they live.
const maxDoors = 8192

// door is a connection to the socket. Nothing but "open" comes through it, perhaps from several processes.
type door struct{ ch *channel }

// listenSocket makes the socket, for everyone: what a program may have is decided by what it shows.
func listenSocket(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("broker socket: %w", err)
	}
	if answers(path) {
		return nil, fmt.Errorf("broker socket %s: another broker answers there", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("broker socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		f.Close()
		return nil, fmt.Errorf("broker socket %s: %w", path, err)
	}
	if err := errors.Join(os.Chmod(path, 0o666), unix.Listen(fd, 256)); err != nil {
		f.Close()
		os.Remove(path)
		return nil, fmt.Errorf("broker socket %s: %w", path, err)
	}
	return f, nil
}

func answers(path string) bool {
	fd, err := proto.Dial(path)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

func (b *Broker) closeSocket() {
	os.Remove(b.cfg.Socket)
	b.listen.Close()
}

func (b *Broker) acceptLoop() {
	raw, err := b.listen.SyscallConn()
	if err != nil {
		return
	}
	for {
		var fd int
		var aerr error
		if err := raw.Read(func(l uintptr) bool {
			fd, _, aerr = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return aerr != unix.EAGAIN
		}); err != nil {
			return
		}
		switch aerr {
		case nil:
			b.newDoor(fd)
		case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS:
			time.Sleep(50 * time.Millisecond) // it would only spin
		}
	}
}

func (b *Broker) newDoor(fd int) {
	ch, err := newChannel(fd)
	if err != nil {
		unix.Close(fd)
		return
	}
	d := &door{ch}
	b.mu.Lock()
	ok := !b.closed && len(b.doors) < maxDoors
	if ok {
		b.doors[d] = true
	}
	b.mu.Unlock()
	if !ok {
		ch.close()
		return
	}
	b.goDo(func() { b.serveDoor(d) })
}

func (b *Broker) serveDoor(d *door) {
	buf := make([]byte, proto.MaxMessage)
	for {
		p, err := d.ch.read(buf, 0, nil)
		if err != nil {
			break
		}
		if p.Op == proto.OpOpen && len(p.FDs) == 1 {
			b.openChannel(p.FDs[0])
			p.FDs = nil
		}
		p.CloseFDs()
	}
	d.ch.close()
	b.mu.Lock()
	delete(b.doors, d)
	b.mu.Unlock()
}

// openChannel starts a client on the socket that came through a door.
func (b *Broker) openChannel(fd int) {
	domain, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	kind, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err1 != nil || err2 != nil || domain != unix.AF_UNIX || kind != unix.SOCK_SEQPACKET {
		unix.Close(fd)
		return
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1) // since Linux 6.5
	ch, err := newChannel(fd)
	if err != nil {
		unix.Close(fd)
		return
	}
	c := newClient(b, ch)
	b.mu.Lock()
	ok := !b.closed && len(b.clients) < b.cfg.Clients
	if ok {
		b.clients[c] = true
	}
	b.mu.Unlock()
	if !ok {
		ch.close()
		return
	}
	b.goDo(ch.writeLoop)
	b.goDo(func() { b.serve(c) })
}
