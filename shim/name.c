// Names and shutdown of connections and listeners.
#include "conn_io.h"
#include "kconn.h"
#include "probe.h"
#include "ready.h"

// conn_name: getsockname (peer 0) and getpeername.
static int conn_name(struct file *f, int peer, struct sockaddr *sa, socklen_t *len)
{
    struct sockaddr_storage own;
    socklen_t n = sizeof own;
    engine_turn(shared(), false); // a reset that has come in counts
    int r = ENGINE(sl_name, atomic_load(&f->handle), peer, (struct sockaddr *)&own, &n);
    return r == 0 ? probe_name(&own, n, sa, len) : r;
}

INTERPOSE int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct file *f;
    int ret;
look:
    f = conn_get(fd);
    if (f && conn_result(f, conn_name(f, 0, sa, len), &ret))
        return ret;
    return BY_KERNEL(fd, real.getsockname(fd, sa, len), look);
}

INTERPOSE int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct file *f;
    int ret;
look:
    f = conn_get(fd);
    if (f && conn_result(f, conn_name(f, 1, sa, len), &ret))
        return ret;
    return BY_KERNEL(fd, real.getpeername(fd, sa, len), look);
}

INTERPOSE int shutdown(int fd, int how)
{
    struct file *f;
    int ret;
look:
    f = conn_get(fd);
    if (f)
        engine_turn(shared(), false);
    if (f && conn_result(f, ENGINE(sl_shutdown, atomic_load(&f->handle), how), &ret))
        return ret;
    if (how == SHUT_RD)
        kconn_pin(fd); // nobody can ask a kernel socket whether it was
    int r = BY_KERNEL(fd, real.shutdown(fd, how), look);
    struct file *l = r == 0 && fd_kind(fd) == FD_LISTENER ? file_get(fd) : NULL;
    if (l && shared() && atomic_load(&l->handle) >= 0 && how != SHUT_WR)
        ENGINE(sl_shutdown, atomic_load(&l->handle), how);
    file_put(l);
    return r;
}
