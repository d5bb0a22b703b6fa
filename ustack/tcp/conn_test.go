package tcp

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// With 1,144 bytes, the runtime's header among them, a connection takes a block of 1,152; the next size is 1,280, and an
// idle connection would cost more than 1.5 KiB in all (tests/sim: TestIdleConnectionsAreSmall).
func TestConnFitsItsBlock(t *testing.T) {
	require.LessOrEqual(t, int(reflect.TypeFor[Conn]().Size()), 1144)
}
