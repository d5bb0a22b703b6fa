package ustack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func graveKey(port uint16) key { return key{ports: 80<<16 | uint32(port)} }

// However many connections move at once, none of them is met as a stranger.
func TestGravesHoldEveryFlowForTheirTime(t *testing.T) {
	var g graves
	const moved = 5000
	for p := uint16(1); p <= moved; p++ {
		g.add(graveKey(p), 1)
	}
	for p := uint16(1); p <= moved; p++ {
		k := graveKey(p)
		require.True(t, g.has(&k, graveLife), p)
		require.False(t, g.has(&k, graveLife+1), p)
	}
	g.add(graveKey(9999), 2*graveLife)
	require.Len(t, g.until, 1, "the old ones are cleared away")
}

func TestAFlowThatComesBackIsNoGrave(t *testing.T) {
	var g graves
	k := graveKey(1)
	g.add(k, 1)
	g.drop(k)
	require.False(t, g.has(&k, 2))
}
