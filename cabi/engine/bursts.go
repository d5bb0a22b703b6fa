package engine

import (
	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
)

// takeBursts lets a queue send bursts (segmentation offload), if the process has CAP_NET_RAW. The broker gives no such socket away:
// whoever has it may send by any device.
func (e *Engine) takeBursts(l *lane, info efvi.Info) {
	if !e.boot.fast("tso") {
		return
	}
	fd, err := afxdp.BurstSocket(info)
	if err == nil {
		fd, err = e.lift(fd)
	}
	if err != nil {
		e.debug("no segmentation offload: %v", err)
		return
	}
	l.tso = fd
	l.vi.Bursts(fd)
}
