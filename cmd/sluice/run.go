package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/knobs"
)

// Exit codes of env(1), nohup(1) and the shells for a command that cannot be
// run or found.
const (
	cannotRun = exitCode(126)
	notFound  = exitCode(127)
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Run a command with accelerated sockets",
		Long: "Run a command with accelerated sockets. The command takes this process's place, so\n" +
			"signals, standard input and exit status are its own. Uses the host's broker, or\n" +
			"(as root) starts one that ends with the command.\n\nVariables:\n" + knobTable(),
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().SetInterspersed(false)
	values := knobFlags(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error { return run(values, args) }
	return cmd
}

// knobFlags adds a flag for each knob: --listen sets SLUICE_LISTEN.
func knobFlags(cmd *cobra.Command) map[string]*string {
	values := map[string]*string{}
	for _, k := range knobs.Table {
		if flag, ok := strings.CutPrefix(k.Name, knobs.Prefix); ok {
			flag = strings.ReplaceAll(strings.ToLower(flag), "_", "-")
			values[k.Name] = cmd.Flags().String(flag, "", "sets "+k.Name)
		}
	}
	return values
}

func knobTable() string {
	var b strings.Builder
	for _, k := range knobs.Table {
		fmt.Fprintf(&b, "  %-17s %s (default %s)\n", k.Name, strings.ReplaceAll(k.Doc, "`", ""), k.Default)
	}
	return b.String()
}

func run(flags map[string]*string, args []string) error {
	for name, value := range flags {
		if *value != "" {
			os.Setenv(name, *value)
		}
	}
	if errs := knobs.Validate(os.Environ()); len(errs) > 0 {
		return errors.Join(errs...)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sluice:", err)
		if errors.Is(err, os.ErrPermission) {
			return cannotRun
		}
		return notFound
	}
	if why := unseen(path); why != "" {
		fmt.Fprintf(os.Stderr, "sluice: %s: %s\n", args[0], why)
	}
	if err := preload(); err != nil {
		return err
	}
	if err := ensureBroker(); err != nil {
		// Not fatal: the command then works through the kernel, and the
		// preload object says why.
		fmt.Fprintln(os.Stderr, "sluice: no broker:", err)
	}
	err = unix.Exec(path, args, os.Environ())
	fmt.Fprintf(os.Stderr, "sluice: %s: %v\n", path, err)
	return cannotRun
}

// preload puts libsluice.so in front of LD_PRELOAD.
func preload() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	dir := filepath.Dir(self)
	for _, lib := range []string{dir + "/libsluice.so", dir + "/../lib/sluice/libsluice.so"} {
		if _, err := os.Stat(lib); err != nil {
			continue
		}
		lib = filepath.Clean(lib)
		if old := os.Getenv("LD_PRELOAD"); old != "" {
			lib += ":" + old
		}
		return os.Setenv("LD_PRELOAD", lib)
	}
	return fmt.Errorf("libsluice.so is neither in %s nor in ../lib/sluice beside it", dir)
}
