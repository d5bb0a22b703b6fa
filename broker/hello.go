package broker

import (
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// readHello learns who is at the other end: the kernel tells, with the first message.
func (b *Broker) readHello(c *client) error {
	p, err := c.ch.read(make([]byte, proto.MaxMessage), 0, nil)
	if err != nil {
		return err
	}
	defer p.CloseFDs()
	var h proto.Hello
	if p.Op != proto.OpHello || p.Into(&h) != nil {
		return refuse("the first message is no hello")
	}
	if h.Version < proto.Oldest || h.Version > proto.Version {
		return c.turnAway(p, refuse("program speaks version %d of the protocol, the broker %d and %d", h.Version, proto.Oldest, proto.Version))
	}
	if h.Version < proto.BindVersion && b.back.BindsLate() {
		return c.turnAway(p, refuse("program speaks version %d of the protocol; on this kernel queues are bound by version %d", h.Version, proto.BindVersion))
	}
	if p.Creds == nil || p.Creds.Pid <= 0 {
		return c.turnAway(p, refuse("no credentials (a process outside the broker's pid namespace?)"))
	}
	pidfd, err := takePidfd(p)
	if err != nil {
		return err
	}
	b.mu.Lock()
	c.pid, c.uid, c.gid, c.pidfd = int(p.Creds.Pid), p.Creds.Uid, p.Creds.Gid, pidfd
	c.program, c.frames, c.token = clean(h.Program), clampFrames(h.Frames, b.cfg.Frames), rand.Text()
	c.tells, c.keepers, c.releases = h.Tells, h.Keepers, h.Releases
	gone, over := c.gone, b.overProcesses(c)
	if gone {
		c.closeFiles()
	}
	b.mu.Unlock()
	switch {
	case gone:
		return errGone
	case over != nil:
		return c.turnAway(p, over)
	}
	b.log.Debugf("broker: %v: hello, uid %d", c, c.uid)
	b.goDo(func() { b.watch(c, pidfd) })
	c.ch.form.Store(int32(h.Short)) // before the program knows, that it does so from here on
	b.reply(c, p, proto.Welcome{Version: h.Version, Short: proto.Short, Pid: c.pid, Token: c.token}, nil)
	b.mu.Lock()
	b.mirrorNew(c, h.Tool)
	b.mu.Unlock()
	return nil
}

// turnAway answers at once, since the channel is about to be closed.
func (c *client) turnAway(p *proto.Packet, err error) error {
	if msg, e := proto.Encode(proto.Envelope{ID: p.ID, Op: proto.OpReply, Error: err.Error()}, nil); e == nil {
		c.ch.write(outgoing{msg: msg})
	}
	return err
}

// takePidfd is the descriptor that came with the message, else one of the pid, else (no such process) an error.
func takePidfd(p *proto.Packet) (*os.File, error) {
	fd := p.Pidfd
	p.Pidfd = -1
	if fd < 0 {
		var err error
		if fd, err = unix.PidfdOpen(int(p.Creds.Pid), 0); err != nil {
			return nil, fmt.Errorf("pidfd of %d: %w", p.Creds.Pid, err)
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

func clampFrames(wish, def int) int {
	if wish <= 0 {
		wish = def
	}
	return min(max(wish, minFrames), maxFrames)
}

// clean makes a program's name fit for a log line.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 64)]
}

// parentOf reads a process's parent; 0 if there is none.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	f := strings.Fields(rest)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(f[1])
	return n
}

// descends tells whether pid was forked, at some remove, from ancestor.
func descends(pid, ancestor int) bool {
	for i := 0; i < 32 && pid > 1; i++ {
		if pid = parentOf(pid); pid == ancestor {
			return true
		}
	}
	return false
}
