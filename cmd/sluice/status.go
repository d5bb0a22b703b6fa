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
	socket := defaultSocket
	if s := os.Getenv(brokerKnob); s != "" {
		socket = s
	}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what the broker knows: programs, devices, queues, packets (JSON)",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&socket, "socket", socket, "path of the broker's socket")
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
