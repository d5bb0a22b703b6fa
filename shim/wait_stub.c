// Stand-ins until the waiting part is there; weak, so that it replaces them one by one.
#include "wait.h"

#include <errno.h>

#define WEAK __attribute__((weak))

WEAK int wait_handle(int fd, int handle, uint32_t events, int64_t timeout_ns)
{
    (void)fd, (void)handle, (void)events, (void)timeout_ns;
    return -EINTR;
}
WEAK void after_engine(void) {}
WEAK void wait_start(void) {}
WEAK void wait_forked(void) {}
WEAK void epoll_file_closed(struct file *f) { (void)f; }
WEAK void epoll_fd_moved(int fd, struct file *f) { (void)fd, (void)f; }
WEAK void epoll_fd_taken(int fd, struct file *f) { (void)fd, (void)f; }
