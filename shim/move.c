// Calls that move data between descriptors inside the kernel. sendfile into a connection of the engine is served by reading the
// file; the others need a kernel socket: the connection is handed over first.
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "conn_io.h"
#include "kconn.h"
#include "probe.h"
#include "raw.h"
#include "scratch.h"

#define SENDFILE_MAX 0x7ffff000 // the kernel moves no more at once

// One call under way. at moves by what was sent.
struct job {
    int out, in;
    off_t at;
    char *buf;
    bool refused; // the file can't be read so: a pipe, a directory, or an error that the kernel shall name
};

// send_staged reads straight to where f's answer is put together. -1: not that way.
static ssize_t send_staged(struct job *j, struct file *f, size_t n)
{
    if (n <= STAGE_SIZE && !atomic_load_explicit(&f->stage, memory_order_relaxed))
        stage_keep(f);
    char *to = stage_room(f, n);
    if (!to)
        return -1;
    ssize_t got = RAW(SYS_pread64, j->in, to, n, j->at);
    stage_put_here(f, got > 0 ? (size_t)got : 0);
    if (got <= 0)
        return -1;
    j->at += got;
    return got;
}

// send_piece reads up to n octets and sends them: how many were taken; 0: end of file; -1 errno. *full: as many as were read.
static ssize_t send_piece(struct job *j, size_t n, bool last, bool *full)
{
    ssize_t got = RAW(SYS_pread64, j->in, j->buf, n, j->at);
    j->refused = got < 0;
    if (got <= 0)
        return raw_result(got);
    struct file *f = conn_get_staged(j->out);
    struct iovec v = { j->buf, (size_t)got };
    ssize_t sent = f ? conn_send(j->out, f, &v, 1, last || got < (ssize_t)n ? 0 : MSG_MORE) : kconn_send(j->out, &v, 1, IO_READ);
    *full = sent == got;
    return sent;
}

// until_end bounds what one read would not show to be the last piece.
static size_t until_end(const struct job *j, size_t n)
{
    struct stat st;
    n = n < SENDFILE_MAX ? n : SENDFILE_MAX;
    if (n > SCRATCH && fstat(j->in, &st) == 0 && S_ISREG(st.st_mode) && st.st_size - j->at < (off_t)n)
        n = st.st_size > j->at ? (size_t)(st.st_size - j->at) : 0;
    return n;
}

// send_file: as sendfile, from j->at on.
static ssize_t send_file(struct job *j, size_t n)
{
    ssize_t done = 0;
    if (n == 0)
        j->refused = RAW(SYS_pread64, j->in, NULL, 0, j->at) < 0;
    n = until_end(j, n);
    while ((size_t)done < n) {
        bool full = false;
        size_t left = n - (size_t)done;
        ssize_t r = send_piece(j, left < SCRATCH ? left : SCRATCH, left <= SCRATCH, &full);
        if (r < 0 && done == 0)
            done = -1;
        if (r <= 0)
            break;
        done += r;
        j->at += r;
        if (!full)
            break;
    }
    j->refused = j->refused && done <= 0;
    return done;
}

// send_kernel is sendfile by the kernel. False: one of them has come to the engine.
static bool send_kernel(int out, int in, off_t *off, size_t n, ssize_t *r)
{
    int conn = fd_kind(in) == FD_KCONN ? in : out;
    *r = BY_KERNEL_OR(conn, raw_result(RAW(SYS_sendfile, out, in, off, n)), real.sendfile(out, in, off, n), moved);
    return true;
moved:
    return false;
}

INTERPOSE ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
    struct file *f;
    ssize_t r;
look:
    handover_fd(in); // the kernel sends from sockets, too, to pipes
    f = conn_get_staged(out);
    if (!f && send_kernel(out, in, off, n, &r))
        return r;
    if (!f)
        goto look;
    struct job j = { .out = out, .in = in };
    if (!off)
        j.at = (off_t)RAW(SYS_lseek, in, 0, SEEK_CUR);
    else if (!probe_copy(&j.at, off, sizeof j.at))
        j.at = -1; // the kernel says EFAULT
    r = -1;
    if (j.at < 0)
        j.refused = true;
    else if (n > 0 && (r = send_staged(&j, f, n)) > 0)
        ;
    else if (!(j.buf = scratch_get()))
        r = raw_result(-ENOMEM);
    else
        r = send_file(&j, n);
    if (j.buf)
        scratch_put(j.buf);
    if (j.refused && RAW(SYS_lseek, in, 0, SEEK_CUR) < 0) { // the kernel takes it for no socket: the one behind says so
        file_put(f);
        return real.sendfile(out, in, off, n);
    }
    if (j.refused)
        conn_handover(out, f);
    file_put(f);
    if (j.refused && !send_kernel(out, in, off, n, &r))
        goto look;
    if (j.refused)
        return r;
    if (r > 0 && off && !probe_copy(off, &j.at, sizeof j.at))
        return raw_result(-EFAULT);
    if (r > 0 && !off)
        RAW(SYS_lseek, in, j.at, SEEK_SET);
    return r;
}

INTERPOSE ssize_t sendfile64(int out, int in, off64_t *off, size_t n) { return sendfile(out, in, off, n); }

static bool is_pipe(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

// unmoved: a connection that could not be handed over, most often since it has ended: what it has to say. True: *r is the result.
static bool unmoved(int fd, bool out, ssize_t *r)
{
    struct file *f = conn_get(fd);
    char c;
    if (!f)
        return false;
    *r = out ? conn_send(fd, f, NULL, 0, MSG_DONTWAIT) : conn_recv(fd, f, &(struct iovec){ &c, 1 }, 1, MSG_PEEK | MSG_DONTWAIT, NULL);
    if (*r > 0 || (out && *r == 0))
        *r = raw_result(-EINVAL);
    return true;
}

INTERPOSE ssize_t splice(int in, off64_t *ioff, int out, off64_t *ooff, size_t n, unsigned int flags)
{
    ssize_t r;
    if (n == 0 || flags & ~(unsigned)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
        return real.splice(in, ioff, out, ooff, n, flags); // which looks no further
look:
    handover_fd(in);
    handover_fd(out);
    // An offset, and no pipe at the other end, are refused first.
    if (!ioff && !ooff && ((is_pipe(out) && unmoved(in, false, &r)) || (is_pipe(in) && unmoved(out, true, &r))))
        return r;
    int conn = fd_kind(in) == FD_KCONN ? in : out; // one of them is a pipe
    return BY_KERNEL_OR(conn, raw_result(RAW(SYS_splice, in, ioff, out, ooff, n, flags)), real.splice(in, ioff, out, ooff, n, flags), look);
}

// These refuse sockets of any kind, and the placeholder is one.
INTERPOSE ssize_t tee(int in, int out, size_t n, unsigned int flags) { return real.tee(in, out, n, flags); }
INTERPOSE ssize_t vmsplice(int fd, const struct iovec *v, size_t n, unsigned int flags) { return real.vmsplice(fd, v, n, flags); }
INTERPOSE ssize_t copy_file_range(int in, off64_t *ioff, int out, off64_t *ooff, size_t n, unsigned int flags)
{
    return real.copy_file_range(in, ioff, out, ooff, n, flags);
}
