// poll over kernel descriptors and the engine's at once; select is built on it.
#ifndef SLUICE_POLL_RUN_H
#define SLUICE_POLL_RUN_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

// poll_ours: does polling this descriptor concern the engine?
bool poll_ours(int fd);
// poll_run is ppoll with a deadline (wait_run.h): the number of ready entries, 0 in time, or -errno.
int poll_run(struct pollfd *fds, nfds_t n, int64_t deadline, const sigset_t *mask);

#endif
