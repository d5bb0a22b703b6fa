package sockets

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/ask"
)

// Engines lists the sockets of the accelerated programs in a network namespace (by its inode; 0: in all). What could not be had is said in
// notes; a program that ended meanwhile is no error.
func Engines(b *ask.Broker, netns uint64) (all []Socket, notes []string, err error) {
	st, err := b.Status()
	if err != nil {
		return nil, nil, err
	}
	for _, l := range st.Leases {
		if netns != 0 && l.NetNS != netns {
			continue
		}
		in, records, err := b.Inspect(l.Pid)
		if err != nil {
			if _, gone := os.Stat(fmt.Sprintf("/proc/%d", l.Pid)); gone == nil {
				notes = append(notes, fmt.Sprintf("%s[%d]: %v", l.Program, l.Pid, err))
			}
			continue
		}
		if in.Stale {
			notes = append(notes, fmt.Sprintf("%s[%d] does not answer (stopped?): of its sockets only addresses and states are known", l.Program, l.Pid))
		}
		o := owner{l.Pid, l.UID, l.Program, in.Stale, cgroupOf(l.Pid)}
		for i := range records {
			all = append(all, fromRecord(&records[i], o))
		}
	}
	return all, notes, nil
}

type owner struct {
	pid     int
	uid     uint32
	program string
	stale   bool
	cgroup  string
}

func fromRecord(r *proto.Record, o owner) Socket {
	local, remote := r.Ends()
	if r.Family == unix.AF_INET6 {
		local, remote = as16(local), as16(remote)
	}
	s := Socket{
		Family: r.Family, State: r.State, Local: local, Remote: remote, RecvQ: r.RecvQ, SendQ: r.SendQ, Cgroup: o.cgroup,
		Timer: r.Timer, Retrans: r.Retrans, Expires: r.Expires, UID: o.uid, Cookie: r.Cookie, Congestion: text(r.Congestion[:]),
		Accel: &Accel{Pid: o.pid, Program: o.program, Handle: r.Handle, Queue: r.Queue, NotSent: r.NotSent, HalfOpen: r.HalfOpen,
			Orphan: r.Flags&proto.RecordOrphan != 0, Waiting: r.Flags&proto.RecordWaiting != 0, Stale: o.stale},
	}
	if r.State == Listen {
		s.RecvQ += r.KernelQ
	}
	if r.Flags&proto.RecordBare == 0 {
		s.Memory = &Memory{RmemAlloc: r.Rmem, RcvBuf: r.RcvBuf, SndBuf: r.SndBuf, WmemQueued: r.Wmem}
		s.Info = ParseInfo(r.Info[:])
	}
	if r.Ifindex > 0 {
		s.Accel.Device = device(int(r.Ifindex))
	}
	if r.FD >= 0 {
		s.Users = []User{{o.program, o.pid, int(r.FD)}}
		s.Inode = inode(o.pid, int(r.FD))
	}
	return s
}

func as16(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// device is an interface's name, its number if it is of another namespace.
func device(ifindex int) string {
	if i, err := net.InterfaceByIndex(ifindex); err == nil {
		return i.Name
	}
	return "if" + strconv.Itoa(ifindex)
}

// inode of the socket that stands behind a descriptor, 0 unknown.
func inode(pid, fd int) uint64 {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(name, "socket:["), "]"), 10, 64)
	return n
}
