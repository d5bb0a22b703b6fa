package proto

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Refused is the broker's no: a clear text.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

// Client is a program's end of its channel. It belongs to one thread at a time (the engine's lock).
//
// Events that arrive while Call waits are kept: call Next until it says no after every Call, and whenever FD is readable.
type Client struct {
	fd     int
	low    int // descriptors that come are numbered from here on
	id     uint64
	form   int // the short form that the broker reads
	buf    []byte
	events []*Packet
	err    error

	begun map[uint64]*Packet // requests whose answer Await waits for; not nil: it has come
}

// Dial connects a door: a descriptor to the broker's socket, close-on-exec, from which channels are opened.
func Dial(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("broker socket: %w", err)
	}
	for err = unix.EINTR; err == unix.EINTR; { // a signal of the program's, while the broker has much to do
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to broker %s: %w", path, err)
	}
	return fd, nil
}

// Open makes this process's own channel through a door, and says hello over it. The door stays open.
func Open(door int, hello Hello, timeout time.Duration) (*Client, Welcome, error) {
	return OpenAbove(door, 0, hello, timeout)
}

// OpenAbove is Open for a library in somebody else's process: the channel, and all descriptors that come by it, have numbers from low on as
// soon as the kernel allows: it gives each the lowest one first.
func OpenAbove(door, low int, hello Hello, timeout time.Duration) (*Client, Welcome, error) {
	var w Welcome
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, w, fmt.Errorf("socketpair: %w", err)
	}
	pair[0] = Raise(pair[0], low)
	msg, _ := Encode(Envelope{Op: OpOpen}, nil)
	until := time.Now().Add(timeout)
	err = send(door, msg, []int{pair[1]}, nil, until)
	unix.Close(pair[1])
	if err != nil {
		unix.Close(pair[0])
		return nil, w, fmt.Errorf("open a channel: %w", err)
	}
	c := &Client{fd: pair[0], low: low, buf: make([]byte, MaxMessage)}
	if hello.Version == 0 {
		hello.Version = Version
	}
	hello.Short = Short
	creds := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())})
	if _, err := c.call(OpHello, hello, nil, creds, &w, until, (*Packet).CloseFDs); err != nil {
		c.Close()
		return nil, w, fmt.Errorf("hello: %w", err)
	}
	c.form = w.Short
	return c, w, nil
}

// FD is pollable: readable when an event or the end of the channel is there.
func (c *Client) FD() int { return c.fd }

// SetFD tells that the channel's descriptor was moved (to a high number).
func (c *Client) SetFD(fd int) { c.fd = fd }

// Close ends the channel, and with it everything the broker gave.
func (c *Client) Close() {
	for _, p := range c.events {
		p.CloseFDs()
	}
	for _, p := range c.begun {
		if p != nil {
			p.CloseFDs()
		}
	}
	c.events, c.begun = nil, nil
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// Call sends a request and waits for its reply; the reply's descriptors are the caller's. A refusal is a *Refused.
func (c *Client) Call(op Op, body any, fds []int, reply any, timeout time.Duration) ([]int, error) {
	return c.call(op, body, fds, nil, reply, time.Now().Add(timeout), (*Packet).CloseFDs)
}

// CallAhead is Call for a request to whose asker something may come before the answer ("sockets"): each is ahead's as it comes, also if there is an error
// in the end. The broker goes on meanwhile.
func (c *Client) CallAhead(op Op, body any, fds []int, reply any, timeout time.Duration, ahead func(*Packet)) ([]int, error) {
	return c.call(op, body, fds, nil, reply, time.Now().Add(timeout), ahead)
}

// Begin sends a request, and Await waits for its reply, as Call. Between them there may be others: the broker works on them in turn.
func (c *Client) Begin(op Op, body any, fds []int, timeout time.Duration) (id uint64, err error) {
	if id, err = c.request(op, body, fds, nil, time.Now().Add(timeout)); err == nil {
		if c.begun == nil {
			c.begun = map[uint64]*Packet{}
		}
		c.begun[id] = nil
	}
	return id, err
}

// Await is the other half of Begin.
func (c *Client) Await(id uint64, op Op, reply any, timeout time.Duration) ([]int, error) {
	p := c.begun[id]
	delete(c.begun, id)
	if p != nil {
		return answer(op, p, reply)
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.await(id, op, reply, time.Now().Add(timeout), (*Packet).CloseFDs)
}

func (c *Client) call(op Op, body any, fds []int, oob []byte, reply any, until time.Time, ahead func(*Packet)) ([]int, error) {
	id, err := c.request(op, body, fds, oob, until)
	if err != nil {
		return nil, err
	}
	return c.await(id, op, reply, until, ahead)
}

func (c *Client) request(op Op, body any, fds []int, oob []byte, until time.Time) (id uint64, err error) {
	if c.err != nil {
		return 0, c.err
	}
	c.id++
	msg, err := EncodeFor(c.form, Envelope{ID: c.id, Op: op, Until: until.UnixMilli()}, body)
	if err != nil {
		return 0, err
	}
	if err := send(c.fd, msg, fds, oob, until); err != nil {
		return 0, c.broken(err)
	}
	return c.id, nil
}

func (c *Client) await(id uint64, op Op, reply any, until time.Time, ahead func(*Packet)) ([]int, error) {
	var awake time.Time
	if op == OpHandover || op == OpTakeover {
		awake = time.Now().Add(stayAwake)
	}
	for {
		p, err := c.read(awake, until)
		if err != nil {
			return nil, err
		}
		switch {
		case p.Op == OpSockets && p.ID == id:
			ahead(p)
			continue
		case p.Op != OpReply:
			c.keep(p)
			continue
		case p.ID != id:
			c.drop(p)
			continue
		}
		return answer(op, p, reply)
	}
}

func answer(op Op, p *Packet, reply any) ([]int, error) {
	if p.Error != "" {
		p.CloseFDs()
		return nil, &Refused{p.Error}
	}
	if err := p.Into(reply); err != nil {
		p.CloseFDs()
		return nil, fmt.Errorf("reply to %s: %w", op, err)
	}
	return p.FDs, nil
}

// drop is for an answer that is not waited for just now: of a call that gave up, unless it was begun.
func (c *Client) drop(p *Packet) {
	if _, ok := c.begun[p.ID]; ok && p.Op == OpReply {
		c.begun[p.ID] = p
		return
	}
	p.CloseFDs()
}

// keep keeps an event for later, unless it is part of an answer nobody waits for any more.
func (c *Client) keep(p *Packet) {
	if p.Op == OpSockets {
		p.CloseFDs()
		return
	}
	c.events = append(c.events, p)
}

// stayAwake is how long an answer to a move is waited for without sleep: to be woken takes longer than half of the broker's work, and a connection
// stands still meanwhile. Others go first, the broker among them.
const stayAwake = time.Millisecond

func (c *Client) read(awake, until time.Time) (*Packet, error) {
	for spin := true; ; {
		p, err := readAbove(c.fd, c.buf, c.low)
		if err == nil {
			return p, nil
		}
		if errors.Is(err, errReset) { // what came before it is there still
			continue
		}
		if !errors.Is(err, ErrAgain) {
			return nil, c.broken(err)
		}
		if spin && time.Now().Before(awake) {
			spin = GiveWay()
			continue
		}
		if err := wait(c.fd, unix.POLLIN, until); err != nil {
			return nil, err
		}
	}
}

// broken remembers that the channel ended; a full channel or a late answer is no end.
func (c *Client) broken(err error) error {
	if !errors.Is(err, ErrAgain) && !errors.Is(err, ErrTimeout) {
		c.err = err
	}
	return err
}

// Next returns an event, or nil if there is none now, or the error that ended the channel. Never blocks.
func (c *Client) Next() (*Packet, error) {
	if len(c.events) > 0 {
		p := c.events[0]
		c.events = c.events[1:]
		return p, nil
	}
	for c.err == nil {
		p, err := readAbove(c.fd, c.buf, c.low)
		switch {
		case errors.Is(err, ErrAgain):
			return nil, nil
		case errors.Is(err, errReset):
			continue
		case err != nil:
			return nil, c.broken(err)
		case p.Op != OpReply && p.Op != OpSockets:
			return p, nil
		}
		c.drop(p)
	}
	return nil, c.err
}

// Rest are the events that came before the channel ended and that nobody has seen: some bring what exists nowhere else.
func (c *Client) Rest() []*Packet {
	for {
		p, err := readAbove(c.fd, c.buf, c.low)
		switch {
		case errors.Is(err, errReset):
		case err != nil:
			all := c.events
			c.events = nil
			return all
		case p.Op == OpReply:
			p.CloseFDs()
		default:
			c.keep(p)
		}
	}
}

// Answer replies to an event. An empty reason means yes.
func (c *Client) Answer(p *Packet, reason string, body any, fds ...int) error {
	msg, err := Encode(Envelope{ID: p.ID, Op: OpReply, Error: reason}, body)
	if err != nil {
		return err
	}
	if err := send(c.fd, msg, fds, nil, time.Now().Add(time.Second)); err != nil {
		return c.broken(err)
	}
	return nil
}

// send waits for room in the channel: a dropped message would leave the other side waiting.
func send(fd int, msg []byte, fds []int, oob []byte, until time.Time) error {
	for {
		err := Write(fd, msg, fds, oob...)
		if !errors.Is(err, ErrAgain) {
			return err
		}
		if err := wait(fd, unix.POLLOUT, until); err != nil {
			return err
		}
	}
}

// Pending tells that Next has an event without looking at the channel.
func (c *Client) Pending() bool { return len(c.events) > 0 }

// Tell sends a request whose reply nobody waits for: it is dropped when it comes.
func (c *Client) Tell(op Op, body any) error {
	if c.err != nil {
		return c.err
	}
	c.id++
	msg, err := Encode(Envelope{ID: c.id, Op: op}, body)
	if err != nil {
		return err
	}
	if err := send(c.fd, msg, nil, nil, time.Now().Add(time.Second)); err != nil {
		return c.broken(err)
	}
	return nil
}
