package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
)

// Every counter that has a name has a place.
func TestEveryCounterIsSomewhere(t *testing.T) {
	e := &Engine{sh: new(Shared)}
	s := ustack.New(ustack.Config{Pool: pbuf.New(make([]byte, 16*4096), 4096), Rand: func() uint64 { return 1 }})
	var k counters
	require.NoError(t, k.find(e, s))
	require.LessOrEqual(t, proto.FirstDetail+len(proto.DetailNames), proto.NumCounters)
	seen := map[string]bool{}
	for _, name := range proto.DetailNames {
		require.False(t, seen[name], name)
		seen[name] = true
	}
}
