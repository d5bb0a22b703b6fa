package sockets

import "fmt"

// Merge puts the engines' sockets beside the kernel's, each connection and each listener once:
//   - a listener is a kernel socket that engines serve as well: one line, whose Recv-Q is the sum of all accept queues;
//   - a connection that is being handed over may be seen at both sides: the kernel's is the truth.
func Merge(kernel, engines []Socket) []Socket {
	type tuple struct{ local, remote string }
	at, seen := map[uint64]int{}, map[tuple]bool{}
	all := append([]Socket{}, kernel...)
	for i := range all {
		if all[i].State == Listen {
			at[all[i].Cookie] = i
		}
		seen[tuple{unmapped(&all[i], true), unmapped(&all[i], false)}] = true
	}
	for _, s := range engines {
		if s.State != Listen {
			if !seen[tuple{unmapped(&s, true), unmapped(&s, false)}] {
				all = append(all, s)
			}
			continue
		}
		if i, ok := at[s.Cookie]; ok {
			all[i].joined(&s)
			continue
		}
		s.Accel.Owners = []string{s.Accel.who()}
		at[s.Cookie] = len(all)
		all = append(all, s)
	}
	return all
}

// joined adds an engine's view of a listener.
func (s *Socket) joined(e *Socket) {
	s.RecvQ += e.RecvQ
	if s.Accel == nil {
		a := *e.Accel
		a.HalfOpen, a.Owners = 0, nil
		s.Accel = &a
	}
	s.Accel.HalfOpen += e.Accel.HalfOpen
	s.Accel.Owners = append(s.Accel.Owners, e.Accel.who())
	s.Users = append(s.Users, e.Users...)
}

func (a *Accel) who() string { return fmt.Sprintf("%s[%d]", a.Program, a.Pid) }

func unmapped(s *Socket, local bool) string {
	a := s.Remote
	if local {
		a = s.Local
	}
	return fmt.Sprint(a.Addr().Unmap(), a.Port())
}
