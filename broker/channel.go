package broker

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// channel is a SEQPACKET socket of a client, read by one goroutine, written by another through a bounded queue.
type channel struct {
	file *os.File
	raw  syscall.RawConn
	out  chan outgoing
	once sync.Once
	done chan struct{}
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

// read waits for a message.
func (c *channel) read(buf []byte) (p *proto.Packet, err error) {
	rerr := c.raw.Read(func(fd uintptr) bool {
		p, err = proto.Read(int(fd), buf)
		return !errors.Is(err, proto.ErrAgain)
	})
	if rerr != nil {
		return nil, proto.ErrClosed
	}
	return p, err
}

// send queues a message; the descriptors stay the caller's.
func (c *channel) send(env proto.Envelope, body any, fds ...int) error {
	msg, err := proto.Encode(env, body)
	if err != nil {
		return err
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
		return nil
	default:
		closeAll(o.fds)
		return errSlow
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
