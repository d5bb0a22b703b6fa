// ioctl: what asks about a connection's queues, and the other way to set O_NONBLOCK.
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "fresh.h"
#include "kconn.h"
#include "ours.h"
#include "probe.h"
#include "raw.h"
#include "ready.h"

// conn_ioctl: 0 or -errno; SL_MOVED: the kernel's turn.
static int conn_ioctl(int fd, struct file *f, unsigned long cmd, void *arg)
{
    int v = 0, r;
    switch (cmd) {
    case FIONBIO:
        if (!probe_copy(&v, arg, sizeof v))
            return -EFAULT;
        atomic_store(&f->nonblock, v != 0);
        return 0;
    case FIONREAD: // = SIOCINQ
    case SIOCOUTQ:
    case SIOCOUTQNSD:
    case SIOCATMARK:
        atomic_store_explicit(&f->urgent, true, memory_order_relaxed);
        engine_turn(shared(), false); // who asks again and again sees what comes in
        r = ENGINE(sl_ioctl, atomic_load(&f->handle), cmd, &v);
        return r != 0 || probe_copy(arg, &v, sizeof v) ? r : -EFAULT;
    case FIOASYNC:
    case FIOSETOWN:
    case SIOCSPGRP:
        r = conn_handover(fd, f);
        return r == 0 ? SL_MOVED : r;
    default:
        return SL_MOVED; // about descriptors and interfaces: the socket behind answers
    }
}

INTERPOSE int ioctl(int fd, unsigned long cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    enum fd_kind kind = fd_kind(fd);
    if (kind == FD_OWN) {
        errno = EBADF;
        return -1;
    }
    if (kind == FD_LISTENER && cmd == FIONBIO && probe_there(arg, sizeof(int))) {
        int flags = fcntl(fd, F_GETFL);
        return fcntl(fd, F_SETFL, *(int *)arg ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    }
    struct file *f;
look:
    f = conn_get(fd);
    if (f) {
        int r = conn_ioctl(fd, f, cmd, arg);
        struct sl_shared *s = shared();
        bool moved = r == SL_MOVED && s && atomic_load(&s->words[atomic_load(&f->handle)].moved);
        if (moved)
            file_settle(f);
        file_put(f);
        if (r != SL_MOVED)
            return (int)raw_result(r);
        if (!moved) {
            fresh_end(fd);
            return real.ioctl(fd, cmd, arg);
        }
    }
    bool signals = cmd == FIOASYNC || cmd == FIOSETOWN || cmd == SIOCSPGRP;
    if (signals)
        kconn_pin(fd);
    return BY_KERNEL(fd, real.ioctl(fd, cmd, arg), look);
}

INTERPOSE int sockatmark(int fd)
{
    int mark;
    return ioctl(fd, SIOCATMARK, &mark) < 0 ? -1 : mark;
}
