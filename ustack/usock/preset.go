package usock

import "github.com/sluice-net/sluice/ustack/tcp"

// Preset holds the options of a socket before it is connected: what the SYN says (MSS, window, TOS) depends on them.
type Preset struct {
	TCP tcp.Options
	IP  IPOptions
}

// NewPreset is what a fresh socket has.
func NewPreset() *Preset { return &Preset{TCP: tcp.DefaultOptions(), IP: DefaultIPOptions()} }

// SetOption is setsockopt(2).
func (p *Preset) SetOption(prm *tcp.Params, level, name int, val []byte) error {
	if level == solIP || level == solIPv6 || level == solSocket && name == soPriority {
		return p.IP.set(level, name, val)
	}
	return p.TCP.Set(prm, level, name, val)
}

// Option is getsockopt(2): how many bytes of out it filled.
func (p *Preset) Option(prm *tcp.Params, level, name int, out []byte) (int, error) {
	if v, ok := p.IP.get(level, name); ok {
		return put(out, v), nil
	}
	return p.TCP.Get(prm, level, name, out)
}
