package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersAreLowestFirstAndRestBeforeReuse(t *testing.T) {
	var tab table
	for want := range int32(3) {
		require.Equal(t, want, tab.take())
		tab.objects[want].open = true
	}
	tab.put(1)
	require.Nil(t, tab.at(1))
	require.NotNil(t, tab.at(2))
	for want := int32(3); want < 3+quarantine; want++ {
		require.Equal(t, want, tab.take(), "a fresh one: 1 rests")
		tab.put(want)
	}
	require.EqualValues(t, 1, tab.take(), "the one that rested longest")
}

func TestAllNumbersCanBeInUse(t *testing.T) {
	var tab table
	for range MaxHandles {
		require.GreaterOrEqual(t, tab.take(), int32(0))
	}
	require.EqualValues(t, -1, tab.take())
	tab.put(77)
	require.EqualValues(t, 77, tab.take(), "no rest when there is no other")
	require.Nil(t, tab.at(-1))
	require.Nil(t, tab.at(MaxHandles))
}
