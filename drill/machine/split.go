package machine

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/ustack/wire"
)

// segments cuts a TCP segment that is longer than the link allows into several of at most mtu bytes of IP packet; nil when
// it is none.
func segments(ip []byte, mtu int) (parts [][]byte) {
	var payload []byte
	head := wire.IPv6Len
	if ip[0]>>4 == 4 {
		h, err := wire.ParseIPv4(ip)
		if err != nil {
			return nil
		}
		head, payload = h.HeaderLen(), h.Payload()
	} else if h, err := wire.ParseIPv6(ip); err != nil {
		return nil
	} else {
		payload = h.Payload()
	}
	t, err := wire.ParseTCP(payload)
	if err != nil {
		return nil
	}
	data := t.Payload()
	head += len(payload) - len(data)
	for at, room := 0, mtu-head; at < len(data) && room > 0; at += room {
		end := min(at+room, len(data))
		parts = append(parts, segment(ip, head, len(t)-len(data), at, data[at:end], end == len(data)))
	}
	return parts
}

// segment is one part: the headers (head bytes, the last tcp of them TCP's) with the numbers of data, which begins at byte at.
func segment(ip []byte, head, tcp, at int, data []byte, last bool) []byte {
	p := append(append([]byte(nil), ip[:head]...), data...)
	t := p[head-tcp:]
	binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(at))
	if !last {
		t[13] &^= byte(wire.FIN | wire.PSH)
	}
	var addrs []byte
	if p[0]>>4 == 4 {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^wire.Sum(p[:head-tcp]))
		addrs = p[12:20]
	} else {
		binary.BigEndian.PutUint16(p[4:], uint16(len(t)))
		addrs = p[8:40]
	}
	t[16], t[17] = 0, 0
	binary.BigEndian.PutUint16(t[16:], ^wire.Add(wire.Sum(t), wire.PseudoSum(addrs, wire.ProtoTCP, len(t))))
	return p
}
