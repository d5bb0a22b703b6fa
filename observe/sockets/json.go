package sockets

import (
	"encoding/json"
	"io"
	"net/netip"
)

// object is a socket in JSON. Times are ms (timer) or as in struct tcp_info, sizes bytes.
type object struct {
	State    string         `json:"state"`
	RecvQ    uint32         `json:"recv_q"`
	SendQ    uint32         `json:"send_q"`
	Local    netip.AddrPort `json:"local"`
	Remote   netip.AddrPort `json:"peer"`
	Timer    *timer         `json:"timer,omitempty"`
	UID      uint32         `json:"uid"`
	Inode    uint64         `json:"inode,omitempty"`
	Cookie   uint64         `json:"cookie,omitempty"`
	Mark     uint32         `json:"mark,omitempty"`
	Cgroup   string         `json:"cgroup,omitempty"`
	Users    []User         `json:"users,omitempty"`
	CC       string         `json:"congestion,omitempty"`
	Memory   *Memory        `json:"memory,omitempty"`
	Info     *Info          `json:"tcp_info,omitempty"`
	Accel    *Accel         `json:"sluice,omitempty"`
	Shutdown *uint8         `json:"shutdown,omitempty"`
}

type timer struct {
	Name    string `json:"name"`
	Expires uint32 `json:"expires_ms"`
	Retrans uint32 `json:"retrans"`
}

// JSON writes the sockets as one array, with all that is known of each.
func JSON(w io.Writer, all []Socket) error {
	out := make([]object, len(all))
	for i := range all {
		s := &all[i]
		out[i] = object{StateName(s.State), s.RecvQ, s.SendQ, s.Local, s.Remote, nil, s.UID, s.Inode, s.Cookie, s.Mark, s.cgroup(), s.Users, s.Congestion,
			s.Memory, s.Info, s.Accel, s.Shutdown}
		if s.Timer != 0 {
			out[i].Timer = &timer{[...]string{"off", "on", "keepalive", "timewait", "persist", "unknown"}[min(s.Timer, 5)], s.Expires, s.Retrans}
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
