// Package e2e runs real programs under the preload object, in network
// namespaces joined by veth, and looks at what their users and peers see.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// roles are what this binary does instead of tests when it is started again
// inside a namespace, with the role's name in roleEnv.
var roles = map[string]func(args []string) error{
	"load":    loadMain,
	"backend": backendMain,
}

const roleEnv = "SLT_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := roles[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// rig is a testrig with the verbs of these tests.
type rig struct{ *testrig.Rig }

func newRig(t *testing.T, cfg testbed.Config) *rig {
	t.Helper()
	return &rig{testrig.New(t, cfg)}
}

// startRole starts this test binary in a namespace, in one of its roles.
func startRole(t *testing.T, node *testbed.Node, stdin *os.File, role string, args ...string) *testrig.Proc {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return testrig.StartWithInput(t, node, stdin, []string{roleEnv + "=" + role}, self, args...)
}
