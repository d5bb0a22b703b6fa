package broker

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// channel is a SEQPACKET socket of a client, read by one goroutine. What has no room in it waits for another in a bounded queue.
//
// The runtime's poller looks for room, too, and a thread would wake each time that the program takes a message: in the middle of a move. So it has
// an epoll set instead, in which the socket is, for what is to be read, while nobody waits awake.
type channel struct {
	file *os.File // blocking, for the runtime
	raw  syscall.RawConn
	ear  *os.File
	hear syscall.RawConn
	deaf bool // the reader's: the socket tells nothing to the set
	out  chan outgoing
	mu   sync.Mutex   // of who sends
	left atomic.Int32 // messages queued and not sent yet
	once sync.Once
	done chan struct{}

	form   atomic.Int32 // the short form that the program reads
	roused atomic.Int64 // until when who reads stays awake: ns since the epoch
}

type outgoing struct {
	msg []byte
	fds []int // copies of our own, closed after sending
}

// maxOutgoing is how many messages may wait for a client that does not read. One that lets more pile up is dropped.
const maxOutgoing = 512

var errSlow = errors.New("does not read its channel")

func newChannel(fd int) (*channel, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.SetNonblock(fd, false), unix.SetNonblock(ep, true), unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
	if err != nil {
		unix.Close(ep)
		return nil, err
	}
	c := &channel{ear: os.NewFile(uintptr(ep), "ear"), file: os.NewFile(uintptr(fd), "channel"), out: make(chan outgoing, maxOutgoing), done: make(chan struct{})}
	c.hear, _ = c.ear.SyscallConn() // it fails for no file that is open
	c.raw, _ = c.file.SyscallConn()
	return c, nil
}

// read waits for a message: for a moment without sleep, if awake says so. Before it sleeps it calls idle.
func (c *channel) read(buf []byte, awake time.Duration, idle func()) (p *proto.Packet, err error) {
	for end := time.Now().Add(awake); ; end = time.Unix(0, c.roused.Load()) {
		rerr := c.hear.Read(func(ear uintptr) (got bool) {
			cerr := c.raw.Control(func(fd uintptr) {
				if p, err = c.look(int(ear), int(fd), buf, end); errors.Is(err, proto.ErrAgain) && idle != nil {
					idle()
				}
			})
			if cerr != nil {
				err = proto.ErrClosed
			}
			return !errors.Is(err, proto.ErrAgain)
		})
		if !errors.Is(rerr, os.ErrDeadlineExceeded) {
			if rerr != nil {
				return nil, proto.ErrClosed
			}
			return p, err
		}
		_ = c.ear.SetReadDeadline(time.Time{})
	}
}

// look reads a message, and waits for it until end. If there is none then, the set tells of the next. Of one that came just before it would tell only if it
// had told of none since somebody last waited at it (ep_modify): so the last look comes after.
func (c *channel) look(ear, fd int, buf []byte, end time.Time) (*proto.Packet, error) {
	for spin := true; ; spin = proto.GiveWay() {
		awake := spin && time.Now().Before(end)
		if !awake {
			c.listen(ear, fd, true)
		}
		p, err := proto.Read(fd, buf)
		if !errors.Is(err, proto.ErrAgain) || !awake {
			return p, err
		}
		c.listen(ear, fd, false)
	}
}

// listen has the set told, or not.
func (c *channel) listen(ear, fd int, on bool) {
	if on != c.deaf {
		return
	}
	e := unix.EpollEvent{}
	if on {
		e.Events = unix.EPOLLIN
	}
	if unix.EpollCtl(ear, unix.EPOLL_CTL_MOD, fd, &e) == nil {
		c.deaf = !on
	}
}

// rouse wakes who reads, and keeps it awake for a while: a message is about to come that must not wait for that. To wake a processor takes longer
// than to serve a move.
func (c *channel) rouse(d time.Duration) {
	c.roused.Store(time.Now().Add(d).UnixNano())
	_ = c.ear.SetReadDeadline(time.Unix(0, 1))
}

// send queues a message; the descriptors stay the caller's.
func (c *channel) send(env proto.Envelope, body any, fds ...int) error {
	msg, err := proto.EncodeFor(int(c.form.Load()), env, body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left.Load() == 0 && c.now(msg, fds) {
		return nil
	}
	o := outgoing{msg: msg}
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(o.fds)
			return err
		}
		o.fds = append(o.fds, dup)
	}
	select {
	case c.out <- o:
		c.left.Add(1)
		return nil
	default:
		closeAll(o.fds)
		return errSlow
	}
}

// now sends a message if there is room for it: another goroutine would have to be woken for it.
func (c *channel) now(msg []byte, fds []int) (sent bool) {
	err := c.raw.Control(func(fd uintptr) {
		sent = !errors.Is(proto.Write(int(fd), msg, fds), proto.ErrAgain)
	})
	return sent && err == nil
}

// sendPatience is how long a client that waits for an answer may take to make room for what comes ahead of it.
const sendPatience = time.Second

// sendNow sends a message behind those that are queued, and returns when the client has it.
func (c *channel) sendNow(env proto.Envelope, body any, fds ...int) error {
	msg, err := proto.EncodeFor(int(c.form.Load()), env, body)
	if err != nil {
		return err
	}
	for end := time.Now().Add(sendPatience); ; time.Sleep(time.Millisecond) {
		err = proto.ErrAgain
		c.mu.Lock()
		if c.left.Load() == 0 {
			if cerr := c.raw.Control(func(fd uintptr) { err = proto.Write(int(fd), msg, fds) }); cerr != nil {
				err = proto.ErrClosed
			}
		}
		c.mu.Unlock()
		if !errors.Is(err, proto.ErrAgain) || time.Now().After(end) {
			return err
		}
	}
}

// writeLoop sends what is queued until the channel closes.
func (c *channel) writeLoop() {
	for {
		select {
		case <-c.done:
			c.discard()
			return
		case o := <-c.out:
			c.write(o)
			c.left.Add(-1)
		}
	}
}

func (c *channel) write(o outgoing) {
	defer closeAll(o.fds)
	for full := true; full; {
		err := c.raw.Control(func(fd uintptr) {
			if full = errors.Is(proto.Write(int(fd), o.msg, o.fds), proto.ErrAgain); full {
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
			}
		})
		if err != nil {
			return
		}
	}
}

func (c *channel) discard() {
	for {
		select {
		case o := <-c.out:
			closeAll(o.fds)
		default:
			return
		}
	}
}

func (c *channel) close() {
	c.once.Do(func() {
		close(c.done)
		c.ear.Close()
		_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) }) // who waits for room keeps it open
		c.file.Close()
	})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
