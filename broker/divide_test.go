package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		why     string
		owner   []int
		pinned  []int
		members int
		want    []int
	}{
		{"nobody", []int{-1, -1}, nil, 0, []int{-1, -1}},
		{"the first gets all", []int{-1, -1, -1, -1}, nil, 1, []int{0, 0, 0, 0}},
		{"a newcomer gets half, what stays does not move", []int{0, 0, 0, 0}, nil, 2, []int{0, 0, 1, 1}},
		{"a third gets one, from the richest", []int{0, 0, 1, 1}, nil, 3, []int{0, 0, 1, 2}},
		{"a fourth", []int{0, 0, 1, 2}, nil, 4, []int{0, 3, 1, 2}},
		{"the late ones get none", []int{0, 1}, nil, 4, []int{0, 1}},
		{"one left: its queues go to the poorest", []int{0, -1, 1, 0}, nil, 2, []int{0, 1, 1, 0}},
		{"from before: even", []int{-1, -1, -1, -1, -1}, nil, 2, []int{0, 0, 1, 0, 1}},
		{"who will not yield keeps", []int{0, 0, 0, 0}, []int{0, 1, 2, 3}, 2, []int{0, 0, 0, 0}},
		{"one stuck queue counts", []int{0, 0, 0, 0}, []int{3}, 2, []int{0, 1, 1, 0}},
	} {
		pinned := make([]bool, len(c.owner))
		for _, q := range c.pinned {
			pinned[q] = true
		}
		require.Equal(t, c.want, divide(c.owner, pinned, c.members), c.why)
	}
}

func TestKernelShare(t *testing.T) {
	for _, c := range []struct{ queues, members, share int }{{2, 0, 0}, {2, 2, 0}, {4, 3, 0}, {2, 3, 85}, {2, 6, 170}, {1, 1024, 255}, {0, 1, 0}} {
		require.EqualValues(t, c.share, kernelShare(c.queues, c.members), "%d queues, %d members", c.queues, c.members)
	}
}
