package sim

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/fault"
	"github.com/sluice-net/sluice/ustack/wire"
)

// summer is a device that finishes checksums, as afxdp asks the kernel to do.
type summer struct {
	efvi.VI
	mem       efvi.Memory
	sums, own int
}

func (v *summer) Info() efvi.Info {
	i := v.VI.Info()
	i.TxChecksum = true
	return i
}

func (v *summer) Send(frame, off, n uint32) bool {
	v.own++
	return v.VI.Send(frame, off, n)
}

func (v *summer) SendSum(frame, off, n uint32, start, field uint16) bool {
	v.sums++
	f := v.mem.Frame(frame)
	clear(f[off-efvi.SumRoom : off])
	b := f[off+uint32(start) : off+n]
	binary.BigEndian.PutUint16(b[field:], ^wire.Sum(b)) // the field holds the pseudo header's part
	return v.VI.Send(frame, off, n)
}

// TestDeviceFinishesChecksums: the peer checks every sum; losses make segments be split, merged and sent again.
func TestDeviceFinishesChecksums(t *testing.T) {
	for _, ends := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}} {
		var vis []*summer
		stacks := overLoop(t, ends[0], ends[1], func(vi efvi.VI, mem efvi.Memory, c fault.Config) efvi.VI {
			v := &summer{VI: fault.New(vi, mem, c), mem: mem}
			vis = append(vis, v)
			return v
		})
		for i, v := range vis {
			require.Greater(t, v.sums, 100)
			require.Zero(t, v.own, "packets were summed by the stack")
			c := stacks[i].Counters()
			require.Zero(t, c.TCPInCsumErrors)
			require.Zero(t, c.TCP.InErrs)
			require.NotZero(t, stacks[i].Host().SendStats().RetransSegs)
		}
	}
}
