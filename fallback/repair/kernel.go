package repair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Queues of TCP_REPAIR_QUEUE (linux/tcp.h).
const (
	noQueue   = 0
	recvQueue = 1
	sendQueue = 2
)

// window is struct tcp_repair_window.
type window struct{ sndWl1, sndWnd, maxWindow, rcvWnd, rcvWup uint32 }

// step runs one system call of a move and names it if it fails.
func step(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func setTCP(fd, opt, v int, name string) error {
	return step(name, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, opt, v))
}

func enter(fd int) error { return setTCP(fd, unix.TCP_REPAIR, unix.TCP_REPAIR_ON, "enter repair mode") }

// exit leaves repair mode. Plain "off" sends a window probe, which the peer may see; probe asks for it where an ACK is owed.
func exit(fd int, probe bool) error {
	how := unix.TCP_REPAIR_OFF_NO_WP
	if probe {
		how = unix.TCP_REPAIR_OFF
	}
	return setTCP(fd, unix.TCP_REPAIR, how, "leave repair mode")
}

func useQueue(fd, queue int) error {
	return setTCP(fd, unix.TCP_REPAIR_QUEUE, queue, "choose queue")
}

// setSeq sets the next sequence number of a queue of an unconnected socket.
func setSeq(fd, queue int, seq uint32) error {
	if err := useQueue(fd, queue); err != nil {
		return err
	}
	return setTCP(fd, unix.TCP_QUEUE_SEQ, int(int32(seq)), "set sequence number")
}

func getSeq(fd, queue int) (uint32, error) {
	if err := useQueue(fd, queue); err != nil {
		return 0, err
	}
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
	return uint32(v), step("read sequence number", err)
}

// setOptions tells what was negotiated in the handshake, as an array of struct tcp_repair_opt.
func setOptions(fd int, s *State) error {
	var b []byte
	add := func(code, val uint32) {
		b = binary.NativeEndian.AppendUint32(b, code)
		b = binary.NativeEndian.AppendUint32(b, val)
	}
	if s.SACK {
		add(unix.TCPOPT_SACK_PERMITTED, 0)
	}
	if s.WScale {
		add(unix.TCPOPT_WINDOW, uint32(s.SndWScale)|uint32(s.RcvWScale)<<16)
	}
	if s.Timestamps {
		add(unix.TCPOPT_TIMESTAMP, 0)
	}
	add(unix.TCPOPT_MAXSEG, uint32(s.MSS))
	return step("set negotiated options", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_OPTIONS, string(b)))
}

func setWindow(fd int, w window) error {
	var b []byte
	for _, v := range []uint32{w.sndWl1, w.sndWnd, w.maxWindow, w.rcvWnd, w.rcvWup} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return step("set window", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_WINDOW, string(b)))
}

func getWindow(fd int) (w window, err error) {
	b := make([]byte, 20)
	if _, err := getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_WINDOW, b); err != nil {
		return w, step("read window", err)
	}
	for i, p := range []*uint32{&w.sndWl1, &w.sndWnd, &w.maxWindow, &w.rcvWnd, &w.rcvWup} {
		*p = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w, nil
}

// info is what is used of struct tcp_info.
type info struct {
	state                         int
	timestamps, sack, wscale      bool
	sndWScale, rcvWScale, options uint8
	srtt                          int // microseconds
}

func getInfo(fd int) (i info, err error) {
	b := make([]byte, 104)
	if _, err := getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_INFO, b); err != nil {
		return i, step("read TCP_INFO", err)
	}
	i.state, i.options = int(b[0]), b[5]
	i.timestamps, i.sack, i.wscale = i.options&1 != 0, i.options&2 != 0, i.options&4 != 0
	i.srtt = int(binary.NativeEndian.Uint32(b[68:]))
	// Two bit fields of four in the octet after the options; their order follows the byte order.
	i.sndWScale, i.rcvWScale = b[6]&15, b[6]>>4
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		i.sndWScale, i.rcvWScale = i.rcvWScale, i.sndWScale
	}
	return i, nil
}

// waitState waits until the socket is in a state, which a packet that is under way brings about.
func waitState(fd, state int) error {
	return wait(func() (bool, error) {
		i, err := getInfo(fd)
		return i.state == state, err
	}, fmt.Sprintf("the kernel's socket does not reach state %d", state))
}

// wait looks until ok. Packets over loopback are delivered at once, unless the machine is very busy.
func wait(ok func() (bool, error), otherwise string) error {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Microsecond) {
		done, err := ok()
		if done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return errors.New(otherwise)
		}
	}
}
