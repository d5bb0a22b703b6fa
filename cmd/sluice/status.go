package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/broker"
)

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
		st, err := broker.Query(socket)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	}
	return cmd
}
