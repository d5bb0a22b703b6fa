package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A user's programs in a network namespace have one secret, and nobody else has it.
func TestSecretOfAUser(t *testing.T) {
	b, other := &Broker{key: [32]byte{1}}, &Broker{key: [32]byte{2}}
	at := func(inode uint64, uid uint32) *client { return &client{space: &space{inode: inode}, uid: uid} }
	one := b.secretOf(at(1, 12))
	require.Len(t, one, 16)
	require.Equal(t, one, b.secretOf(at(1, 12)))
	for _, s := range [][]byte{b.secretOf(at(1, 13)), b.secretOf(at(2, 12)), b.secretOf(at(11, 2)), other.secretOf(at(1, 12))} {
		require.NotEqual(t, one, s)
	}
}
