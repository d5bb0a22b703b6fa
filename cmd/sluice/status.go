package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/broker"
)

// queryTimeout is how long the broker may take to answer.
const queryTimeout = 5 * time.Second

func statusCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what the broker knows: programs, devices, queues, packets (JSON)",
		Args:  cobra.NoArgs,
	}
	brokerFlag(cmd, &socket)
	cmd.RunE = func(*cobra.Command, []string) error {
		st, err := broker.Query(socket, queryTimeout)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	}
	return cmd
}

// brokerFlag adds --socket.
func brokerFlag(cmd *cobra.Command, socket *string) {
	def := defaultSocket
	if s := os.Getenv(brokerKnob); s != "" {
		def = s
	}
	cmd.Flags().StringVar(socket, "socket", def, "path of the broker's socket")
}
