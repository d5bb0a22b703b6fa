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
type channel struct {
	file *os.File
	raw  syscall.RawConn
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
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "channel")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &channel{file: f, raw: raw, out: make(chan outgoing, maxOutgoing), done: make(chan struct{})}, nil
}

// read waits for a message: for a moment without sleep, if awake says so.
func (c *channel) read(buf []byte, awake time.Duration) (p *proto.Packet, err error) {
	for end := time.Now().Add(awake); ; end = time.Unix(0, c.roused.Load()) {
		rerr := c.raw.Read(func(fd uintptr) bool {
			for {
				p, err = proto.Read(int(fd), buf)
				if !errors.Is(err, proto.ErrAgain) {
					return true
				}
				if time.Now().After(end) {
					return false
				}
				_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // who has something to do goes first
			}
		})
		if !errors.Is(rerr, os.ErrDeadlineExceeded) {
			if rerr != nil {
				return nil, proto.ErrClosed
			}
			return p, err
		}
		_ = c.file.SetReadDeadline(time.Time{})
	}
}

// rouse wakes who reads, and keeps it awake for a while: a message is about to come that must not wait for that. To wake a processor takes longer
// than to serve a move.
func (c *channel) rouse(d time.Duration) {
	c.roused.Store(time.Now().Add(d).UnixNano())
	_ = c.file.SetReadDeadline(time.Unix(0, 1))
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
	err := c.raw.Write(func(fd uintptr) bool {
		sent = !errors.Is(proto.Write(int(fd), msg, fds), proto.ErrAgain)
		return true
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
			if rerr := c.raw.Write(func(fd uintptr) bool { err = proto.Write(int(fd), msg, fds); return true }); rerr != nil {
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
	c.raw.Write(func(fd uintptr) bool {
		return !errors.Is(proto.Write(int(fd), o.msg, o.fds), proto.ErrAgain)
	})
	closeAll(o.fds)
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
		c.file.Close()
	})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
