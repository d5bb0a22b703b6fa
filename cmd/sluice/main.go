// Command sluice runs programs with accelerated sockets, and the broker that
// holds the privilege for them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// exitCode ends the command with a status of its own, without a message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Make the sockets of unmodified programs fast",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), brokerCommand(), statusCommand(), detachCommand(), attachCommand(), ssCommand(), netstatCommand(), doctorCommand(), tcpdumpCommand(), mirrorCommand(), topCommand(), traceCommand(), postmortemCommand(), demoCommand(), benchCommand())
	err := root.ExecuteContext(context.Background())
	var code exitCode
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "sluice:", err)
		os.Exit(1)
	}
}
