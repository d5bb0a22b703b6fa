// Touching memory that may not be there: what a program passes by address is the kernel's to refuse with EFAULT, not ours to die of.
//
// One copy loop, whose instructions the trampoline of signals.c knows: a fault there ends the copy. Where the memory is there it costs a
// loop over words.
#ifndef SLUICE_PROBE_H
#define SLUICE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

// probe_copy copies n octets; false: some of to or from is not there (EFAULT), and part may have been copied.
bool probe_copy(void *to, const void *from, size_t n);
// probe_there: n octets from p on can be read.
bool probe_there(const void *p, size_t n);
// probe_writable: how many of n octets from p on can be written; nobody else writes them meanwhile.
size_t probe_writable(void *p, size_t n);
// probe_name gives the program an address of n octets: as much of it as *len has room for, and its length. 0, -EFAULT, -EINVAL.
int probe_name(const struct sockaddr_storage *name, socklen_t n, struct sockaddr *sa, socklen_t *len);
// probe_resume: where a thread that faulted at pc goes on, 0: pc is not in the copy loop.
uintptr_t probe_resume(uintptr_t pc);

#endif
