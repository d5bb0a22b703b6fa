// Package e2e runs real programs under the preload object, in network
// namespaces joined by veth, and looks at what their users and peers see.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
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

// built is the path of something make builds.
func built(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "build", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make first", err)
	}
	return path
}
