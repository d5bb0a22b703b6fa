package broker

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/fallback/repair"
)

// space is a network namespace with programs in it. While it is here the file keeps the namespace, so its inode names it.
type space struct {
	b         *Broker
	inode     uint64
	file      *os.File
	cookie    atomic.Uint64 // the namespace's (SO_NETNS_COOKIE), once a socket of it was seen
	refs      int           // clients, held orphans, inquiries
	devices   map[int]*device
	leased    int                       // ports on lease
	dead      map[steer.Tuple]time.Time // connections of programs that died lately, and of nobody: until when that is remembered
	deadSweep time.Time
	inquiries map[steer.Tuple]*inquiry
	unasked   map[steer.Tuple]bool // flows to be asked about after the grace
	inquired  rate
	released  rate
	moves     map[steer.Tuple]int // to the kernel, under way
	taken     map[steer.Tuple]*takenConn
	bare      map[uint64]int       // listeners, by cookie, from which a process without an engine accepts: the last that said so
	rung      map[uint16]time.Time // ports of bells, until when they may be asked about

	done      chan struct{}
	closed    bool
	via       *repair.Injector // made when the first connection is handed over
	refilling bool
	blanks    [2]*blank // for the next connection to be handed over, of AF_INET and AF_INET6
}

// netDevices lists the devices of the namespace.
func (s *space) netDevices() ([]netDevice, error) {
	all, err := s.b.back.Devices(s.fd())
	return putVLANsOn(all), err
}

func (s *space) fd() int { return int(s.file.Fd()) }

// spaceOf returns the client's network namespace, with the client as its user.
func (b *Broker) spaceOf(c *client) (*space, error) {
	if c.space != nil {
		return c.space, nil
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid))
	if err != nil {
		return nil, refuse("network namespace of %v: %v", c, err)
	}
	s, err := b.getSpace(f)
	if err == nil {
		c.space = s
	}
	return s, err
}

// getSpace finds the space of a namespace file, or makes it one, and takes the file over.
func (b *Broker) getSpace(f *os.File) (*space, error) {
	inode, err := netns.Inode(int(f.Fd()))
	if err != nil {
		f.Close()
		return nil, err
	}
	s := b.spaces[inode]
	if s != nil {
		f.Close()
	} else {
		s = &space{b: b, inode: inode, file: f, devices: map[int]*device{}, done: make(chan struct{})}
		b.spaces[inode] = s
		if _, real := b.back.(kernel); real {
			s.watchLinks()
		}
		s.watchListeners()
	}
	s.refs++
	return s, nil
}

// put gives a reference back; the last one lets the namespace go.
func (s *space) put() {
	if s.refs--; s.refs == 0 && len(s.devices) == 0 {
		delete(s.b.spaces, s.inode)
		s.close()
	}
}

func (s *space) close() {
	for _, d := range s.devices {
		d.close()
	}
	for _, k := range s.taken {
		if k.fd >= 0 {
			_ = repair.Discard(k.fd)
			unix.Close(k.fd)
		}
	}
	s.closed = true
	close(s.done)
	if s.via != nil {
		s.via.Close()
	}
	for _, k := range s.blanks {
		if k != nil {
			unix.Close(k.fd)
		}
	}
	s.file.Close()
}

// injector must be called in the namespace.
func (s *space) injector() (*repair.Injector, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed {
		return nil, errGone
	}
	var err error
	if s.via == nil {
		s.via, err = repair.NewInjector()
	}
	return s.via, err
}

// inSpace tells whether a socket belongs to the namespace.
func inSpace(sock int, s *space) error {
	cookie, cerr := unix.GetsockoptUint64(sock, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if cerr == nil && cookie == s.cookie.Load() && cookie != 0 {
		return nil
	}
	fd, err := unix.IoctlRetInt(sock, unix.SIOCGSKNS)
	if err != nil {
		return refuse("network namespace of the socket: %v", err)
	}
	defer unix.Close(fd)
	inode, err := netns.Inode(fd)
	if err != nil {
		return err
	}
	if inode != s.inode {
		return refuse("the socket is of another network namespace than the program")
	}
	if cerr == nil {
		s.cookie.Store(cookie) // the next ones are told by it
	}
	return nil
}
