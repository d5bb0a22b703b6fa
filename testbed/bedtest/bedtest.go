// Package bedtest is testbed for tests: errors fail the test, and clean-up is the test's own.
package bedtest

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
)

// CleanLimit is how long a test waits for its traces to be gone.
const CleanLimit = 15 * time.Second

// New makes a bed that goes away with the test, which fails if anything of it is left. The test
// is skipped without root.
func New(t testing.TB, cfg testbed.Config) *testbed.Bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	b, err := testbed.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close testbed: %v", err)
		}
		if err := testbed.WaitClean(CleanLimit, b.Names()...); err != nil {
			t.Errorf("testbed: %v", err)
		}
	})
	return b
}

// Until waits for cond to hold, at most 15 s.
func Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(CleanLimit); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for: %s", CleanLimit, what)
		}
	}
}
