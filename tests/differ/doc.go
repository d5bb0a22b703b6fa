// Package differ runs random sequences of socket calls twice, by the kernel and accelerated, and compares what each call gave: result, errno,
// data, events, options' values, the numbers of new descriptors.
//
// One number makes a sequence (plan_test.go); prog/ is the program that executes it, on up to three threads, and the other end of its
// connections, a process in another namespace that waits until what it did has arrived, so that results do not hang on the time. What
// differs is run again, with much more patience, and counts if the kernel gives the same each time and the accelerated run never that. It
// is then shrunk to the fewest calls that differ and printed; such sequences, mended, are in testdata and are played every time.
//
// `make differ N=100000 SEED=1` runs more of them.
package differ
