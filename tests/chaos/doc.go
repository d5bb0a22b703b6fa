// Package chaos lets things go wrong while programs serve: processes are killed, stopped, reloaded, the broker dies and comes back, the
// device goes down. What goes wrong, and when, follows from a seed (SEED=), and how often from N= (`make chaos N=500 SEED=7`) or for how long from MINUTES=; `make test`
// plays five minutes, and go test alone each fault once. The oracles:
//
//   - a client sees only the errors that the fault under way explains, and never a wrong byte;
//   - what a server acknowledged is there afterwards;
//   - a connection of the kernel's over the same device, the bystander, loses nothing and gets no error;
//   - after each fault programs are accelerated again, and at the end every resource is back;
//   - nothing that a process uses grows with the number of faults.
package chaos
